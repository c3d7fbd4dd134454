"""What a cell may take before it is stopped."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from csbench.runner import cgroups

LEAST_MEMORY = 2 * 2**30  # bytes; the libraries alone take half of it


@dataclass(frozen=True)
class Limits:
    """What a cell may take before it is stopped.

    Attributes:
        seconds: of a cell, on the wall, from when all that the method may import is there and compiled, without up to
            15 minutes in which numba compiles what the cell calls; None: any.
        of_method: method name to its own seconds.
        memory_gb: that a worker may allocate, with the processes that it starts and the memory that these share; None:
            an equal share of what the machine or the container has. Enforced on Linux: a process that allocates more
            for itself gets a MemoryError, and what holds more together is ended within a tenth of a second.
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
        total = memory()
        return None if total is None else max(total // (jobs + 1), LEAST_MEMORY)  # the parent has a share


def memory() -> int | None:
    """Bytes of memory that this machine, or the container, has; None where nobody says."""
    found = [limit for limit in (_installed(), cgroups.memory()) if limit is not None]
    return min(found, default=None)


def cores() -> int:
    """The processors that this process may use, at least 1; of those that a container has in part, the whole ones."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroups.cores()
    return here if quota is None else max(1, min(here, int(quota)))


def _installed() -> int | None:
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


NO_LIMITS = Limits()
