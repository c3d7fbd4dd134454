"""A run that has ended. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Done:
    """A cell that has run.

    Attributes:
        where: its place in the suite, for people.
        seconds: None where it never ended.
    """

    method: str
    where: str
    seconds: float | None
    ok: bool


@dataclass
class Ran:
    """A run that has ended, of no cells unless told otherwise.

    Attributes:
        cells: how many were to run.
        written: Parquet files.
        place: where it ran, for people.
        counts: method to state to number of cells, after it.
    """

    done: list[Done] = field(default_factory=list)
    cells: int = 0
    written: list[Path] = field(default_factory=list)
    seconds: float = 0.0
    place: str = "this machine"
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
