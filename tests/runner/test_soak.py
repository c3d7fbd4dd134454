"""An hour of bad luck: runs that share a results folder are killed at random moments, and given random inputs.

CSBENCH_SOAK_MINUTES sets how long (60), CSBENCH_SOAK_SEED where chance begins (0): `pytest -m soak -n 0 -s`.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from csbench import load_results
from csbench.core.errors import CsbenchError
from tests.conftest import ROOT, TINY_SUITE
from tests.processes import journalled, linux, marked, start_run

pytestmark = [pytest.mark.soak, linux]

MINUTES = float(os.environ.get("CSBENCH_SOAK_MINUTES", "60"))
SEED = int(os.environ.get("CSBENCH_SOAK_SEED", "0"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
MOST_INTERRUPTIONS = 4  # of the two runs of a round
HONEST = ("steady", "zeros", "min-norm", "lasso-dct")
COLUMNS = ["method", "m", "draw", "image", "status", "mse", "y_sha256"]
SUITE = TINY_SUITE.replace("m = [10, 25]", "m = [10, 12, 15, 20, 25, 30]")
CELLS = 6 * len(HONEST)

PLUGIN = '''
"""Methods that are up to no good, and one that is slow."""
import ctypes, os, signal, subprocess, sys, threading, time
from dataclasses import dataclass

import numpy as np
import torch
from csbench import Method


def noise(given, rng):
    return torch.rand(given.batch, given.n, generator=rng, dtype=given.y.dtype)


@dataclass(frozen=True)
class Steady(Method):
    def recover(self, given, rng):
        time.sleep(0.1)
        return noise(given, rng)


@dataclass(frozen=True)
class Endless(Method):
    def recover(self, given, rng):
        while True:
            pass


@dataclass(frozen=True)
class Gone(Method):
    def recover(self, given, rng):
        os._exit(0)


@dataclass(frozen=True)
class Segfault(Method):
    def recover(self, given, rng):
        ctypes.string_at(0)


@dataclass(frozen=True)
class Parent(Method):
    """Leaves a process behind that wants to live on."""
    def recover(self, given, rng):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
        return noise(given, rng)


@dataclass(frozen=True)
class Patricide(Method):
    def recover(self, given, rng):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)


@dataclass(frozen=True)
class Vandal(Method):
    def recover(self, given, rng):
        torch.Tensor.clamp = lambda self, *_: self * 0
        torch.set_default_dtype(torch.float64)
        np.seterr(all="raise")
        sys.setrecursionlimit(60)
        time.sleep = lambda seconds: None
        threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
        return noise(given, rng).float()


@dataclass(frozen=True)
class Liar(Method):
    def recover(self, given, rng):
        raise ValueError("\\udcff" * 5000)
'''
EVIL = ("endless", "gone", "segfault", "parent", "patricide", "vandal", "liar")
NEVER_RIGHT = ("endless", "gone", "segfault", "patricide", "liar")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What the honest methods answer where nothing goes wrong."""
    folder = tmp_path_factory.mktemp("reference")
    environment = prepared(folder)
    process = start_run(folder, environment, folder / "tiny.toml", "--methods", ",".join(HONEST))
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return rows(folder / "results")


def prepared(folder: Path) -> dict[str, str]:
    """A folder with the suite and the plug-in; the environment in which commands are typed there."""
    plugins = folder / "plugins" / "soak-1.0.dist-info"
    plugins.mkdir(parents=True)
    (plugins.parent / "soak.py").write_text(PLUGIN)
    (plugins / "METADATA").write_text("Metadata-Version: 2.1\nName: soak\nVersion: 1.0\n")
    (plugins / "entry_points.txt").write_text("[csbench.methods]\nsoak = soak\n")
    (folder / "tiny.toml").write_text(SUITE)
    (folder / "tmp").mkdir()
    paths = os.pathsep.join([str(plugins.parent), str(ROOT)])
    return os.environ | {"PYTHONPATH": paths, "TMPDIR": str(folder / "tmp"), "NO_COLOR": "1", "COLUMNS": "200"}


