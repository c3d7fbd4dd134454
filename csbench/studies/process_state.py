"""The state of a process that a method has to leave alone, and a process that is not the one it was."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from csbench.core.method import Method

LATER = 86413.7  # seconds by which clocks are moved
CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
REMEDIES = {
    "torch's global generator was used": "draw from rng",
    "NumPy's global generator was used": "draw from rng, or np.random.default_rng of a number drawn from it",
    "the generator of `random` was used": "draw from rng, or random.Random of a number drawn from it",
    "torch's default dtype or gradient mode was changed": "use `with torch.no_grad():` and pass dtypes",
    "torch's default device or deterministic mode was changed": "pass devices, and leave the mode alone",
    "the number of threads was changed": "the harness gives one per worker",
    "NumPy's handling of errors was changed": "use `with np.errstate(...):`",
    "the filters of warnings were changed": "use `with warnings.catch_warnings():`",
    "the recursion limit was changed": "leave it alone",
    "the folder, the environment or the search path was changed": "leave them alone",
    "a function of torch, NumPy, time or csbench was replaced": "call another function instead",
    "threads or processes were left": "join what is started, or start none",
}


def settle() -> None:
    """Have torch import what it imports when it is first optimised with, which leaves traces in the process."""
    x = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.Adam([x])
    x.sum().backward()
    optimiser.step()


def snapshot() -> dict[str, Any]:
    """What methods share with whatever else runs in the process; equal where nothing was touched.

    The keys are those of `REMEDIES`.
    """
    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    values = (
        torch.get_rng_state().numpy().tobytes(),
        (numpy_state[1].tobytes(), *numpy_state[2:]),
        random.getstate(),
        (torch.get_default_dtype(), torch.is_grad_enabled()),
        (str(torch.get_default_device()), torch.are_deterministic_algorithms_enabled()),
        torch.get_num_threads(),
        np.geterr(),
        [(one[0], one[2]) for one in warnings.filters],
        sys.getrecursionlimit(),
        (os.getcwd(), dict(os.environ), list(sys.path)),
        _functions(),
        (threading.active_count(), len(multiprocessing.active_children())),
    )
    return dict(zip(REMEDIES, values, strict=True))


def _functions() -> dict[tuple[str, str], int]:
    """Identities of the functions that everyone calls."""
    owners: list[Any] = [torch, torch.Tensor, torch.linalg, torch.nn.functional, np, np.linalg, time, random]
    owners += [module for name, module in sys.modules.items() if name.startswith(("csbench.core.", "csbench.runner."))]
    return {
        (getattr(owner, "__name__", ""), name): id(value)
        for owner in owners
        for name, value in list(vars(owner).items())
        if callable(value)
    }


@contextlib.contextmanager
def elsewhere(method: type[Method]) -> Iterator[None]:
    """As in another process at another time: clocks are later, and global generators and the process's number others.

    Args:
        method: in whose module functions of `time` may stand under names of their own.
    """
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    process = os.getpid()
    with contextlib.ExitStack() as stack:
        for name in CLOCKS:
            real = getattr(time, name)
            moved = _moved(real, LATER * (10**9 if name.endswith("_ns") else 1))
            stack.enter_context(patch.object(time, name, moved))
            module = sys.modules[method.__module__]
            for own in [own for own, value in vars(module).items() if value is real]:
                stack.enter_context(patch.object(module, own, moved))
        stack.enter_context(patch.object(os, "getpid", lambda: process + 1))
        torch.manual_seed(process + 1)
        np.random.seed(process + 1)  # noqa: NPY002
        random.seed(process + 1)
        try:
            yield
        finally:
            torch.set_rng_state(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            random.setstate(states[2])


def _moved(clock: Any, by: float) -> Any:
    """A clock that is later, in whole nanoseconds where it counts these."""
    return lambda: clock() + type(clock())(by)
