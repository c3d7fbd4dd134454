"""However a run ends, nothing that it started goes on, and nothing that was finished is lost."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable

import pytest

from csbench import load_results
from tests.processes import journalled, keepers, linux, marked, server, start_run, wait_for_cells, workers
from tests.runner.misbehaving import SOURCE

pytestmark = [linux, pytest.mark.faults, pytest.mark.slow]
STEADY = '''
import time
from dataclasses import dataclass
import torch
from csbench import Method

@dataclass(frozen=True)
class Steady(Method):
    """Takes a third of a second."""
    def recover(self, given, rng):
        time.sleep(0.3)
        return torch.rand(given.batch, given.n, generator=rng, dtype=given.y.dtype)
'''
MANY_M = "m = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 25]"


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def mark(environment) -> str:
    environment["CSBENCH_TEST"] = f"mark-{uuid.uuid4().hex}"
    return environment["CSBENCH_TEST"]


@pytest.fixture
def many(tiny_suite):
    tiny_suite.write_text(tiny_suite.read_text().replace("m = [10, 25]", MANY_M))
    return tiny_suite


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, signal.SIGTERM]
    + [pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)],
)
def test_no_process_is_left_within_two_seconds(tmp_path, tiny_suite, environment, install_plugin, mark, number):
    """Of cells that never return, in Python and in compiled code that holds the lock, and of what they started."""
    install_plugin("misbehaving", SOURCE)
    process = start_run(tmp_path, environment, tiny_suite, "--methods", "loops,loops-compiled", "--jobs", "2")
    everything = 2 + 2 + 2 + 2  # run and server, keepers, methods, and what these have started
    wait_until(lambda: len(marked(mark)) >= everything, 90, "the cells do not begin")
    process.send_signal(number)
    sent = time.monotonic()
    wait_until(lambda: not set(marked(mark)) - {process.pid}, 2, "processes outlive the run")
    _, stderr = process.communicate(timeout=20)
    assert not marked(mark), f"after {time.monotonic() - sent:.1f} s"
    dies = number in (signal.SIGKILL, signal.SIGQUIT)
    assert process.returncode == (-number if dies else 128 + number)
    assert dies or "Go on with: csbench run" in stderr
    assert "Traceback" not in stderr


@pytest.mark.slow
@pytest.mark.parametrize("whom", [server, lambda pid: keepers(pid)[0], lambda pid: workers(pid)[0]])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_outlives_its_processes(tmp_path, many, environment, install_plugin, mark, whom, number):
    install_plugin("steady", STEADY)
    process = start_run(tmp_path, environment, many, "--methods", "steady", "--jobs", "2")
    wait_for_cells(tmp_path / "results", 2)
    os.kill(whom(process.pid), number)
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 0, stderr
    frame = load_results("tiny", tmp_path / "results")
    assert len(frame) == 36
    assert (frame["status"] == "ok").all()
    assert not marked(mark)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "times"),
    [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGINT, 6), (signal.SIGTERM, 2), (signal.SIGHUP, 1)],
)
def test_interruptions_keep_what_is_finished(tmp_path, many, environment, install_plugin, mark, number, times):
    install_plugin("steady", STEADY)
    process = start_run(tmp_path, environment, many, "--methods", "steady", "--jobs", "2")
    wait_for_cells(tmp_path / "results", 2)
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.05)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert stderr.count("Go on with: csbench run") == 1
    assert "Traceback" not in stderr
    assert not marked(mark)
    assert journalled(tmp_path / "results") == 0, "all is in Parquet"
    assert 6 <= len(load_results("tiny", tmp_path / "results")) < 36


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.4, 1.0, 2.0])
def test_an_early_interruption_says_the_same(tmp_path, many, environment, install_plugin, mark, delay):
    install_plugin("steady", STEADY)
    process = start_run(tmp_path, environment, many, "--methods", "steady", "--jobs", "2")
    wait_until(lambda: caught(process.pid, signal.SIGTERM) or process.poll() is not None, 120, "no handler is set")
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert not marked(mark)


def caught(pid: int, number: int) -> bool:
    with open(f"/proc/{pid}/status") as file:
        mask = next(line.split()[1] for line in file if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_a_terminal_that_closes(tmp_path, many, environment, install_plugin, mark):
    """The terminal is gone when the run says its last words, and still all is kept."""
    install_plugin("steady", STEADY)
    master, slave = os.openpty()
    command = [sys.executable, "-m", "csbench", "run", str(many), "--methods", "steady", "--jobs", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    wait_for_cells(tmp_path / "results", 1)
    process.send_signal(signal.SIGHUP)  # as the kernel does to whom the terminal controls
    os.close(master)
    assert process.wait(120) == 128 + signal.SIGHUP
    assert not marked(mark)
    assert len(load_results("tiny", tmp_path / "results")) >= 3


def test_a_signal_that_is_ignored_stays_ignored(tmp_path, many, environment, install_plugin):
    install_plugin("steady", STEADY)
    command = [sys.executable, "-m", "csbench", "run", str(many), "--methods", "steady", "--jobs", "2"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(["nohup", *command], cwd=tmp_path, env=environment, stdout=quiet, stderr=quiet)
    wait_for_cells(tmp_path / "results", 2)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0
