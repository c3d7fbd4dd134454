"""Cells on this machine: a pool of worker processes that outlives any of its workers."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pebble import CONSTS, ProcessExpired, ProcessPool

from csbench.errors import ResultsError
from csbench.measurement import Measurement
from csbench.problem import Problem, Truth
from csbench.runner.plan import Cell
from csbench.runner.worker import Outcome, Task, share, solve, start_worker
from csbench.seeding import seed_of

CONSTS.term_timeout = 0.5  # seconds from SIGTERM to SIGKILL, for methods that ignore the former
LEAST_MEMORY = 2 * 2**30  # bytes; the libraries alone take half of it
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def default_jobs() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """What a cell may take before it is stopped.

    Attributes:
        seconds: of a cell, on the wall; None: any.
        of_method: method name to its own seconds.
        memory_gb: that a worker may allocate; None: an equal share of what the machine has. Enforced on Linux.
    """

    seconds: float | None = None
    of_method: Mapping[str, float] = field(default_factory=dict)
    memory_gb: float | None = None

    def timeout(self, method: str) -> float | None:
        """Seconds for a cell of this method."""
        return self.of_method.get(method, self.seconds)

    def memory(self, jobs: int) -> int | None:
        """Bytes for each of the workers."""
        if self.memory_gb is not None:
            return int(self.memory_gb * 2**30)
        try:
            share_of_all = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (jobs + 1)  # the parent has one
            return max(share_of_all, LEAST_MEMORY)
        except (ValueError, OSError, AttributeError):
            return None


NO_LIMITS = Limits()


def run_cells(
    cells: Iterable[Cell], jobs: int, limits: Limits = NO_LIMITS
) -> Generator[tuple[Cell, Outcome, Measurement, Truth], None, None]:
    """Run cells, and yield each as it ends, in the order in which they end.

    At most two cells per worker are in flight, so memory does not grow with the suite. Closing the generator, as
    Ctrl-C does, stops the workers.

    Args:
        jobs: worker processes, each with one BLAS thread.
        limits: beyond which a cell's worker is killed and replaced.

    Raises:
        ResultsError: the disk for temporary files is full.
    """
    torch.set_num_threads(1)  # the parent simulates and scores beside its workers
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # workers inherit it, and libraries read it as they load
    queue = iter(cells)
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"csbench-{os.getpid()}-"))
    simulated: dict[Problem, tuple[Path, Measurement, Truth]] = {}
    pool = ProcessPool(
        jobs,
        initializer=start_worker,
        initargs=[limits.memory(jobs)],
        context=multiprocessing.get_context("spawn"),
    )
    running: dict[Future, Cell] = {}
    numbers = itertools.count()
    try:
        while True:
            while len(running) < 2 * jobs and (cell := next(queue, None)) is not None:
                if cell.problem not in simulated:
                    given, truth = cell.problem.simulate()
                    path = folder / f"{next(numbers)}.pt"
                    simulated[cell.problem] = path, _shared(given, path), truth
                    del given
                path, _, _ = simulated[cell.problem]
                task = Task(pickle.dumps(cell.method), path, seed_of(*cell.problem.method_seed_names()))
                running[pool.schedule(solve, args=[task], timeout=limits.timeout(cell.method_name))] = cell
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                cell = running.pop(future)
                _, given, truth = simulated[cell.problem]
                yield cell, _outcome(future, limits.timeout(cell.method_name)), given, truth
            in_use = {cell.problem for cell in running.values()}
            newest = next(reversed(simulated))
            for problem in [p for p in simulated if p not in in_use and p != newest]:
                simulated.pop(problem)[0].unlink()
    finally:
        if running:
            pool.stop()
        else:
            pool.close()
        pool.join()
        shutil.rmtree(folder, ignore_errors=True)


def _shared(given: Measurement, path: Path) -> Measurement:
    try:
        return share(given, path)
    except (OSError, RuntimeError) as error:  # RuntimeError: torch's, for a write that fails
        raise ResultsError(
            f"{path.parent}: cannot store the measurements for the workers: {error}; free some space, or set TMPDIR to "
            "another folder. What is finished is kept"
        ) from error


def _sweep() -> None:
    """Remove the measurements that runs left behind when they were killed."""
    for folder in Path(tempfile.gettempdir()).glob("csbench-*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _outcome(future: Future, timeout: float | None) -> Outcome:
    try:
        return future.result()
    except TimeoutError:
        return Outcome("timeout", f"took longer than {timeout:g} s")
    except ProcessExpired as death:
        code = death.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if code == -signal.SIGKILL:
            how += ", as the kernel sends it when memory runs out"
        return Outcome("failed", f"the worker process died: {how}")
    except Exception as error:  # the answer could not be sent back, for instance
        return Outcome("failed", f"{type(error).__name__}: {error}")
