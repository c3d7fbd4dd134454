"""Whatever a method does to its process, every other method's rows are what they are alone."""

import random
import uuid

import pytest

from csbench import load_results
from tests.processes import linux, marked
from tests.runner.misbehaving import SOURCE

pytestmark = [pytest.mark.faults, pytest.mark.slow]

EXPECTED = {
    "honest": ("ok", None),
    "rival": ("ok", None),
    "patches": ("ok", None),
    "clock": ("ok", None),
    "threads": ("ok", None),
    "settings": ("ok", None),
    "descriptors": ("ok", None),
    "limits": ("ok", None),
    "hoards": ("ok", None),
    "twice": ("ok", "a process that it left behind was ended"),
    "children": ("ok", "4 processes that it left behind were ended with its cell"),
    "shares": ("out_of_memory", "above the limit of 3.00 GB"),
    "leaves-quietly": ("failed", "exit code 0"),
    "closes": ("failed", "the worker process died"),
    "stops": ("failed", "stopped by signal SIGSTOP"),
    "stops-its-parent": ("failed", "stopped by signal SIGSTOP"),
    "kills-its-parent": ("failed", "signal SIGKILL"),
    "loops": ("timeout", "took longer than 4 s"),
    "loops-compiled": ("timeout", "took longer than 4 s"),
    "lies": ("failed", "shapes [[1, 1]] where [[3, 784]] were expected"),
    "smuggles": ("failed", "no answer"),
    "surrogate": ("failed", "udcff"),
    "without-words": ("failed", "Wordless"),
    "odd-names": ("failed", "diagnostic '<img src=x>'"),
    "many-names": ("failed", "diagnostic"),
    "gigantic": ("failed", "the worker process sent a message of"),
}
NUMBERS = ["m", "image", "status", "mse", "ssim", "measurement_error", "diag_iterations", "y_sha256", "threads"]


def agrees(status: str, reason: str, expected: str, part: str | None) -> bool:
    return status == expected and (part in reason if part else not reason)


@linux
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_no_method_reaches_another(csbench, tmp_path, tiny_suite, install_plugin, environment, jobs):
    install_plugin("misbehaving", SOURCE)
    mark = f"mark-{uuid.uuid4().hex}"
    environment["CSBENCH_TEST"], environment["CSBENCH_TEST_FOLDER"] = mark, str(tmp_path)
    tiny_suite.write_text(tiny_suite.read_text().replace("m = [10, 25]", "m = [25]"))
    names = list(EXPECTED)
    random.Random(jobs).shuffle(names)
    names.remove("honest")
    names.append("honest")  # after all that the others have done, where there is one worker
    done = csbench(
        "run", tiny_suite, "--methods", ",".join(names), "--jobs", jobs, "--timeout", "60,loops=4,loops-compiled=4",
        "--memory", "3", timeout=400,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    assert not marked(mark)
    assert not (tmp_path / "unpickled").exists()
    frame = load_results("tiny", tmp_path / "results")
    assert len(frame) == 3 * len(EXPECTED), "a row for each image, whatever happened"
    first = frame.fillna({"reason": ""}).groupby("method").first()
    found = {name: (first.loc[name, "status"], first.loc[name, "reason"]) for name in EXPECTED}
    wrong = {name: found[name] for name, (status, said) in EXPECTED.items() if not agrees(*found[name], status, said)}
    assert not wrong
    assert (frame.groupby("method")["status"].nunique() == 1).all()
    assert all(len(reason) <= 2000 for _, reason in found.values())
    assert first.loc["clock", "cell_wall_seconds"] >= 0.29, "the clock is not the method's"
    assert first.loc["honest", "peak_memory_mb"] < 600
    assert csbench("run", tiny_suite, "--methods", "honest", "--results", "alone").returncode == 0
    alone = load_results("tiny", tmp_path / "alone")
    mine = frame[frame["method"] == "honest"].reset_index(drop=True)
    assert mine[NUMBERS].equals(alone[NUMBERS])


@linux
def test_a_cell_that_changes_its_process_does_not_reach_its_own_next_cell(
    csbench, tmp_path, tiny_suite, install_plugin
):
    install_plugin("misbehaving", SOURCE)
    names = "settings,patches,descriptors,limits,threads,children"
    assert csbench("run", tiny_suite, "--methods", names, "--jobs", "1").returncode == 0
    assert (load_results("tiny", tmp_path / "results")["status"] == "ok").all()
