"""Cells on this machine: a pool of worker processes that outlives any of its workers."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from pathlib import Path

import torch
from pebble import ProcessExpired, ProcessPool

from csbench.measurement import Measurement
from csbench.problem import Problem, Truth
from csbench.runner.plan import Cell
from csbench.runner.worker import Outcome, Task, share, solve, start_worker
from csbench.seeding import seed_of

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def default_jobs() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_cells(
    cells: Iterable[Cell], jobs: int, timeout: float | None = None
) -> Generator[tuple[Cell, Outcome, Measurement, Truth], None, None]:
    """Run cells, and yield each as it ends, in the order in which they end.

    At most two cells per worker are in flight, so memory does not grow with the suite. Closing the generator, as
    Ctrl-C does, stops the workers.

    Args:
        jobs: worker processes, each with one BLAS thread.
        timeout: seconds that a cell may take before its worker is killed.
    """
    torch.set_num_threads(1)  # the parent simulates and scores beside its workers
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # workers inherit it, and libraries read it as they load
    queue = iter(cells)
    folder = Path(tempfile.mkdtemp(prefix="csbench-"))
    simulated: dict[Problem, tuple[Path, Measurement, Truth]] = {}
    pool = ProcessPool(jobs, initializer=start_worker, context=multiprocessing.get_context("spawn"))
    running: dict[Future, Cell] = {}
    numbers = itertools.count()
    try:
        while True:
            while len(running) < 2 * jobs and (cell := next(queue, None)) is not None:
                if cell.problem not in simulated:
                    given, truth = cell.problem.simulate()
                    path = folder / f"{next(numbers)}.pt"
                    simulated[cell.problem] = path, share(given, path), truth
                    del given
                path, _, _ = simulated[cell.problem]
                task = Task(pickle.dumps(cell.method), path, seed_of(*cell.problem.method_seed_names()))
                running[pool.schedule(solve, args=[task], timeout=timeout)] = cell
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                cell = running.pop(future)
                _, given, truth = simulated[cell.problem]
                yield cell, _outcome(future, timeout), given, truth
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


def _outcome(future: Future, timeout: float | None) -> Outcome:
    try:
        return future.result()
    except TimeoutError:
        return Outcome("timeout", f"took longer than {timeout:g} s")
    except ProcessExpired as death:
        code = death.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return Outcome("failed", f"the worker process died: {how}")
    except Exception as error:  # the answer could not be sent back, for instance
        return Outcome("failed", f"{type(error).__name__}: {error}")
