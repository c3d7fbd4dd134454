"""What a study of a results file or of a method has to say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that was checked; `fault` is None where it holds."""

    what: str
    fault: str | None = None
