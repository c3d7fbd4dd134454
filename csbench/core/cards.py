"""Cards: what is known of trained weights, a JSON file beside them. This module imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from csbench.core.decoding import Decoding
from csbench.core.errors import CheckpointError
from csbench.core.files import listed

Card = dict[str, Any]
SEAL = "card_sha256"  # of all the other fields
LONGEST = 2**20  # bytes of a card; real ones have two thousand
WANTED = {
    "name": str, "family": str, "dataset": str, "measurements": str, "licence": str, "quality": dict, "bytes": int,
    "sha256": str,
}  # fmt: skip
OPTIONAL = {"architecture": dict, "recipe": dict, "versions": dict, "split": str, "hardware": str, "command": str,
            "steps": int, "seconds": (int, float), SEAL: str}  # fmt: skip
KINDS = {str: "a text", dict: "an object", int: "an integer"}


def read_card(path: Path) -> Card:
    """A card from its file.

    Raises:
        CheckpointError: it cannot be read, is no card, or has been changed since it was written; the message names the
            file, the field, and what was found.
    """
    with Decoding(CheckpointError, f"{path}: the card cannot be read: "):
        card = parsed(path)
    return sound(card, path)


def parsed(path: Path) -> Any:
    """What stands in the file of a card.

    Raises:
        OSError: it is not there, too long, or no JSON in UTF-8.
    """
    with Decoding(OSError):
        size = path.stat().st_size
        if size > LONGEST:
            raise OSError(f"{size} bytes are too many for a card")
        return json.loads(path.read_text(encoding="utf-8"))


def sound(card: Any, path: Path) -> Card:
    """The card itself, where it has the fields of one and is as it was written.

    Raises:
        CheckpointError: it is not.
    """
    if not isinstance(card, dict):
        raise CheckpointError(f"{path}: a card is a JSON object, got {type(card).__name__}; train again")
    missing = sorted(WANTED.keys() - card.keys())
    if missing:
        raise CheckpointError(f"{path}: field {missing[0]!r} is missing; restore the card or train again")
    strange = sorted(card.keys() - WANTED.keys() - OPTIONAL.keys())
    if strange:
        raise CheckpointError(f"{path}: unknown field {strange[0]!r}; a card has {', '.join(WANTED | OPTIONAL)}")
    for field, kind in (WANTED | OPTIONAL).items():
        value = card.get(field, kind() if isinstance(kind, type) else 0)
        if isinstance(value, bool) | (not isinstance(value, kind)):
            raise CheckpointError(
                f"{path}: field {field!r} must be {KINDS.get(kind, 'a number')}, got {repr(value)[:80]}; train again"
            )
    if card["name"] != path.stem:
        raise CheckpointError(f"{path}: field 'name' must be that of the file, got {repr(card['name'])[:80]}")
    if card.get(SEAL, seal_of(card)) != seal_of(card):
        raise CheckpointError(
            f"{path}: the card has been changed: its sha256 is {seal_of(card)}, its field {SEAL!r} says "
            f"{repr(card[SEAL])[:80]}; restore it, or take this field away if the change is meant"
        )
    return card


def seal_of(card: Mapping[str, Any]) -> str:
    """The sha256 of a card's other fields."""
    others = {name: value for name, value in card.items() if name != SEAL}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def written(card: Mapping[str, Any]) -> bytes:
    """The file of a card, with its seal."""
    return (json.dumps({**card, SEAL: seal_of(card)}, indent=2) + "\n").encode()


def all_cards(folders: list[Path], *patterns: str) -> list[Card]:
    """The cards in some folders, sorted by name; of two of one name that of the first folder.

    Args:
        patterns: of their files; hidden ones, as editors and macOS leave behind, are no cards.

    Raises:
        CheckpointError: one of them is not sound.
    """
    paths: dict[str, Path] = {}
    for folder in folders:
        for pattern in patterns:
            place, _, names = pattern.rpartition("/")
            for path in listed(folder / place, names):
                paths.setdefault(path.stem, path)
    return [read_card(paths[name]) for name in sorted(paths)]
