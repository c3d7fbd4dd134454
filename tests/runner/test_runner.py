"""The runner against methods that misbehave, and against being stopped: with real processes and real signals."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from csbench import load_results, load_suite
from csbench.freshness.lineage import Lineage
from csbench.freshness.states import Stored
from csbench.runner.local import run_cells
from csbench.runner.plan import make_cells, verdicts
from tests.processes import journalled, start_run, wait_for_cells

FAULTY = '''
import os, signal, time
from dataclasses import dataclass
import torch
from csbench import Method, NotApplicable, Recovery

def black(given):
    return torch.zeros(given.batch, given.n, dtype=given.y.dtype)

@dataclass(frozen=True)
class Raises(Method):
    """Raises at m = 25."""
    def recover(self, given, rng):
        if given.m == 25:
            raise ArithmeticError("no luck with these measurements")
        return black(given)

@dataclass(frozen=True)
class OneNan(Method):
    """One image is not a number."""
    def recover(self, given, rng):
        x = black(given); x[1, 0] = float("nan"); return x

@dataclass(frozen=True)
class WrongShape(Method):
    """Transposed."""
    def recover(self, given, rng):
        return black(given).T

@dataclass(frozen=True)
class WrongDtype(Method):
    """float64."""
    def recover(self, given, rng):
        return black(given).double()

@dataclass(frozen=True)
class WrongDiagnostic(Method):
    """A diagnostic that is no tensor."""
    def recover(self, given, rng):
        return Recovery(black(given), {"iterations": 3})

@dataclass(frozen=True)
class Segfaults(Method):
    """Dies of SIGSEGV at m = 25."""
    def recover(self, given, rng):
        if given.m == 25:
            os.kill(os.getpid(), signal.SIGSEGV)
        return black(given)

@dataclass(frozen=True)
class Exits(Method):
    """Leaves without a word."""
    def recover(self, given, rng):
        os._exit(7)

@dataclass(frozen=True)
class CallsSysExit(Method):
    """Is a script at heart."""
    def recover(self, given, rng):
        raise SystemExit(0)

@dataclass(frozen=True)
class Hangs(Method):
    """Never ends."""
    def recover(self, given, rng):
        while True:
            time.sleep(0.1)

@dataclass(frozen=True)
class Picky(Method):
    """Applies to nothing."""
    def recover(self, given, rng):
        raise NotApplicable("only on Sundays")

@dataclass(frozen=True)
class Vandal(Method):
    """Writes into y and A, seeds the global generator, prints a lot."""
    def recover(self, given, rng):
        given.y.zero_(); given.A.matrix().zero_(); torch.manual_seed(0)
        print("x" * 1_000_000)
        return black(given)

@dataclass(frozen=True)
class Sleepy(Method):
    """Takes a while."""
    def recover(self, given, rng):
        time.sleep(0.4)
        return black(given)
'''

SLOW_SUITE_M = "m = [10, 11, 12, 13, 14, 15, 16, 17, 25]"


@pytest.fixture
def faulty(install_plugin):
    install_plugin("faulty", FAULTY)


def results(tmp_path: Path) -> pd.DataFrame:
    return load_results("tiny", tmp_path / "results")


def test_every_fault_becomes_rows_and_the_run_goes_on(csbench, tmp_path, tiny_suite, faulty):
    names = "raises,one-nan,wrong-shape,wrong-dtype,wrong-diagnostic,segfaults,exits,calls-sys-exit,hangs,picky,zeros"
    done = csbench("run", tiny_suite, "--methods", names, "--timeout", "3", "--jobs", "2")
    assert done.returncode == 1, done.stderr
    frame = results(tmp_path)
    assert len(frame) == 11 * 2 * 3, "one row for each method, m and image, whatever happened"

    def row(method: str, m: int = 25, image: int = 0) -> pd.Series:
        return frame[(frame["method"] == method) & (frame["m"] == m)].iloc[image]

    expected = {
        "raises": ("failed", "no luck with these measurements"),
        "wrong-shape": ("failed", "x_hat has shape (784, 3), expected [batch, n] = (3, 784)"),
        "wrong-dtype": ("failed", "x_hat is torch.float64, expected the dtype of y, torch.float32"),
        "wrong-diagnostic": ("failed", "diagnostic 'iterations' must be a tensor of shape [batch] = (3,), got int"),
        "segfaults": ("failed", "SIGSEGV"),
        "exits": ("failed", "exit code 7"),
        "calls-sys-exit": ("failed", "SystemExit: 0"),
        "hangs": ("timeout", "took longer than 3 s"),
        "picky": ("not_applicable", "only on Sundays"),
    }
    for method, (status, reason) in expected.items():
        assert row(method)["status"] == status, method
        assert reason in row(method)["reason"], method
        assert pd.isna(row(method)["mse"])
    assert row("raises", 10)["status"] == row("segfaults", 10)["status"] == "ok"
    assert [row("one-nan", image=i)["status"] for i in range(3)] == ["ok", "diverged", "ok"]
    assert (frame[frame["method"] == "zeros"]["status"] == "ok").all()
    assert "raises m = 25 draw 0: failed: ArithmeticError: no luck with these measurements" in done.stderr
    assert "cells of tiny are not ok" in done.stdout

    status = csbench("status", tiny_suite, "--methods", names, "--json")
    assert '"failed": 1' in status.stdout
    states = json.loads(status.stdout)
    assert states["one-nan"]["failed"] == 2, "one bad image makes a cell that is not ok"
    assert states["zeros"]["fresh"] == 2
    assert csbench("status", tiny_suite, "--methods", "zeros,picky", "--check").returncode == 0
    assert csbench("status", tiny_suite, "--methods", "zeros,raises", "--check").returncode == 1
    again = csbench("run", tiny_suite, "--methods", "picky,zeros")
    assert again.returncode == 0, "what does not apply is no failure"
    assert "0 cells run" in again.stdout


def test_a_vandal_harms_nobody_else(csbench, tmp_path, tiny_suite, faulty):
    assert csbench("run", tiny_suite, "--methods", "vandal,min-norm", "--jobs", "1").returncode == 0
    with_vandal = results(tmp_path)
    assert csbench("run", tiny_suite, "--methods", "min-norm", "--results", "alone").returncode == 0
    alone = load_results("tiny", tmp_path / "alone")
    mine = with_vandal[with_vandal["method"] == "min-norm"].reset_index(drop=True)
    assert mine["mse"].tolist() == alone["mse"].tolist()
    assert with_vandal["y_sha256"].nunique() == 6
    assert set(with_vandal["y_sha256"]) == set(alone["y_sha256"])


def test_results_do_not_depend_on_order_company_or_processes():
    suite = replace(load_suite("quick"), m=(10, 25), images=3, reference_m=25)
    seen: dict[tuple, set] = {}
    for methods, jobs in ((("zeros", "lasso-dct", "min-norm"), 1), (("lasso-dct", "zeros"), 2), (("lasso-dct",), 1)):
        for cell, outcome, given, _ in run_cells(make_cells(suite.narrowed(methods=methods)), jobs):
            assert outcome.x_hat is not None
            value = (outcome.x_hat.tobytes(), given.y.numpy().tobytes())
            seen.setdefault((cell.method_name, cell.problem), set()).add(value)
    assert len(seen) == 6
    assert all(len(values) == 1 for values in seen.values())


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_keeps_what_was_finished(csbench, tmp_path, tiny_suite, environment, faulty, stop):
    tiny_suite.write_text(tiny_suite.read_text().replace("m = [10, 25]", SLOW_SUITE_M))
    process = start_run(tmp_path, environment, tiny_suite, "--methods", "sleepy", "--jobs", "2")
    wait_for_cells(tmp_path / "results", 2)
    os.kill(process.pid, stop)
    _, stderr = process.communicate(timeout=120)
    if stop == signal.SIGINT:
        assert process.returncode == 130
        assert "Go on with: csbench run" in stderr
        finished = results(tmp_path)["m"].nunique()
    else:
        assert process.returncode == -signal.SIGKILL
        finished = journalled(tmp_path / "results")
    assert 2 <= finished < 9

    done = csbench("run", tiny_suite, "--methods", "sleepy")
    assert done.returncode == 0, done.stderr
    assert f"{9 - finished} cells run" in done.stdout
    frame = results(tmp_path)
    assert len(frame) == 27
    assert not frame.duplicated(["m", "draw", "image"]).any()


def test_a_changed_parameter_or_method_is_stale(csbench, tmp_path, tiny_suite, install_plugin):
    source = (
        "from csbench import Method\nimport torch\nfrom dataclasses import dataclass\n\n\n@dataclass(frozen=True)\n"
        + (
            'class Grey(Method):\n    """Grey."""\n    level: float = 0.5\n\n    def recover(self, given, rng):\n'
            "        return torch.full((given.batch, given.n), self.level)\n"
        )
    )
    path = install_plugin("grey", source)

    def run() -> str:
        done = csbench("run", tiny_suite, "--methods", "grey")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "2 cells run" in run()
    assert "0 cells run" in run()
    path.write_text(source.replace('"""Grey."""', '"""Grey, in other words."""  # a comment'))
    assert "0 cells run" in run(), "words do not change results"
    path.write_text(source.replace("self.level)", "1 - self.level)"))
    assert "2 cells run" in run(), "code does"
    path.write_text(source.replace("0.5", "0.25"))
    assert "2 cells run" in run(), "so do parameters"
    assert len(results(tmp_path)) == 6
    assert results(tmp_path)["made_by"].nunique() == 1


def test_status_remembers_only_what_still_holds(csbench, tmp_path, tiny_suite, install_plugin):
    """Any change of code, suite, results or of the answer itself asks for a new one."""
    source = (
        "from dataclasses import dataclass\nfrom csbench.methods.floor import Zeros\n"
        "@dataclass(frozen=True)\nclass Level(Zeros):\n    height: float = 0.5\n"
    )
    path = install_plugin("levels", source)

    def states() -> dict[str, int]:
        done = csbench("status", tiny_suite, "--methods", "level", "--json")
        assert done.returncode == 0, done.stderr
        counts = json.loads(done.stdout)["level"]
        return {state: count for state, count in counts.items() if count}

    assert states() == states() == {"missing": 2}
    assert csbench("run", tiny_suite, "--methods", "level").returncode == 0
    assert states() == states() == {"fresh": 2}

    memory = tmp_path / "results" / ".status.json"
    known = json.loads(memory.read_text())
    known["tiny"]["answer"]["counts"]["level"]["fresh"] = 17
    memory.write_text(json.dumps(known))
    assert states() == {"fresh": 2}, "an answer that somebody has changed is none"
    path.write_text(source + "LEVEL = 1\n")
    assert states() == {"fresh": 2}, "nothing uses it"
    path.write_text(source + "    def recover(self, given, rng):\n        return super().recover(given, rng)\n")
    assert states() == {"changed": 2}
    path.write_text(source)
    assert states() == {"fresh": 2}
    tiny_suite.write_text(tiny_suite.read_text().replace("draws = 1", "draws = 2"))
    assert states() == {"fresh": 2, "missing": 2}
    (tmp_path / "results" / "suite=tiny" / "method=level.parquet").unlink()
    assert states() == {"missing": 4}
    memory.write_text("{")
    assert states() == {"missing": 4}


def test_a_run_with_nothing_to_do_imports_no_torch(tmp_path, tiny_suite, environment):
    poison = tmp_path / "poison" / "torch"
    poison.mkdir(parents=True)
    (poison / "__init__.py").write_text("raise ImportError('torch is not to be imported')")
    poisoned = environment | {"PYTHONPATH": os.pathsep.join([str(poison.parent), environment["PYTHONPATH"]])}

    def run(environment: dict[str, str]) -> tuple[int, str]:
        process = start_run(tmp_path, environment, tiny_suite, "--methods", "zeros")
        stdout, stderr = process.communicate(timeout=180)
        return process.returncode, stdout + stderr

    assert "torch is not to be imported" in run(poisoned)[1], "else this test shows nothing"
    code, said = run(environment)
    assert (code, "2 cells run, 2 ok" in said) == (0, True), said
    code, said = run(poisoned)
    assert (code, "0 cells run" in said, "zeros" in said) == (0, True, True), said

    def status(environment: dict[str, str]) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "csbench", "status", str(tiny_suite)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert "torch is not to be imported" in status(poisoned).stderr, "nobody has asked that yet"
    answer = status(environment)
    assert answer.returncode == 0, answer.stderr
    assert status(poisoned).stdout == answer.stdout, "the second answer comes from memory"

    with sqlite3.connect(tmp_path / "results" / ".journal.sqlite") as journal:
        journal.execute("INSERT INTO cell VALUES ('key', 'print', 'tiny', 'zeros', 'ok', x'00')")
    assert "torch is not to be imported" in run(poisoned)[1], "cells that another run has left come first"


def test_states_tell_stale_from_missing():
    cells = make_cells(replace(load_suite("quick"), m=(10, 25), reference_m=25).narrowed(methods=("zeros",)))
    made_of = cells[0].made_of

    def states(**stored: Any) -> list[str]:
        """Of the two cells, where the first is stored as today but for these fields."""
        known = Stored(cells[0].id.key, cells[0].id.made_by, "ok", made_of)
        place = ("zeros", 10, 0.1, 0)
        published = {place: replace(known, **stored)}
        return [verdict.state for _, verdict in verdicts(cells, published, {}, Lineage())]

    def other(**changes: Any) -> dict[str, Any]:
        changed = replace(made_of, **changes)
        return {"made_of": changed, "made_by": changed.made_by}

    assert states() == ["fresh", "missing"]
    assert states(status="failed") == ["failed", "missing"]
    assert states(status="not_applicable") == ["not_applicable", "missing"]
    assert states(key="of another version")[0] == "stale"
    assert states(made_by="older", made_of=None)[0] == "stale"
    assert states(**other(code={}))[0] == "changed"
    assert states(**other(packages=made_of.packages | {"torch": "2.0"}))[0] == "changed"
    assert states(**other(params={"level": 1}))[0] == "stale"
    assert states(**other(files={"weights": "x"}))[0] == "stale"
    assert states(**other(images={name: "x" for name in made_of.images}))[0] == "stale"


def test_provenance_is_stored_and_names_no_path(csbench, tmp_path, tiny_suite):
    from csbench.results.folder import results_file
    from csbench.results.store import read_provenance

    assert csbench("run", "quick", "--methods", "zeros", "--images", "2").returncode == 0
    (run,) = read_provenance(results_file(tmp_path / "results", "quick~images=2", "zeros")).values()
    assert run["command"] == "csbench run quick --methods zeros --images 2"
    assert run["packages"]["torch"].startswith("2.")
    assert str(tmp_path) not in str(run)