def rows(results: Path) -> pd.DataFrame:
    frame = load_results("tiny", results)
    order = ["method", "m", "draw", "image"]
    return frame[frame["method"].isin(HONEST)][COLUMNS].sort_values(order).reset_index(drop=True)


def finished(results: Path) -> int:
    """Cells that are in the journal or in files."""
    with contextlib.suppress(CsbenchError):
        frame = load_results("tiny", results)
        return max(journalled(results), len(frame) // 3)
    return journalled(results)


def answers_to_signals(pid: int) -> bool:
    """Whether Python is so far that csbench handles SIGTERM, or the process has ended."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        caught = int(next(line for line in lines if line.startswith("SigCgt:")).split()[1], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)
    return True


def nobody_left(mark: str, seconds: float = 2.0) -> list[str]:
    """The commands of processes that are still there after so long."""
    deadline = time.monotonic() + seconds
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    names = []
    for pid in left:
        with contextlib.suppress(OSError):
            names.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:100])
    return names


class Round:
    """Two runs at once, interrupted at random, until both have ended by themselves."""

    def __init__(self, folder: Path, chance: random.Random, tally: Counter):
        self.folder, self.chance, self.tally = folder, chance, tally
        self.results = folder / "results"
        self.mark = f"soak-{uuid.uuid4().hex}"
        self.environment = prepared(folder) | {"CSBENCH_TEST": self.mark}
        self.evil = chance.sample(EVIL, chance.randint(1, 3))

    def play(self, reference: pd.DataFrame) -> None:
        names = [*HONEST, *self.evil]
        self.chance.shuffle(names)
        limits = ("--timeout", "3", "--jobs", str(self.chance.randint(1, 2)), "--methods", ",".join(names))
        most = 0
        for _ in range(self.chance.randint(1, MOST_INTERRUPTIONS)):
            both = [self._start(*limits) for _ in range(2)]
            self._wait(both)
            self._strike(both)
            for process in both:
                self._ended(process, reference, whole=False)
            left = nobody_left(self.mark)
            self.tally["processes left"] += len(left)
            assert not left, left
            now = finished(self.results)
            self.tally["cells lost"] += max(0, most - now)
            assert now >= most, f"{most} cells were finished, and {now} are"
            most = now
        self._ended(self._start(*limits), reference, whole=True)
        assert not nobody_left(self.mark)
        assert not list((self.folder / "tmp").glob("csbench-run*")), "the last run tidies up"

    def _wait(self, both: list[subprocess.Popen]) -> None:
        """Mostly until methods run, and some seconds more; sometimes only until both runs answer to signals."""
        wanted = 5 if self.chance.random() < 0.8 else 2  # processes
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and any(process.poll() is None for process in both):
            if len(marked(self.mark)) >= wanted and all(answers_to_signals(process.pid) for process in both):
                break
            time.sleep(0.1)
        time.sleep(self.chance.uniform(0.0, 8.0))

    def _start(self, *arguments: str) -> subprocess.Popen:
        self.tally["runs"] += 1
        return start_run(self.folder, self.environment, self.folder / "tiny.toml", *arguments)

    def _strike(self, both: list[subprocess.Popen]) -> None:
        """A signal for one process of each run: the run itself, or any that is below it."""
        for process in both:
            below = [pid for pid in marked(self.mark) if pid not in (one.pid for one in both)]
            victim = self.chance.choice([process.pid, *self.chance.sample(below, min(2, len(below)))])
            number = self.chance.choice(SIGNALS) if victim == process.pid else signal.SIGKILL
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, number)
                self.tally[f"{number.name} to {'a run' if victim == process.pid else 'a process of a run'}"] += 1

    def _ended(self, process: subprocess.Popen, reference: pd.DataFrame, whole: bool) -> None:
        stdout, stderr = process.communicate(timeout=240)
        assert "Traceback" not in stdout + stderr, stderr
        killed = {-signal.SIGKILL, -signal.SIGQUIT, 129, 130, 143}
        expected = {1} if set(self.evil) & set(NEVER_RIGHT) else {0}
        assert process.returncode in (expected if whole else expected | killed | {0, 1}), (process.returncode, stderr)
        if not whole:
            return
        found = rows(self.results)
        self.tally["rows compared"] += len(reference)
        wrong = len(found.merge(reference, how="outer", indicator=True).query("_merge != 'both'"))
        self.tally["rows wrong or missing"] += wrong
        assert found.equals(reference), found.compare(reference) if len(found) == len(reference) else len(found)
        bad = load_results("tiny", self.results)
        bad = bad[bad["method"].isin(NEVER_RIGHT)]
        assert not bad.duplicated(["method", "m", "draw", "image"]).any()
        assert (bad["status"] != "ok").all()


READERS = (("show", "tiny"), ("status", "tiny.toml"), ("leaderboard", "tiny.toml"), ("merge", "copy"), ("site",))


def damage(folder: Path, environment: dict[str, str], chance: random.Random, tally: Counter) -> None:
    """A copy of the results with some bytes of a file changed: right rows, or one line that refuses."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "results", copy)
    path = chance.choice(sorted(path for path in copy.rglob("*") if path.is_file()))
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 5)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data if chance.random() < 0.7 else data[: chance.randrange(len(data))])
    whole = rows(folder / "results")
    with contextlib.suppress(CsbenchError):
        found = rows(copy)
        assert found.merge(whole).shape == found.shape, f"{path}: wrong rows after damage"
    reader = chance.choice(READERS)
    arguments = [*reader, "--results", str(folder / ("other" if reader[0] == "merge" else "copy"))]
    said = typed(folder, environment, *arguments)
    tally["damaged files"] += 1
    assert "Traceback" not in said.stdout + said.stderr, (arguments, said.stderr)


