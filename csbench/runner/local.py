"""Cells on this machine: a pool of worker processes that outlives any of its workers."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.context
import os
import pickle
import shutil
import signal
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any

import torch
from pebble import CONSTS, ProcessExpired, ProcessPool

from csbench.core.errors import CsbenchError, ResultsError
from csbench.core.measurement import Measurement
from csbench.core.seeding import seed_of
from csbench.runner.limits import NO_LIMITS, Limits
from csbench.runner.plan import Cell
from csbench.runner.problem import Problem, Truth
from csbench.runner.score import Finished, finished
from csbench.runner.solving import Outcome
from csbench.runner.worker import Task, run, share, start_worker

CONSTS.term_timeout = 0.5  # seconds from SIGTERM to SIGKILL, for methods that ignore the former
ATTEMPTS = 3  # to start worker processes
CHECK_SECONDS = 1.0  # between looks at whether the worker processes are still there
STOP_SECONDS = 5.0  # to wait for one that is stopped
DEPTH = 2  # cells that a worker has at a time: one runs, one waits
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def default_jobs() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """One worker process with one BLAS thread, replaced when it dies.

    Each is a pebble pool of its own: in a pool of several, one that is killed while it holds the lock of the pipe that
    they share leaves the others waiting for ever.
    """

    def __init__(self, memory: int | None):
        arguments = [memory, dict(os.environ)]
        self._start = partial(ProcessPool, 1, initializer=start_worker, initargs=arguments, context=_context())
        self._process = self._start()

    def schedule(self, task: Task, timeout: float | None) -> tuple[Future, ProcessPool]:
        """The future of a task, and what has it; where that is not active any more the future may never end."""
        for attempt in range(ATTEMPTS):
            process = self._process
            try:
                return process.schedule(run, args=[task], timeout=timeout), process
            except (RuntimeError, OSError, EOFError) as error:  # it died without a task, or its server is dying
                if attempt == ATTEMPTS - 1:
                    raise CsbenchError(f"no worker process starts: {error}; what is finished is kept") from error
                self.replace(process)
        raise AssertionError

    def replace(self, process: ProcessPool) -> None:
        """Go on with a new process, unless that has been done; what else the old one has is lost."""
        if process is self._process:
            self.stop()
            self._process = self._start()

    def stop(self) -> threading.Thread:
        """Stop the process; the thread that is returned ends with it, if its pipe is not left blocked."""
        self._process.stop()
        thread = threading.Thread(target=self._process.join, daemon=True)
        thread.start()
        return thread


class Pool:
    """Workers, and the folder where they find measurements."""

    def __init__(self, jobs: int, limits: Limits, folder: Path):
        self.folder = folder
        self._all = [Worker(limits.memory(jobs)) for _ in range(jobs)]
        self._free: Queue[Worker] = Queue()
        for worker in self._all:
            self._free.put(worker)

    @contextlib.contextmanager
    def workers(self, count: int) -> Iterator[list[Worker]]:
        """So many workers for one caller, as soon as they are free; threads of a Dask worker take one each."""
        taken = [self._free.get() for _ in range(count)]
        try:
            yield taken
        finally:
            for worker in taken:
                self._free.put(worker)

    def close(self) -> None:
        """Stop what runs."""
        for thread in [worker.stop() for worker in self._all]:
            thread.join(STOP_SECONDS)


def _context() -> multiprocessing.context.BaseContext:
    """Processes that share nothing with this one.

    Where the system can, they are forked from a server that has imported torch already: a worker is there, and one that
    died is replaced, in milliseconds. And a method that kills its parent kills that server, which is replaced too.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["csbench.runner.worker"])
    return context


@contextlib.contextmanager
def open_pool(jobs: int, limits: Limits) -> Iterator[Pool]:
    """A pool of `jobs` processes; what still runs in it at the end is stopped."""
    torch.set_num_threads(1)  # the parent simulates and scores beside its workers
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # workers inherit it, and libraries read it as they load
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"csbench-{os.getpid()}-"))
    pool = Pool(jobs, limits, folder)
    try:
        yield pool
    finally:
        pool.close()
        shutil.rmtree(folder, ignore_errors=True)


def run_cells(
    cells: Iterable[Cell], jobs: int, limits: Limits = NO_LIMITS
) -> Generator[tuple[Cell, Outcome, Measurement, Truth], None, None]:
    """Run cells in a pool of their own; see `run_in`. Closing the generator, as Ctrl-C does, stops the workers."""
    with open_pool(jobs, limits) as pool:
        yield from run_in(pool, cells, jobs, limits)


