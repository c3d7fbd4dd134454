"""What the harness costs beside the methods: `pytest tests/perf/test_overhead.py -n 0 --benchmark-only -s`.

Times per cell are slopes between a small and a large run of real commands, so that neither's start counts in them.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from csbench import Method, load_suite
from csbench.results.folder import results_file
from csbench.results.store import read_file, write_file
from csbench.runner.limits import Limits
from csbench.runner.local import run_in
from csbench.runner.plan import make_cells
from csbench.runner.pool import open_pool

ROOT = Path(__file__).parent.parent.parent
FEW, MANY = 100, 1000

SUITE = """\
name = "many"
version = 1
title = "Many cells"
dataset = "mnist"
operator = "gaussian"
m = [10]
noise_norm = 0.1
images = 1
draws = {cells}
reference_m = 10
published = false
"""

OBJECTIVE = """
import numpy as np
from benchopt import BaseObjective

class Objective(BaseObjective):
    name = "mse"

    def set_data(self, A, y, x):
        self.A, self.y, self.x = A, y, x

    def evaluate_result(self, x_hat):
        return {"value": float(((x_hat - self.x) ** 2).mean())}

    def get_one_result(self):
        return {"x_hat": np.zeros_like(self.x)}

    def get_objective(self):
        return {"A": self.A, "y": self.y}
"""

DATASET = """
import numpy as np
from benchopt import BaseDataset

class Dataset(BaseDataset):
    name = "gaussian"
    parameters = {{"draw": list(range({cells}))}}

    def get_data(self):
        rng = np.random.default_rng(self.draw)
        A, x = rng.standard_normal((10, 784)), rng.random(784)
        return {{"A": A, "y": A @ x, "x": x}}
"""

SOLVER = """
import numpy as np
from benchopt import BaseSolver

class Solver(BaseSolver):
    name = "zeros"
    sampling_strategy = "run_once"

    def set_objective(self, A, y):
        self.n = A.shape[1]

    def run(self, _):
        self.x_hat = np.zeros(self.n)

    def get_result(self):
        return {"x_hat": self.x_hat}
"""


def seconds(command: list[str], folder: Path) -> float:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def ours(folder: Path, cells: int) -> list[str]:
    (folder / "many.toml").write_text(SUITE.format(cells=cells))
    return [sys.executable, "-m", "csbench", "run", "many.toml", "--methods", "zeros", "--jobs", "1"]


def theirs(folder: Path, cells: int) -> list[str]:
    for name, text in (
        ("objective.py", OBJECTIVE),
        ("datasets/gaussian.py", DATASET.format(cells=cells)),
        ("solvers/zeros.py", SOLVER),
    ):
        path = folder / "benchmark" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ["benchopt", "run", "benchmark", "--no-plot", "--no-html", "-n", "1", "-r", "1"]


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with results of a whole suite."""
    shutil.copytree(ROOT / "results" / "suite=mnist-gaussian", tmp_path / "results" / "suite=mnist-gaussian")
    return tmp_path


def per_cell(tmp_path: Path, command: Callable[[Path, int], list[str]]) -> tuple[float, float]:
    """Seconds per cell, cold and warm."""
    times = {}
    for cells in (FEW, MANY):
        folder = tmp_path / f"{command.__name__}-{cells}"
        folder.mkdir()
        times[cells, "cold"] = seconds(command(folder, cells), folder)
        times[cells, "warm"] = min(seconds(command(folder, cells), folder) for _ in range(3))
    cold, warm = ((times[MANY, state] - times[FEW, state]) / (MANY - FEW) for state in ("cold", "warm"))
    return cold, warm


def test_a_cell_costs_a_third_of_benchopts(benchmark, tmp_path):
    pytest.importorskip("benchopt")
    cold, warm = benchmark.pedantic(per_cell, (tmp_path, ours), rounds=1)
    their_cold, their_warm = per_cell(tmp_path, theirs)
    benchmark.extra_info |= {"cold_ms": 1e3 * cold, "warm_ms": 1e3 * warm, "cold": their_cold / cold}
    print(
        f"per cell: cold {1e3 * cold:.2f} ms, warm {1e3 * warm:.2f} ms; benchopt {1e3 * their_cold:.2f} and "
        f"{1e3 * their_warm:.2f} ms, {their_cold / cold:.1f} and {their_warm / warm:.1f} times as long"
    )
    assert cold < 5e-3
    assert warm < 1e-3
    assert their_cold > 3 * cold
    assert their_warm > 3 * warm


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["status", "mnist-gaussian"]])
def test_light_commands_start_at_once(benchmark, published, arguments):
    def best(*words: str) -> float:
        return min(seconds([sys.executable, *words], published) for _ in range(9))

    seconds([sys.executable, "-m", "csbench", *arguments], published)  # `status` remembers its answer
    command = benchmark.pedantic(best, ("-m", "csbench", *arguments), rounds=1)
    bare = best("-c", "pass")
    print(f"csbench {' '.join(arguments)}: {1e3 * command:.0f} ms, a bare interpreter {1e3 * bare:.0f} ms")
    assert command - bare < 0.15


def test_a_finished_suite_is_reported_at_once(benchmark, published):
    command = [sys.executable, "-m", "csbench", "run", "mnist-gaussian"]
    seconds(command, published)  # draws the curves where a picture is missing
    again = benchmark.pedantic(lambda: min(seconds(command, published) for _ in range(3)), rounds=1)
    print(f"csbench run mnist-gaussian, all there: {again:.2f} s")
    assert again < 3


@dataclass(frozen=True)
class Busy(Method):
    """Computes for a fifth of a second."""

    def recover(self, given, rng):
        end = time.process_time() + 0.2
        while time.process_time() < end:
            torch.ones(100).sum()
        return torch.zeros(given.batch, given.n)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_two_workers_take_1_7_times_less(benchmark):
    suite = replace(load_suite("quick"), m=(10,), draws=60, images=2, reference_m=10)
    cells = [replace(c, method=Busy(), method_name="busy") for c in make_cells(suite.narrowed(methods=("zeros",)))]

    def run(jobs: int) -> float:
        with open_pool(jobs, Limits()) as pool:
            assert len(list(run_in(pool, cells[: 2 * jobs], jobs, Limits()))) == 2 * jobs  # the workers are there
            start = time.perf_counter()
            assert all(outcome.status == "ok" for _, outcome, _, _ in run_in(pool, cells, jobs, Limits()))
            return time.perf_counter() - start

    one = run(1)
    two = benchmark.pedantic(run, (2,), rounds=1)
    print(f"60 cells of 0.2 s: {one:.1f} s with one worker, {two:.1f} s with two, {one / two:.2f} times")
    assert one / two > 1.7


def test_a_leaderboard_of_100_000_rows(benchmark, tmp_path):
    """Under 5 s and 1 GB."""
    source = read_file(results_file(ROOT / "results", "mnist-gaussian", "lasso-dct"))
    for i in range(34):
        name = f"method-{i:02}"
        table = source
        for column, value in (("method", name), ("key", f"{i:016x}")):
            index = table.column_names.index(column)
            table = table.set_column(index, column, [[value] * len(table)])
        path = results_file(tmp_path / "results", "mnist-gaussian", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, table, {})
    code = (
        "import resource, sys; from csbench.cli import main; sys.argv = ['csbench', 'leaderboard']\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2**20, 'above 1 GB'"
    )
    took = benchmark.pedantic(seconds, ([sys.executable, "-c", code], tmp_path), rounds=1)
    print(f"csbench leaderboard of {34 * len(source)} rows: {took:.2f} s")
    assert took < 5