VALUES = ("-1", "0", "1e12", "nan", "inf", '""', '"../../x"', "[]", "[[1]]", "true", '"|<b>"', "10**9", "1979-05-27")


def odd_suite(folder: Path, environment: dict[str, str], chance: random.Random, tally: Counter) -> None:
    """A suite with a field that may hold anything runs, or is refused in one line that names the file."""
    lines = SUITE.splitlines()
    at = chance.randrange(len(lines))
    name = lines[at].split(" = ")[0]
    lines[at] = chance.choice([f"{name} = {chance.choice(VALUES)}", "", f"{name}x = 1", lines[at] * 2, "\x00"])
    path = folder / "odd.toml"
    path.write_text("\n".join(lines))
    said = typed(folder, environment, "run", "odd.toml", "--methods", "zeros", "--results", "elsewhere")
    tally["odd suites"] += 1
    assert "Traceback" not in said.stdout + said.stderr, (lines[at], said.stderr)
    assert said.returncode == 0 or "odd" in said.stderr, (lines[at], said.stderr)


def typed(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "csbench", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)


@pytest.fixture
def round_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        yield Path(folder)


def test_nothing_is_lost_wrong_or_left(reference: pd.DataFrame, round_folder: Path) -> None:
    assert len(reference) == 3 * CELLS
    end, tally, number = time.monotonic() + 60 * MINUTES, Counter(), 0
    while time.monotonic() < end:
        chance = random.Random(f"{SEED} {number}")
        folder = round_folder / str(number)
        folder.mkdir()
        one = Round(folder, chance, tally)
        one.play(reference)
        for _ in range(3):
            damage(folder, one.environment, chance, tally)
            odd_suite(folder, one.environment, chance, tally)
        shutil.rmtree(folder)
        number += 1
        tally["rounds"] = number
        print(f"\nround {number}: {dict(tally)}", flush=True)
    assert tally["rows wrong or missing"] == tally["cells lost"] == tally["processes left"] == 0
