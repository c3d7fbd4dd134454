"""One method on one measurement, in this process: what it answers, how long it takes, what is wrong with it."""

from __future__ import annotations

import contextlib
import random
import resource
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time  # by name, so that a method that replaces time's gets no other times

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from csbench.core.errors import MissingWeights
from csbench.core.measurement import Measurement
from csbench.core.method import Method, NotApplicable, Recovery
from csbench.priors import checkpoint

REASON_LENGTH = 2000


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes:
        status: ok, failed, timeout, out_of_memory or not_applicable.
        reason: why, where it is not ok.
        x_hat: shape [batch, n], in the dtype of y; None unless ok.
        diagnostics: name to float64 array of shape [batch].
        wall_seconds, cpu_seconds: of `recover` alone.
        peak_memory_mb: of the worker process while it ran.
    """

    status: str
    reason: str | None = None
    x_hat: np.ndarray | None = None
    diagnostics: dict[str, np.ndarray] = field(default_factory=dict)
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    threads: int = 1


def solve(method: Method, given: Measurement, seed: int, weights: frozenset[str] | None = None) -> Outcome:
    """Run `recover`; every exception, SystemExit included, becomes an outcome.

    Args:
        seed: of the method's generator.
        weights: names of those that the results are known to depend on; None: any.
    """
    try:
        torch.manual_seed(seed)  # for methods that draw from the global generators against the rules
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.set_num_threads(1)  # whatever an earlier method set
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        rng = torch.Generator().manual_seed(seed)
        checkpoint.LOADED.clear()
        _reset_peak_memory()
        with threadpool_limits(1):
            wall, cpu = perf_counter(), process_time()
            answer = method.recover(given, rng)
            wall, cpu = perf_counter() - wall, process_time() - cpu
        recovery = answer if isinstance(answer, Recovery) else Recovery(answer)
        wrong = complaint(recovery, given) or _untold(weights)
        if wrong:
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
    except BaseException as error:  # sys.exit() in a method ends its cell, not the run
        return failure(error)


def failure(error: BaseException) -> Outcome:
    """The outcome that an exception stands for."""
    if isinstance(error, NotApplicable | MissingWeights):
        return Outcome("not_applicable", str(error))
    if isinstance(error, MemoryError):
        return Outcome("out_of_memory", f"MemoryError: {error}")
    said = str(error)  # torch's ways to say it
    if isinstance(error, RuntimeError) and ("can't allocate memory" in said or "Cannot allocate memory" in said):
        return Outcome("out_of_memory", said[-REASON_LENGTH:])
    return Outcome("failed", "".join(traceback.format_exception(error))[-REASON_LENGTH:])


def _untold(weights: frozenset[str] | None) -> str | None:
    """What is wrong where a method loaded weights that nobody knew of, or None."""
    untold = sorted(checkpoint.LOADED - weights) if weights is not None else []
    if not untold:
        return None
    return (
        f"recover loaded the weights {untold[0]!r} without telling of them, so that its results would count as fresh "
        f"when these are trained anew; return checkpoint.weights_path({untold[0]!r}) from `data_files`"
    )


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