def run_in(
    pool: Pool, cells: Iterable[Cell], jobs: int, limits: Limits
) -> Generator[tuple[Cell, Outcome, Measurement, Truth], None, None]:
    """Run cells, and yield each as it ends, in the order in which they end.

    A cell whose worker died runs once more when all others have ended, with none beside it: another cell may have
    killed that worker, by taking all the memory for instance.

    Args:
        jobs: workers to use; each has one cell more in its queue, so memory does not grow with the suite.
        limits: beyond which a cell's worker is killed and replaced.

    Raises:
        ResultsError: the disk for temporary files is full.
    """
    victims: list[Cell] = []
    simulated: dict[Problem, tuple[Path, Measurement, Truth]] = {}
    with pool.workers(jobs) as workers:
        try:
            for cell, future in _run(pool.folder, simulated, iter(cells), workers, DEPTH, limits):
                if outcome := _outcome(future, limits.timeout(cell.method_name)):
                    yield cell, outcome, *simulated[cell.problem][1:]
                else:
                    victims.append(cell)
            for cell, future in _run(pool.folder, simulated, iter(victims), workers[:1], 1, limits):
                outcome = _outcome(future, limits.timeout(cell.method_name))
                yield cell, outcome or Outcome("failed", _how_it_died(future)), *simulated[cell.problem][1:]
        finally:
            for path, _, _ in simulated.values():
                path.unlink(missing_ok=True)


def _run(
    folder: Path,
    simulated: dict[Problem, tuple[Path, Measurement, Truth]],
    queue: Iterator[Cell],
    workers: list[Worker],
    depth: int,
    limits: Limits,
) -> Generator[tuple[Cell, Future], None, None]:
    """Cells with their futures, as these end; one that is not done, or holds no answer, lost its worker.

    Args:
        simulated: problems in use, kept here.
        depth: cells that a worker may have at a time.
    """
    running: dict[Future, tuple[Cell, Worker, ProcessPool]] = {}
    try:
        while True:
            while len(running) < depth * len(workers) and (cell := next(queue, None)) is not None:
                if cell.problem not in simulated:
                    given, truth = cell.problem.simulate()
                    path = folder / f"{uuid.uuid4().hex}.pt"
                    simulated[cell.problem] = path, _shared(given, path), truth
                    del given
                path, _, _ = simulated[cell.problem]
                task = _task(cell, path)
                loads = Counter(worker for _, worker, _ in running.values())
                worker = min(workers, key=lambda one: loads[one])
                future, process = worker.schedule(task, limits.timeout(cell.method_name))
                running[future] = cell, worker, process
            if not running:
                return
            done, rest = wait(running, timeout=CHECK_SECONDS, return_when=FIRST_COMPLETED)
            done |= {future for future in rest if not running[future][2].active}
            for future in done:
                cell, worker, process = running.pop(future)
                if _died(future):
                    worker.replace(process)
                yield cell, future
            in_use = {cell.problem for cell, _, _ in running.values()}
            newest = next(reversed(simulated))
            for problem in [p for p in simulated if p not in in_use and p != newest]:
                simulated.pop(problem)[0].unlink()
    finally:
        for _, worker, process in running.values():
            worker.replace(process)


@dataclass(frozen=True)
class ThisMachine:
    """Where cells run, unless a cluster is named.

    Attributes:
        jobs: worker processes.
    """

    jobs: int

    def __str__(self) -> str:
        return f"{self.jobs} workers"

    def facts(self) -> dict[str, Any]:
        """For the provenance of a run."""
        return {"jobs": self.jobs}

    def run(self, cells: Iterable[Cell], limits: Limits, run_id: str) -> Generator[Finished, None, None]:
        """Run and score cells, each as it ends."""
        with contextlib.closing(run_cells(cells, self.jobs, limits)) as outcomes:
            for cell, outcome, given, truth in outcomes:
                yield finished(cell, outcome, given, truth, run_id)


def _task(cell: Cell, given: Path) -> Task:
    modules, weights = (cell.made_of.code, cell.made_of.files) if cell.made_of else ((), ())
    seed = seed_of(*cell.problem.method_seed_names())
    return Task(pickle.dumps(cell.method), given, seed, tuple(modules), frozenset(weights))


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


def _died(future: Future) -> bool:
    return not future.done() or isinstance(future.exception(), ProcessExpired | BrokenProcessPool)


def _outcome(future: Future, timeout: float | None) -> Outcome | None:
    """What came of a task; None where its worker died."""
    if _died(future):
        return None
    try:
        return future.result()
    except TimeoutError:
        return Outcome("timeout", f"took longer than {timeout:g} s")
    except Exception as error:  # the answer could not be sent back, for instance
        return Outcome("failed", f"{type(error).__name__}: {error}")


def _how_it_died(future: Future) -> str:
    death = future.exception() if future.done() else None
    if not isinstance(death, ProcessExpired):
        return "the worker process died, and the server that forked it"
    code = death.exitcode or 0
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    if code == -signal.SIGKILL:
        how += ", as the kernel sends it when memory runs out"
    return f"the worker process died: {how}"
