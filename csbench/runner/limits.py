"""What a cell may take before it is stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

LEAST_MEMORY = 2 * 2**30  # bytes; the libraries alone take half of it


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
