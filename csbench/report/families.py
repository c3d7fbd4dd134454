"""What kind of method one is, and what its prior was learned from: facts of its class, and of the prior's card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from csbench.catalogue.registry import Entry
from csbench.core.cards import read_card
from csbench.core.errors import UsageError
from csbench.core.names import fault_of
from csbench.core.paths import weights_folders

METHOD_KINDS = (
    "sparse",
    "untrained",
    "learned",
    "generative",
    "ambient-trained",
    "baseline",
)  # in this order on pages
USES = ("ambient", "ignore", "unmeasure")  # the families of priors that are learned from measurements


def family(entry: Entry | None, learned_from: str | None) -> str:
    """What the class tells; of a method that tells nothing, or is not installed, no more than whether it was learned.

    Raises:
        UsageError: the class tells something else.
    """
    told = entry.facts.get("family") if entry else None
    if not told:
        return "learned" if learned_from else "untrained"
    if entry and told not in METHOD_KINDS:
        raise UsageError(
            f"{entry.path}: {entry.class_name}.family is {told!r}; it is one of {', '.join(METHOD_KINDS)}, or not told"
        )
    return str(told)


def learned_from(entry: Entry | None, params: Mapping[str, Any]) -> str | None:
    """What a method's prior was learned from, by its class or else by the card of the prior; None without one."""
    if entry and (told := entry.facts.get("learned_from")):
        return str(told)
    prior = params.get("prior")
    if not prior:
        return None
    card = prior_card(str(prior))
    if card is None:
        return "not known"
    if card["family"] in USES:
        process = re.sub("[:,]", "-", card["measurements"].split(", ")[0]).replace("=", "")
        return f"{process} ({card['family']})"
    return "nothing" if card["measurements"] == "none: not trained" else "clean images"


def prior_card(name: str) -> dict[str, Any] | None:
    """The card of a prior, read without torch; None where there is none.

    Raises:
        CheckpointError: it is not sound.
    """
    if fault_of(name):
        return None
    for folder in weights_folders():
        path = folder / f"{name}.json"
        if path.is_file():
            return read_card(path)
    return None
