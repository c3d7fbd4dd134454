"""Runs that share a TMPDIR, as containers and hosts may, leave each other's folders alone."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from csbench import load_results
from csbench.core.errors import ResultsError
from csbench.runner import scratch as module
from csbench.runner.scratch import LOCK, scratch, sweep
from tests.processes import linux

pytestmark = pytest.mark.faults

HOLD = """
import time
from csbench.runner.scratch import scratch
with scratch() as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def held(*before: str) -> tuple[subprocess.Popen, Path]:
    """A process that holds a folder, and the folder."""
    process = subprocess.Popen([*before, sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_lasts_as_long_as_its_run(root):
    with scratch() as mine:
        sweep(root)
        assert mine.is_dir()
    assert not mine.exists()
    process, theirs = held()
    with process:
        sweep(root)
        assert theirs.is_dir()
        process.send_signal(signal.SIGKILL)
        process.wait()
        sweep(root)
        assert not theirs.exists()


@linux
def test_two_containers_whose_runs_are_both_process_1(root):
    alone = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a namespace")
    (one, first), (two, second) = held(*alone), held(*alone)
    with one, two:
        sweep(root)
        assert first.is_dir()
        assert second.is_dir()
        one.kill()
        one.wait()
        deadline = time.monotonic() + 10
        while first.exists():
            assert time.monotonic() < deadline
            sweep(root)
        assert second.is_dir()
        two.kill()


def test_what_is_not_a_runs_stays(root):
    (root / "csbench-of-mine").mkdir()
    (root / "csbench-run-file").write_text("")
    (root / "csbench-run-link").symlink_to(root / "csbench-of-mine")
    (root / "csbench-run.new").mkdir()
    sweep(root)
    assert len(list(root.iterdir())) == 4
    old = time.time() - 2 * module.FORGOTTEN_SECONDS
    for folder in ("csbench-of-mine", "csbench-run.new"):
        os.utime(root / folder, (old, old))
    sweep(root)
    assert not (root / "csbench-run.new").exists(), "left by a run that was killed before it had its lock"
    assert (root / "csbench-of-mine").exists()


def test_a_removal_that_was_killed_is_finished(root):
    (root / "csbench-run-half").mkdir()
    (root / "csbench-run-half" / "measurements.pt").write_text("")
    sweep(root)
    assert not list(root.iterdir())


def test_the_lock_is_no_others_to_take(root):
    with scratch() as folder:
        assert (folder / LOCK).exists()
        done = subprocess.run(["flock", "--nonblock", folder / LOCK, "true"]) if shutil.which("flock") else None
        assert done is None or done.returncode == 1


def test_a_tmpdir_that_is_gone_is_named(root):
    root.rmdir()
    with pytest.raises(ResultsError, match="set TMPDIR"), scratch():
        pass


def test_a_tmpdir_of_a_hundred_characters(csbench, tmp_path, tiny_suite, environment):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    environment["TMPDIR"] = str(folder)
    done = csbench("run", tiny_suite, "--methods", "zeros", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert len(load_results("tiny", tmp_path / "results")) == 6
    assert not list(folder.glob("csbench-*"))
