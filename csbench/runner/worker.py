"""What happens in a worker process: a method and a measurement in, an outcome out. No truth, no dataset, no metric."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pickle
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from csbench.core.measurement import Measurement
from csbench.core.method import check_requirements
from csbench.runner.solving import Outcome, failure, solve

SMALL = 2**24  # bytes of a measurement that may be in memory once more


def start_worker(memory: int | None, environment: Mapping[str, str]) -> None:
    """Prepare a process: Ctrl-C is the parent's business, output goes nowhere, memory has a limit.

    Args:
        memory: bytes that the process may allocate, beyond files that it maps; None: no limit. Linux only.
        environment: of the run; the server that this process was forked from may have started with another.
    """
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    nowhere = os.open(os.devnull, os.O_WRONLY)  # also for what compiled code prints
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if memory is not None and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _die_with_parent() -> None:
    """Have the kernel end this process when a kill -9 ends its parent, even in an endless loop; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Task:
    """What is sent to a worker.

    Attributes:
        method: pickled, so that one that cannot be unpickled fails where its exceptions are caught.
        given: the file that `share` wrote.
        modules: what the method may import.
        weights: names of those that it may load; None: any.
    """

    method: bytes
    given: Path
    seed: int
    modules: tuple[str, ...]
    weights: frozenset[str] | None


def share(given: Measurement, path: Path) -> Measurement:
    """Write a measurement where all workers read it, and give back the same measurement from that file.

    The file is mapped, not read, and pages that a process writes to become its own. So every process sees one copy of A
    in memory, however large, and nothing that a method does to A or y reaches anyone else. What is small stays in the
    memory of this process, which saves a millisecond.
    """
    torch.save(given, path)
    return given if path.stat().st_size < SMALL else _mapped(path)


def _mapped(path: Path) -> Measurement:
    return torch.load(path, mmap=True, weights_only=False)  # the parent wrote it a moment ago


def run(task: Task) -> Outcome:
    """Run one task; whatever is raised becomes an outcome."""
    try:
        method, given = pickle.loads(task.method), _mapped(task.given)
        import_all(task.modules)
        check_requirements(method)
    except BaseException as error:
        return failure(error)
    return solve(method, given, task.seed, task.weights)


@lru_cache
def import_all(modules: tuple[str, ...]) -> None:
    """What a method's module imports only when it is used, such as compiled solvers, is not to be on its clock."""
    for name in modules:
        with contextlib.suppress(Exception):  # some may be for other machines; `recover` will say so
            importlib.import_module(name)
