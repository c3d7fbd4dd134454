"""What happens in a method's process: a method and a measurement in, an outcome out; no truth and no dataset."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import os
import pickle
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from csbench.core.measurement import Measurement
from csbench.core.method import Method, check_requirements
from csbench.runner import answers, wire
from csbench.runner.jit import Jit
from csbench.runner.solving import Outcome, failure, solve
from csbench.runner.subreaper import LINUX, die_with_parent

SMALL = 2**24  # bytes of a measurement that may be in memory once more
TASK = 2**40  # bytes of a task, at most: what the run sends is trusted
RLIMITS = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})
PATCHABLE = (torch, torch.Tensor, torch.nn.functional, torch.linalg, torch.fft, np, np.linalg, time, builtins, os)


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


def main(link: socket.socket, parent: int) -> None:
    """Run the cells of one method, one after the other, until the keeper says no more.

    Before the first, the method's modules are imported. What no cell of another method is to see stays here, for every
    method has a process of its own; and where a cell has changed this process, the next one gets a fresh one.

    Args:
        parent: id of the keeper.
    """
    die_with_parent()
    if os.getppid() != parent:
        return  # it ended before this process could ask to end with it
    nowhere = os.open(os.devnull, os.O_WRONLY)  # also for what compiled code prints
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    own, inbox, say, before = os.getpid(), wire.Inbox(link, TASK), Voice(link), None
    jit = Jit(say.compiling)
    while True:
        told, message = inbox.wait() or ({}, b"")
        bound_memory(told["memory"])
        try:
            task: Task = pickle.loads(message)
            if (given := _given(task)) is None:
                say({"what": "lost"})
                return
            prepared = _prepared(task, given)
            if jit.compiled() and not told["again"]:
                say({"what": "compiled"})
                return
            before = before or traces()
            say({"what": "ready"})
            answer = answers.encoded(prepared if isinstance(prepared, Outcome) else _timed(jit, *prepared))
            changed = traces() != before
        except Exception as error:  # what this function uses may have been replaced by the method
            answer, changed = answers.encoded(_failed(error)), True
        if os.getpid() != own:
            return  # a process that the method has forked, and that came back from `recover` as well
        say({"what": "answer", "changed": changed}, answer)


class Voice:
    """Messages to the keeper, one after the other whatever thread they come from."""

    def __init__(self, link: socket.socket):
        self._link, self._lock = link, threading.Lock()

    def __call__(self, header: dict[str, Any], body: bytes = b"") -> None:
        with self._lock:
            wire.send(self._link, header, body)

    def compiling(self, now: bool) -> None:
        """The clock of a cell stands still meanwhile."""
        with contextlib.suppress(OSError):  # the method may have closed the link, which the keeper notices
            self({"what": "compiling", "now": now})


def bound_memory(memory: int | None) -> None:
    """Bound what this process may allocate for itself; the keeper watches what is shared. Linux only."""
    if memory is not None and LINUX:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        memory = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


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
    """Run one task in this process; whatever is raised becomes an outcome."""
    given = _given(task)
    prepared = Outcome("failed", f"{task.given} is gone") if given is None else _prepared(task, given)
    return prepared if isinstance(prepared, Outcome) else _solved(*prepared)


Prepared = tuple[Method, Measurement, int, frozenset[str] | None]


def _given(task: Task) -> Measurement | Outcome | None:
    """The measurement, what went wrong with it, or None where its file is gone, which is no fault of the method."""
    try:
        return _mapped(task.given)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except BaseException as error:
        return _failed(error)


def _prepared(task: Task, given: Measurement | Outcome) -> Prepared | Outcome:
    """All that is not on the method's clock."""
    if isinstance(given, Outcome):
        return given
    try:
        method = pickle.loads(task.method)
        import_all(task.modules)
        check_requirements(method)
    except BaseException as error:
        return _failed(error)
    return method, given, task.seed, task.weights


def _timed(jit: Jit, *prepared: Any) -> Outcome:
    """An outcome whose times leave out what numba compiled meanwhile, as they leave out what it compiled before."""
    wall, cpu = jit.wall, jit.cpu
    outcome = _solved(*prepared)
    if outcome.wall_seconds is None or outcome.cpu_seconds is None:
        return outcome
    wall, cpu = outcome.wall_seconds - (jit.wall - wall), outcome.cpu_seconds - (jit.cpu - cpu)
    wall, cpu = max(0.0, wall), max(0.0, cpu)  # another thread may have compiled on when `recover` had ended
    return replace(outcome, wall_seconds=wall, cpu_seconds=cpu)


def _solved(*prepared: Any) -> Outcome:
    try:
        return solve(*prepared)
    except BaseException as error:  # one whose text cannot be had, for instance
        return _failed(error)


def _failed(error: BaseException) -> Outcome:
    try:
        return failure(error)
    except BaseException:
        return Outcome("failed", f"{type(error).__name__}, which cannot be put into words")


@lru_cache
def import_all(modules: tuple[str, ...]) -> None:
    """What a method's module imports only when it is used, such as compiled solvers, is not to be on its clock.

    Functions that numba compiles, and whose types are declared, are compiled now.
    """
    for name in modules:
        with contextlib.suppress(Exception):  # some may be for other machines; `recover` will say so
            importlib.import_module(name)


def traces() -> Hashable:
    """What a cell may have changed in this process that could reach the next: compared before and after."""
    return tuple(_traces())


def _traces() -> Iterator[Hashable]:
    yield str(torch.get_default_device()), torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()
    yield torch.are_deterministic_algorithms_enabled(), torch.is_inference_mode_enabled()
    yield (
        tuple(np.geterr().values()),
        sys.getrecursionlimit(),
        sys.getswitchinterval(),
        sys.gettrace(),
        sys.getprofile(),
    )
    yield tuple(map(str, warnings.filters)), tuple(os.environ.items()), _or_none(os.getcwd)
    yield _or_none(lambda: len(os.listdir("/proc/self/fd"))), _or_none(lambda: len(os.listdir("/proc/self/task")))
    yield tuple(resource.getrlimit(number) for number in RLIMITS), signal.getitimer(signal.ITIMER_REAL)
    for holder in PATCHABLE:
        yield tuple(id(value) for name, value in vars(holder).items() if not _is_submodule(holder, name, value))


def _is_submodule(holder: Any, name: str, value: Any) -> bool:
    """Packages get names when parts of them are imported, as numba has it done when it first compiles."""
    return isinstance(value, ModuleType) and sys.modules.get(f"{holder.__name__}.{name}") is value


def _or_none(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except OSError:
        return None
