"""Whether stored rows are what this code would make again, and if not, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:  # this module imports no torch
    from csbench.freshness.lineage import Lineage
    from csbench.freshness.made_by import MadeOf

State = Literal["fresh", "proved", "changed", "stale", "missing", "failed", "not_applicable"]
STATES: tuple[State, ...] = get_args(State)
SHOWN = 6  # names in a line
ACCEPTED = ("fresh", "proved", "not_applicable")


@dataclass(frozen=True)
class Stored:
    """A cell in the results or in the journal.

    Attributes:
        made_of: what its hash is of, where that is known.
    """

    key: str
    made_by: str
    status: str
    made_of: MadeOf | None = None


@dataclass(frozen=True)
class Verdict:
    """A state, and in a line why it is not `fresh`."""

    state: State
    reason: str = ""


def judge(key: str, today: MadeOf | None, stored: Stored | None, lineage: Lineage) -> Verdict:
    """The state of a cell.

    Args:
        key: hash of the coordinates and parameters, as they are today.
        today: what the code here would make it of; None where the method's prior has no weights.
        stored: what is known of the cell at its coordinates, whatever its parameters; None: nothing.
    """
    if stored is None:
        return Verdict("missing")
    if today is None:
        return Verdict("not_applicable") if stored.made_of is None else Verdict("stale", "the weights are gone")
    today = today.completed(stored.made_of)
    state: State = "fresh"
    if stored.made_by != today.made_by:
        if stored.made_of is None:
            return Verdict("stale", "made before there were weights, or by code that left no record")
        if reason := "; ".join(other_inputs(stored.made_of, today)):
            return Verdict("stale", reason)
        if proof := lineage.refuted(stored.made_by, today.made_by):
            return Verdict("stale", f"other numbers, as a proof found: {proof.deviation}")
        if not lineage.leads(stored.made_by, today.made_by):
            return Verdict("changed", "; ".join(other_code(stored.made_of, today)))
        state = "proved"
    if stored.key != key:
        return Verdict("stale", "the suite has another version, or other images at this level")
    if stored.status in ("ok", "not_applicable"):
        return Verdict(state if stored.status == "ok" else "not_applicable")
    return Verdict("failed", stored.status)


def other_inputs(old: MadeOf, new: MadeOf) -> Iterator[str]:
    """What differs besides code, one text for each: then the numbers are others."""
    if old.params != new.params:
        yield f"parameters {_differing(old.params, new.params)}"
    for name in ("method", "operator"):
        if getattr(old, name).rpartition(":")[2] != getattr(new, name).rpartition(":")[2]:
            yield f"{name} {getattr(old, name)} -> {getattr(new, name)}"
    if old.files != new.files:
        yield f"weights {_names(old.files, new.files)}"
    if old.images != new.images:
        yield f"images {_names(old.images, new.images)}"


def other_code(old: MadeOf, new: MadeOf) -> Iterator[str]:
    """What differs of the code and of the packages, one text for each."""
    if old.code != new.code:
        yield f"code {_names(old.code, new.code)}"
    if old.packages != new.packages:
        yield f"packages {_differing(old.packages, new.packages)}"


def _names(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    differing = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
    return ", ".join(differing[:SHOWN]) + more


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {old.get(name)} -> {new.get(name)}" for name in names)
