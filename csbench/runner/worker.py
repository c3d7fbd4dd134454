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
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from csbench.errors import MissingWeights
from csbench.fingerprint import reachable
from csbench.measurement import Measurement
from csbench.method import MissingPackages, NotApplicable, Recovery, check_requirements

REASON_LENGTH = 2000
SMALL = 2**24  # bytes of a measurement that may be in memory once more


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes:
        status: ok, failed, timeout, out_of_memory or not_applicable.
        reason: why, where it is not ok.
        provisional: whether it holds only as long as packages are missing here.
        x_hat: shape [batch, n], in the dtype of y; None unless ok.
        diagnostics: name to float64 array of shape [batch].
        wall_seconds, cpu_seconds: of `recover` alone.
        peak_memory_mb: of the worker process while it ran.
    """

    status: str
    reason: str | None = None
    provisional: bool = False
    x_hat: np.ndarray | None = None
    diagnostics: dict[str, np.ndarray] = field(default_factory=dict)
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    threads: int = 1


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
    """

    method: bytes
    given: Path
    seed: int


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


def solve(task: Task) -> Outcome:
    """Run one task; every exception, SystemExit included, becomes an outcome."""
    try:
        method, given, seed = pickle.loads(task.method), _mapped(task.given), task.seed
        torch.manual_seed(seed)  # for methods that draw from the global generator against the rules
        torch.set_num_threads(1)  # whatever an earlier method set
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        rng = torch.Generator().manual_seed(seed)
        check_requirements(method)
        _import_all(type(method).__module__)
        _reset_peak_memory()
        with threadpool_limits(1):
            wall, cpu = time.perf_counter(), time.process_time()
            answer = method.recover(given, rng)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        recovery = answer if isinstance(answer, Recovery) else Recovery(answer)
        if wrong := complaint(recovery, given):
            return Outcome("failed", wrong)
        return Outcome(
            "ok",
            x_hat=recovery.x_hat.detach().cpu().numpy(),
            diagnostics={k: v.detach().cpu().double().numpy() for k, v in recovery.diagnostics.items()},
            wall_seconds=wall,
            cpu_seconds=cpu,
            peak_memory_mb=_peak_memory_mb(),
            threads=torch.get_num_threads(),
        )
    except (NotApplicable, MissingWeights) as error:
        return Outcome("not_applicable", str(error), provisional=isinstance(error, MissingPackages))
    except MemoryError as error:
        return Outcome("out_of_memory", f"MemoryError: {error}")
    except BaseException as error:  # sys.exit() in a method ends its cell, not the run
        said = str(error)  # torch's ways to say it
        if isinstance(error, RuntimeError) and ("can't allocate memory" in said or "Cannot allocate memory" in said):
            return Outcome("out_of_memory", str(error)[-REASON_LENGTH:])
        return Outcome("failed", traceback.format_exc()[-REASON_LENGTH:])


@lru_cache
def _import_all(module: str) -> None:
    """What a method's module imports only when it is used, such as compiled solvers, is not to be on its clock."""
    for name in reachable(module):
        with contextlib.suppress(Exception):  # some may be for other machines; `recover` will say so
            importlib.import_module(name)


def complaint(recovery: Recovery, given: Measurement) -> str | None:
    """What is wrong with the form of an answer, or None."""
    x_hat, expected = recovery.x_hat, (given.batch, given.n)
    if not isinstance(x_hat, torch.Tensor):
        return f"recover returned {type(x_hat).__name__}, not a tensor of shape {expected} or a Recovery"
    if tuple(x_hat.shape) != expected:
        return f"x_hat has shape {tuple(x_hat.shape)}, expected [batch, n] = {expected}"
    if x_hat.dtype != given.y.dtype:
        return f"x_hat is {x_hat.dtype}, expected the dtype of y, {given.y.dtype}"
    for name, value in recovery.diagnostics.items():
        if not isinstance(value, torch.Tensor) or tuple(value.shape) != (given.batch,):
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            return f"diagnostic {name!r} must be a tensor of shape [batch] = ({given.batch},), got {shape}"
    return None


def _reset_peak_memory() -> None:
    with contextlib.suppress(OSError):  # Linux only; elsewhere the peak is that of the process so far
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_mb() -> float:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
