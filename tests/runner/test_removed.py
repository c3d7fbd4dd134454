"""Somebody removes what a run keeps in TMPDIR while cells run, or between them: a person, a batch system, a cleaner."""

import os
import shutil
import signal
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from csbench import load_results, load_suite
from csbench.core.errors import CsbenchError, ResultsError
from csbench.runner.limits import NO_LIMITS
from csbench.runner.local import run_cells, run_in
from csbench.runner.plan import Cell, make_cells
from csbench.runner.pool import open_pool
from tests.processes import linux, marked, server, start_run, wait_for_cells

pytestmark = [linux, pytest.mark.faults]

SOURCE = '''
import os, time
from dataclasses import dataclass
from pathlib import Path
import torch
from csbench import Method

def late(name, given, rng):
    answer = torch.rand(given.batch, given.n, generator=rng, dtype=given.y.dtype)
    time.sleep(0.5)
    Path(os.environ["CSBENCH_TEST_FOLDER"], f"{name}-{given.m}").touch()
    return answer

@dataclass(frozen=True)
class One(Method):
    """Takes half a second, and notes that it has computed something."""
    def recover(self, given, rng):
        return late("one", given, rng)

@dataclass(frozen=True)
class Other(Method):
    """The same."""
    def recover(self, given, rng):
        return late("other", given, rng)
'''
COLUMNS = ["method", "m", "image", "status", "mse", "y_sha256"]


@pytest.fixture
def folder(tmp_path, environment) -> Path:
    """TMPDIR of the runs."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "noted").mkdir()
    environment |= {"TMPDIR": str(tmp_path / "tmp"), "CSBENCH_TEST_FOLDER": str(tmp_path / "noted")}
    environment["CSBENCH_TEST"] = f"mark-{uuid.uuid4().hex}"
    return tmp_path / "tmp"


@pytest.fixture
def many(tiny_suite, install_plugin) -> Path:
    install_plugin("removed", SOURCE)
    tiny_suite.write_text(tiny_suite.read_text().replace("m = [10, 25]", "m = [10, 11, 12, 13, 14, 25]"))
    return tiny_suite


def scratch(folder: Path) -> Path:
    (found,) = folder.glob("csbench-run-*")
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "methods"), [(scratch, "one"), (lambda folder: folder, "one,other")], ids=["the run's folder", "TMPDIR"]
)
def test_a_folder_that_is_removed_while_cells_run(csbench, tmp_path, many, environment, folder, what, methods):
    arguments = ("--methods", methods, "--jobs", "2")
    process = start_run(tmp_path, environment, many, *arguments)
    wait_for_cells(tmp_path / "results", 2)
    gone = scratch(folder)
    shutil.rmtree(what(folder))
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert stderr.strip().splitlines()[-1].startswith(f"csbench: {gone}: somebody has removed this folder")
    assert stderr.count("somebody") == 1
    assert "Traceback" not in stderr
    assert not marked(environment["CSBENCH_TEST"])
    kept = load_results("tiny", tmp_path / "results")
    assert set(kept["status"]) == {"ok"}, "no method is blamed"
    assert len(kept) == 3 * len(list((tmp_path / "noted").iterdir())), "what ran when it was removed is kept as well"
    folder.mkdir(exist_ok=True)
    done = csbench("run", many, *arguments)
    assert done.returncode == 0, done.stderr
    again = load_results("tiny", tmp_path / "results")
    assert len(again) == 18 * len(methods.split(","))
    assert set(again["status"]) == {"ok"}
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_measurements_that_are_removed_are_simulated_again(csbench, tmp_path, many, environment, folder):
    """What tidies TMPDIR takes old files, and leaves the folder."""
    process = start_run(tmp_path, environment, many, "--methods", "one,other", "--jobs", "2")
    for cells in (2, 6):
        wait_for_cells(tmp_path / "results", cells)
        for file in scratch(folder).glob("*.pt"):
            file.unlink()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert csbench("run", many, "--methods", "one,other", "--results", "undisturbed").returncode == 0
    frames = [load_results("tiny", tmp_path / name)[COLUMNS] for name in ("results", "undisturbed")]
    assert len(frames[0]) == 36
    assert frames[0].equals(frames[1])


@pytest.mark.slow
def test_the_server_ends_when_the_folder_is_gone(tmp_path, many, environment, folder):
    process = start_run(tmp_path, environment, many, "--methods", "one", "--jobs", "2")
    wait_for_cells(tmp_path / "results", 2)
    shutil.rmtree(folder)
    os.kill(server(process.pid), signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "hat is finished is kept" in stderr.strip().splitlines()[-1]
    assert "Traceback" not in stderr
    assert not marked(environment["CSBENCH_TEST"])
    assert set(load_results("tiny", tmp_path / "results")["status"]) == {"ok"}


@pytest.fixture
def cells(folder, monkeypatch) -> list[Cell]:
    """Two problems, and two methods for each."""
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    suite = replace(load_suite("quick"), m=(10, 25), draws=1, images=2, reference_m=25)
    return make_cells(suite.narrowed(methods=("zeros", "min-norm")))


def test_a_folder_that_is_removed_between_two_cells(cells, folder):
    run = run_cells(cells, 1)
    outcomes = [next(run)[1]]
    shutil.rmtree(scratch(folder))
    with pytest.raises(ResultsError, match="somebody has removed this folder"):
        outcomes.extend(outcome for _, outcome, _, _ in run)
    assert {outcome.status for outcome in outcomes} == {"ok"}


def test_a_folder_that_is_removed_while_nothing_runs(cells, folder):
    with open_pool(1, NO_LIMITS) as pool:
        assert len(list(run_in(pool, cells, 1, NO_LIMITS))) == 4
        shutil.rmtree(folder)
        with pytest.raises(CsbenchError, match="somebody has removed this folder"):
            next(run_in(pool, cells, 1, NO_LIMITS))
    assert not folder.exists()
