"""Faults that are injected for real: kills, memory bombs, full disks, damaged files, runs beside each other."""

import os
import random
import signal
import sqlite3
import subprocess
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from csbench import Method, load_results, load_suite
from csbench.core.errors import ResultsError
from csbench.results.folder import results_file
from csbench.results.journal import Journal
from csbench.runner.limits import Limits
from csbench.runner.local import run_cells
from csbench.runner.plan import Cell, make_cells
from tests.processes import journalled, linux, marked, start_run, wait_for_cells, workers

pytestmark = pytest.mark.faults

PLUGIN = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
import torch
from csbench import Method

def grey(given, rng):
    return torch.rand(given.batch, given.n, generator=rng, dtype=given.y.dtype)

@dataclass(frozen=True)
class Steady(Method):
    \"\"\"Takes a third of a second.\"\"\"
    def recover(self, given, rng):
        time.sleep(0.3)
        return grey(given, rng)

@dataclass(frozen=True)
class Bomb(Method):
    \"\"\"Allocates without end at m = 25.\"\"\"
    def recover(self, given, rng):
        hoard = []
        while given.m == 25:
            hoard.append(torch.ones(50_000_000))
        return grey(given, rng)

@dataclass(frozen=True)
class Killer(Method):
    \"\"\"Kills all other children of its parent, thirty times.\"\"\"
    def recover(self, given, rng):
        for _ in range(30):
            for task in Path(f"/proc/{os.getppid()}/task").iterdir():
                for child in map(int, (task / "children").read_text().split()):
                    if child != os.getpid():
                        os.kill(child, signal.SIGKILL)
            time.sleep(0.01)
        return grey(given, rng)

@dataclass(frozen=True)
class Patricide(Method):
    \"\"\"Kills its parent at m = 11, and with it all that this has forked.\"\"\"
    def recover(self, given, rng):
        if given.m == 11:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        return grey(given, rng)

@dataclass(frozen=True)
class Loud(Method):
    \"\"\"Prints megabytes past Python, takes all threads and leaves the folder.\"\"\"
    def recover(self, given, rng):
        for _ in range(20):
            os.write(1, b"NOISE" * 20_000)
            os.write(2, b"NOISE" * 20_000)
        torch.set_num_threads(7)
        torch.manual_seed(0)
        return grey(given, rng)
