"""Methods that have results on a suite which does not name them."""

from csbench import load_results

GUEST = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from csbench import Method

@dataclass(frozen=True)
class Guest(Method):
    \"\"\"A grey image, where it is asked for.\"\"\"
    on_request: ClassVar[bool] = True
    grey: float = 0.5

    def recover(self, given, rng):
        return torch.full((given.batch, given.n), self.grey, dtype=given.y.dtype)
"""


def test_what_an_outsider_has_run_runs_again_with_the_suite_and_no_more(csbench, tmp_path, tiny_suite, install_plugin):
    plugin = install_plugin("guests", GUEST)
    tiny_suite.write_text(tiny_suite.read_text() + 'methods = ["zeros"]\n')
    assert csbench("run", tiny_suite).returncode == 0
    assert csbench("run", tiny_suite, "--methods", "guest", "--m", "10").returncode == 0

    def guest() -> tuple[set, set, set]:
        frame = load_results("tiny", tmp_path / "results")
        own = frame[frame["method"] == "guest"]
        return set(own["m"]), set(own["params"]), set(own["run_id"])

    m, params, first = guest()
    assert m == {10}
    done = csbench("run", tiny_suite)
    assert done.returncode == 0, "cells that nobody asked for are not missing"
    assert guest()[2] == first, "what is fresh stays"

    plugin.write_text(GUEST.replace("0.5", "0.25"))
    assert "guest: 1 cells stale: parameters grey 0.5 -> 0.25" in csbench("status", tiny_suite).stdout
    assert csbench("run", tiny_suite).returncode == 0
    m, params, second = guest()
    assert (m, params) == ({10}, {'{"grey": 0.25}'})
    assert second != first

    assert csbench("run", tiny_suite, "--fresh").returncode == 0
    assert guest()[0] == {10}
    assert guest()[2] != second
