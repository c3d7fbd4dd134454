"""The same cells on Dask: a real scheduler and two real workers on loopback, one of which is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from csbench import load_results
from csbench.core.errors import UsageError
from csbench.results.folder import results_file
from csbench.results.store import read_provenance
from csbench.runner import cluster
from csbench.runner.cluster import start
from tests.processes import linux, start_run, wait_for_cells

PLUGIN = """
import os, signal, time
from dataclasses import dataclass
import torch
from csbench import Method

LEVEL = 0.5

@dataclass(frozen=True)
class Steady(Method):
    \"\"\"Takes a fifth of a second.\"\"\"
    def recover(self, given, rng):
        time.sleep(0.2)
        return LEVEL * torch.rand(given.batch, given.n, generator=rng, dtype=given.y.dtype)

@dataclass(frozen=True)
class Crash(Method):
    \"\"\"Dies at m = 25.\"\"\"
    def recover(self, given, rng):
        if given.m == 25:
            os.kill(os.getpid(), signal.SIGSEGV)
        return torch.zeros(given.batch, given.n)
"""
COLUMNS = ["method", "m", "draw", "image", "status", "mse", "y_sha256"]


class Dask:
    """A scheduler and its workers."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.environment = environment
        self.file = folder / "scheduler.json"
        self.processes = []
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self.file))
        deadline = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < deadline, "no scheduler"
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text())["address"]

    def worker(self, **changes: str) -> subprocess.Popen:
        """Another worker, in a process group of its own."""
        return self._start("worker", self.address, "--nthreads", "1", **changes)

    def _start(self, *arguments: str, **changes: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment | changes,
            stdout=quiet,
            stderr=quiet,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def dask(tmp_path, environment) -> Iterator[Dask]:
    started = Dask(tmp_path, environment)
    yield started
    started.close()


@linux
def test_a_run_survives_a_crash_and_the_loss_of_a_worker(
    csbench, tmp_path, tiny_suite, environment, dask, install_plugin
):
    install_plugin("cluster", PLUGIN)
    many = tiny_suite.read_text().replace("m = [10, 25]", "m = [10, 11, 12, 13, 25]").replace("draws = 1", "draws = 2")
    tiny_suite.write_text(many)
    workers = [dask.worker(), dask.worker()]
    process = start_run(tmp_path, environment, tiny_suite, "--methods", "steady,crash", "--dask", dask.address)
    wait_for_cells(tmp_path / "results", 4)
    os.killpg(workers[0].pid, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 1, stderr
    assert "20 cells run, 18 ok" in stdout
    assert workers[1].poll() is None, "a method that crashes kills no Dask worker"
    frame = load_results("tiny", tmp_path / "results")
    assert len(frame) == 60
    assert not frame.duplicated(["method", "m", "draw", "image"]).any()
    crashed = frame[frame["status"] != "ok"]
    assert set(zip(crashed["method"], crashed["m"], crashed["status"], strict=True)) == {("crash", 25, "failed")}
    assert all("SIGSEGV" in reason for reason in crashed["reason"])
    (facts,) = read_provenance(results_file(tmp_path / "results", "tiny", "steady")).values()
    assert facts["machines"][0]["packages"] == facts["packages"]

    alone = ["--methods", "steady,crash", "--results", "alone"]
    assert csbench("run", tiny_suite, *alone).returncode == 1
    assert load_results("tiny", tmp_path / "alone")[COLUMNS].equals(frame[COLUMNS])


def test_ctrl_c_keeps_what_is_finished_and_frees_the_workers(tmp_path, tiny_suite, environment, dask, install_plugin):
    install_plugin("cluster", PLUGIN)
    tiny_suite.write_text(tiny_suite.read_text().replace("draws = 1", "draws = 8"))
    dask.worker()
    arguments = ("--methods", "steady", "--dask", dask.address)
    process = start_run(tmp_path, environment, tiny_suite, *arguments)
    wait_for_cells(tmp_path / "results", 2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Go on with: csbench run" in stderr
    finished = load_results("tiny", tmp_path / "results").groupby(["m", "draw"]).ngroups
    assert 2 <= finished < 16

    again = start_run(tmp_path, environment, tiny_suite, *arguments)  # waits in vain, should the first hold the worker
    stdout, stderr = again.communicate(timeout=180)
    assert again.returncode == 0, stderr
    assert f"{16 - finished} cells run, {16 - finished} ok" in stdout
    assert len(load_results("tiny", tmp_path / "results")) == 48


def test_workers_with_other_code_are_refused(csbench, tmp_path, tiny_suite, dask, install_plugin):
    path = install_plugin("cluster", PLUGIN)
    theirs = tmp_path / "theirs"
    path.parent.rename(theirs)
    install_plugin("cluster", PLUGIN.replace("LEVEL = 0.5", "LEVEL = 0.25"))
    dask.worker(PYTHONPATH=dask.environment["PYTHONPATH"].replace(str(tmp_path / "plugins"), str(theirs)))
    done = csbench("run", tiny_suite, "--methods", "steady", "--dask", dask.address)
    assert done.returncode == 1
    assert "has other code, parameters or weights of steady than this machine" in done.stderr
    assert not results_file(tmp_path / "results", "tiny", "steady").exists()


def test_a_cluster_from_a_file(csbench, tmp_path, tiny_suite):
    path = tmp_path / "cluster.yml"
    path.write_text(
        "cluster: distributed.LocalCluster\noptions: {n_workers: 2, threads_per_worker: 1, dashboard_address: null}\n"
    )
    done = csbench("run", tiny_suite, "--methods", "zeros", "--dask-cluster", path)
    assert done.returncode == 0, done.stderr
    assert "2 cells run, 2 ok" in done.stdout
    assert "a Dask cluster with 2 workers" in done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("options: {}", "field cluster is missing"),
        ("cluster: 3", "cluster must be a text"),
        ("cluster: distributed.LocalCluster\nworkers: 3", "unknown field workers; there are cluster, options, scale"),
        ("cluster: no_such.Cluster", "cannot import no_such.Cluster"),
        ("cluster: distributed.LocalCluster\noptions: {cores: 3}", "distributed.LocalCluster does not start"),
        ("cluster: [", "expected the node content"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path, text, message):
    path = tmp_path / "cluster.yml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message), start(path, print):
        pass


def test_a_scheduler_that_does_not_answer(csbench, tiny_suite, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with pytest.raises(UsageError, match="no scheduler answers there"), cluster.connect("tcp://127.0.0.1:9", print):
        pass
    assert csbench("run", tiny_suite, "--jobs", "2", "--dask", "tcp://127.0.0.1:9").returncode == 2
