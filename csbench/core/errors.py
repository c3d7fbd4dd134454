"""The exceptions that csbench raises on purpose; every message says what is wrong, where, and what to do.

CsbenchError
├── UsageError            a name, an option or a suite file is wrong (exit code 2)
│   └── UnknownName       no such method, dataset, operator or suite; lists what there is
├── DataError             a data file is missing, damaged or of the wrong kind
├── CheckpointError       weights and card do not belong together, or are missing
│   └── MissingWeights    nobody has trained this prior on this dataset
├── ResultsError          a results file or journal cannot be trusted
└── ShapeError            an operator or a method met a tensor of the wrong shape (also a ValueError)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def guess(name: str, known: Iterable[str]) -> str:
    """The sentence that asks whether a known name was meant; empty where none is like it."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class CsbenchError(Exception):
    """Base of every error that csbench raises on purpose."""


class UsageError(CsbenchError):
    """The call was wrong: an unknown name, an option out of range, a malformed suite file."""


class UnknownName(UsageError):
    """No `kind` is called `name`; the message lists what there is and guesses what was meant."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        known = sorted(known)
        super().__init__(f"unknown {kind} {name!r}.{guess(name, known)} Known: {', '.join(known) or 'none'}")


class DataError(CsbenchError):
    """A data file is missing, damaged or of the wrong kind."""


class CheckpointError(CsbenchError):
    """Weights and their card are missing, damaged or do not belong together."""


class MissingWeights(CheckpointError):
    """Nobody has trained this prior on this dataset; a method that needs it is not applicable."""


class ResultsError(CsbenchError):
    """A results file or a journal cannot be trusted; nothing of it is used."""


class ShapeError(CsbenchError, ValueError):
    """A tensor does not have the shape that an operator or a method expects."""