"""

MANY_M = "m = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 25]"
COLUMNS = ["method", "m", "draw", "image", "status", "mse", "y_sha256"]


@pytest.fixture
def plugin(install_plugin):
    install_plugin("faults", PLUGIN)


@pytest.fixture
def many(tiny_suite) -> Path:
    tiny_suite.write_text(tiny_suite.read_text().replace("m = [10, 25]", MANY_M))
    return tiny_suite


def complete(frame: pd.DataFrame) -> None:
    assert len(frame) == 36
    assert not frame.duplicated(["m", "draw", "image"]).any()
    assert (frame["status"] == "ok").all()


def test_a_memory_bomb_costs_its_own_cell(csbench, tmp_path, tiny_suite, plugin):
    done = csbench("run", tiny_suite, "--methods", "bomb,zeros", "--memory", "3", "--jobs", "2")
    assert done.returncode == 1
    frame = load_results("tiny", tmp_path / "results")
    status = frame.groupby(["method", "m"])["status"].first()
    assert status["bomb", 25] == "out_of_memory"
    assert (status.drop(("bomb", 25)) == "ok").all()


@linux
def test_a_method_that_kills_the_other_workers_harms_nobody(csbench, tmp_path, many, plugin):
    done = csbench("run", many, "--methods", "killer,steady", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "24 cells run, 24 ok" in done.stdout
    frame = load_results("tiny", tmp_path / "results")
    assert len(frame) == 72
    assert not frame.duplicated(["method", "m", "draw", "image"]).any()


@linux
def test_a_method_that_kills_its_parent_costs_its_own_cell(csbench, tmp_path, many, plugin):
    done = csbench("run", many, "--methods", "patricide,steady", "--jobs", "2")
    assert done.returncode == 1, done.stderr
    assert "24 cells run, 23 ok" in done.stdout, done.stderr
    frame = load_results("tiny", tmp_path / "results")
    assert not frame.duplicated(["method", "m", "draw", "image"]).any()
    bad = frame[frame["status"] != "ok"]
    assert set(zip(bad["method"], bad["m"], bad["status"], strict=True)) == {("patricide", 11, "failed")}
    assert all("the worker process died" in reason for reason in bad["reason"])


def test_noise_threads_and_seeds_reach_nobody(csbench, tmp_path, tiny_suite, plugin):
    done = csbench("run", tiny_suite, "--methods", "loud,csgm-vae-fast", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert "NOISE" not in done.stdout + done.stderr
    beside = load_results("tiny", tmp_path / "results")
    assert csbench("run", tiny_suite, "--methods", "csgm-vae-fast", "--results", "alone").returncode == 0
    alone = load_results("tiny", tmp_path / "alone")
    mine = beside[beside["method"] == "csgm-vae-fast"].reset_index(drop=True)
    assert mine["mse"].tolist() == alone["mse"].tolist()
    assert set(mine["threads"]) == {1}


@dataclass(frozen=True)
class Stubborn(Method):
    """Computes for ever and ignores SIGTERM."""

    def recover(self, given, rng):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            torch.ones(100).sum()


def cells(*methods: Method) -> list[Cell]:
    suite = replace(load_suite("quick"), m=(10,), images=2, reference_m=10)
    (cell,) = make_cells(suite.narrowed(methods=("zeros",)))
    return [cell, *(replace(cell, method=method, method_name=method.name) for method in methods), cell]


def test_a_limit_of_one_method_binds_within_two_seconds():
    times, statuses = [], []
    for cell, outcome, _, _ in run_cells(cells(Stubborn()), 1, Limits(of_method={"stubborn": 1.0})):
        times.append(time.monotonic())
        statuses.append((cell.method_name, outcome.status))
    assert statuses == [("zeros", "ok"), ("zeros", "ok"), ("stubborn", "timeout")], "cells of a method come together"
    assert times[2] - times[1] < 1 + 2


@linux
def test_a_cell_whose_worker_was_killed_runs_once_more(tmp_path, many, environment, plugin):
    process = start_run(tmp_path, environment, many, "--methods", "steady", "--jobs", "2")
    wait_for_cells(tmp_path / "results", 2)
    os.kill(workers(process.pid)[0], signal.SIGKILL)
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr
    complete(load_results("tiny", tmp_path / "results"))


@linux
@pytest.mark.slow
def test_twenty_kills_at_random_moments(csbench, tmp_path, many, environment, plugin):
    """Nothing that was finished is lost, nothing is there twice, and no process is left behind."""
    many.write_text(many.read_text().replace("draws = 1", "draws = 5"))
    (tmp_path / "tmp").mkdir()
    environment["TMPDIR"] = str(tmp_path / "tmp")
    chance = random.Random(0)
    finished = 0
    for _ in range(20):
        mark = f"mark-{uuid.uuid4().hex}"
        process = start_run(tmp_path, environment | {"CSBENCH_TEST": mark}, many, "--methods", "steady")
        time.sleep(chance.uniform(0.5, 6.0))
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 10
        while marked(mark):
            assert time.monotonic() < deadline, "workers outlive their parent"
            time.sleep(0.1)
        stored = results_file(tmp_path / "results", "tiny", "steady")
        now = journalled(tmp_path / "results") + (
            len(load_results("tiny", tmp_path / "results")) // 3 if stored.exists() else 0
        )
        assert now >= finished
        finished = now
    assert finished > 10
    done = csbench("run", many, "--methods", "steady", timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"{60 - finished} cells run" in done.stdout
    assert csbench("run", many, "--methods", "steady", "--results", "undisturbed", timeout=300).returncode == 0
    frames = [load_results("tiny", tmp_path / name)[COLUMNS] for name in ("results", "undisturbed")]
    assert len(frames[0]) == 180
    assert frames[0].equals(frames[1])
    assert not list((tmp_path / "tmp").glob("csbench-run*")), "the next run tidies up"


def test_two_runs_at_once_on_the_same_results(tmp_path, many, environment, plugin):
    both = [start_run(tmp_path, environment, many, "--methods", "steady", "--jobs", "1") for _ in range(2)]
    for process in both:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    complete(load_results("tiny", tmp_path / "results"))


def test_a_full_disk_stops_the_run_and_loses_nothing(csbench, tmp_path, many, environment, plugin):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", disk]).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        results = disk / "results"
        assert csbench("run", many, "--methods", "zeros", "--results", results).returncode == 0
        earlier = load_results("tiny", results)
        (disk / "ballast").write_bytes(b"")
        with (disk / "ballast").open("wb", buffering=0) as ballast:
            room = os.statvfs(disk)
            ballast.write(bytes(room.f_bavail * room.f_frsize - 40_000))
        done = csbench("run", many, "--methods", "steady", "--results", results)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "full" in done.stderr or "No space left" in done.stderr, done.stderr
        assert load_results("tiny", results).equals(earlier)
        (disk / "ballast").unlink()
        assert csbench("run", many, "--methods", "steady", "--results", results).returncode == 0
        frame = load_results("tiny", results)
        complete(frame[frame["method"] == "steady"])
    finally:
        subprocess.run(["umount", disk], check=True)


def flipped(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(data))


def test_a_flipped_bit_in_a_results_file_never_gives_a_wrong_row(csbench, tmp_path, tiny_suite):
    assert csbench("run", tiny_suite, "--methods", "min-norm").returncode == 0
    path = results_file(tmp_path / "results", "tiny", "min-norm")
    good, whole = path.read_bytes(), load_results("tiny", tmp_path / "results")
    chance, refused = random.Random(0), 0
    for _ in range(300):
        flipped(path, chance)
        try:
            found = load_results("tiny", tmp_path / "results")
        except ResultsError:
            refused += 1
        else:
            assert found.equals(whole)
        path.write_bytes(good)
    assert refused > 100
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(ResultsError, match="not a whole Parquet file"):
        load_results("tiny", tmp_path / "results")


def test_a_damaged_journal_never_gives_a_wrong_row(csbench, tmp_path, tiny_suite, environment, plugin):
    """Each flip either is found out, or costs cells that run again; what is published is right."""
    process = start_run(tmp_path, environment, tiny_suite, "--methods", "steady", "--jobs", "1")
    wait_for_cells(tmp_path / "results", 1)
    process.kill()
    process.communicate()
    with sqlite3.connect(tmp_path / "results" / ".journal.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal = tmp_path / "results" / ".journal.sqlite"
    good = journal.read_bytes()
    with Journal(tmp_path / "results") as whole:
        whole.compact()
    right = load_results("tiny", tmp_path / "results")[COLUMNS]
    chance, refused, lost = random.Random(1), 0, 0
    for _ in range(200):
        for leftover in (tmp_path / "results").rglob("*"):
            if leftover.is_file():
                leftover.unlink()
        journal.write_bytes(good)
        flipped(journal, chance)
        try:
            with Journal(tmp_path / "results") as damaged:
                damaged.compact()
            found = load_results("tiny", tmp_path / "results")
        except ResultsError:
            refused += 1
            continue
        lost += len(found) < len(right)
        kept = found[COLUMNS].reset_index(drop=True)
        assert kept.equals(right[right["m"].isin(kept["m"])].reset_index(drop=True))
    assert refused + lost > 20
