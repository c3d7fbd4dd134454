"""The fields of a suite's TOML file: what each may hold, and what they have to do with one another.

Every function here raises a UsageError that names the file, the field, what was found and what may stand there.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csbench.catalogue.registry import entries, parse_operator
from csbench.core.errors import UnknownName, UsageError, guess
from csbench.core.names import checked

MOST_MEASUREMENTS = 10_000_000
MOST_IMAGES = 1_000_000
MOST_DRAWS = 10_000
MOST_CELLS = 100_000  # of one method: more than anybody would wait for
MOST_NOISE = 1e6  # an image of n pixels has a norm of at most sqrt(n)
MOST_SECONDS = 10_000_000  # four months
LONGEST_TITLE = 200
MARKUP = frozenset("<>|$\\`")  # of pages, tables and pictures that show a title


@dataclass(frozen=True)
class Field:
    """What a field holds: what that is in words, and whether a value is such."""

    wanted: str
    fits: Callable[[Any], bool]
    required: bool = True


def integer(least: int, most: int) -> Callable[[Any], bool]:
    """Whether a value is an integer in a range; `true` is no number."""
    return lambda value: type(value) is int and least <= value <= most


def number(least: float, most: float) -> Callable[[Any], bool]:
    """Whether a value is an integer or a float in a range, which NaN is not."""
    return lambda value: type(value) in (int, float) and least <= value <= most


def increasing(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether a value is a list of such, each greater than the one before, and not empty."""
    return lambda value: (
        isinstance(value, list) and bool(value) and all(map(fits, value)) and sorted(set(value)) == value
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_title(value: Any) -> bool:
    return _is_text(value) and bool(value.strip()) and value.isprintable() and len(value) <= LONGEST_TITLE


def _is_level(value: Any) -> bool:
    return number(0, MOST_NOISE)(value) or increasing(number(0, MOST_NOISE))(value)


def _is_timeout(value: Any) -> bool:
    return number(0, MOST_SECONDS)(value) and value > 0


FIELDS = {
    "name": Field("a text", _is_text),
    "version": Field("an integer, 1 to 1000000", integer(1, 1_000_000)),
    "title": Field(
        f"one line of at most {LONGEST_TITLE} printable characters, without {' '.join(sorted(MARKUP))}",
        lambda value: _is_title(value) and not MARKUP & set(value),
    ),
    "dataset": Field("a text", _is_text),
    "operator": Field("a text", _is_text),
    "m": Field(
        f"a list of integers in increasing order, 1 to {MOST_MEASUREMENTS}", increasing(integer(1, MOST_MEASUREMENTS))
    ),
    "noise_norm": Field(f"a number, 0 to {MOST_NOISE:g}, or a list of such in increasing order", _is_level),
    "images": Field(f"an integer, 1 to {MOST_IMAGES}", integer(1, MOST_IMAGES)),
    "draws": Field(f"an integer, 1 to {MOST_DRAWS}", integer(1, MOST_DRAWS)),
    "reference_m": Field("one of the integers in m", integer(1, MOST_MEASUREMENTS)),
    "published": Field("true or false", lambda value: isinstance(value, bool), required=False),
    "methods": Field(
        "a list of names", lambda value: isinstance(value, list) and all(map(_is_text, value)), required=False
    ),
    "fewer_images": Field("[one of m, number of images]", lambda value: isinstance(value, list), required=False),
    "timeout": Field(f"a number of seconds above 0, at most {MOST_SECONDS}", _is_timeout, required=False),
}


def check_fields(table: dict[str, Any], path: Path) -> None:
    """All fields are known, none is missing, and each is right in itself."""
    if unknown := sorted(table.keys() - FIELDS.keys()):
        raise UsageError(
            f"{path}: unknown field {shown(unknown[0])}.{guess(unknown[0], FIELDS)} A suite has {', '.join(FIELDS)}"
        )
    for name, field in FIELDS.items():
        if name not in table:
            if field.required:
                raise UsageError(f"{path}: field {name!r} is missing; it must be {field.wanted}")
        elif not field.fits(table[name]):
            raise wrong(path, name, field.wanted, table[name])


def check_names(table: dict[str, Any], path: Path, taken: list[str]) -> None:
    """The suite's name, and those of its methods, are such as names are.

    Args:
        taken: names that the suite may not have.
    """
    checked(table["name"], f"{path}: field 'name'")
    checked(table["dataset"], f"{path}: field 'dataset'")
    checked(table["operator"], f"{path}: field 'operator'", ":")
    if table["name"].lower() in map(str.lower, taken):
        raise UsageError(f"{path}: field 'name': {table['name']!r} is a suite of csbench; take another name")
    methods = table.get("methods", [])
    for method in methods:
        checked(method, f"{path}: field 'methods'")
    if len(set(methods)) < len(methods):
        raise UsageError(f"{path}: field 'methods' must name each method once, got {listed(methods)}")


def check_grid(table: dict[str, Any], path: Path) -> None:
    """Measurements, levels of noise and numbers of images belong together; only one of the first two varies."""
    m, noise, fewer = table["m"], noise_norms(table), table.get("fewer_images", [])
    if len(noise) > 1 and (len(m) > 1 or fewer):
        raise UsageError(
            f"{path}: field 'noise_norm': with several levels of noise a suite has one m, not {listed(m)}, and no "
            "fewer_images"
        )
    numbers = all(type(one) is int for one in fewer)
    if fewer and not (numbers and len(fewer) == 2 and fewer[0] in m and 1 <= fewer[1] <= table["images"]):
        raise wrong(path, "fewer_images", f"[one of m, number of images, 1 to {table['images']}]", fewer)
    if table["reference_m"] not in m:
        raise wrong(path, "reference_m", f"one of m = {listed(m)}", table["reference_m"])
    cells = table["draws"] * len(m) * len(noise)
    if cells > MOST_CELLS:
        raise wrong(path, "draws", f"at most {MOST_CELLS // (len(m) * len(noise))} with so many levels", table["draws"])


def check_registered(table: dict[str, Any], path: Path) -> None:
    """Dataset, methods and operator are registered, the operator with the parameters that are given."""
    if table["dataset"] not in entries("datasets"):
        raise UsageError(f"{path}: field 'dataset': {UnknownName('dataset', table['dataset'], entries('datasets'))}")
    for name in table.get("methods", []):
        if name not in entries("methods"):
            raise UsageError(f"{path}: field 'methods': {UnknownName('method', name, entries('methods'))}")
    try:
        parse_operator(table["operator"])
    except UsageError as error:
        raise UsageError(f"{path}: field 'operator': {error}") from None


def noise_norms(table: dict[str, Any]) -> list[float]:
    """The levels of noise, also where there is one."""
    noise = table["noise_norm"]
    return [float(level) for level in (noise if isinstance(noise, list) else [noise])]


def wrong(path: Path, field: str, wanted: str, found: Any) -> UsageError:
    """What is to be said of a field that holds something else than what may stand there."""
    return UsageError(f"{path}: field {field!r} must be {wanted}, got {shown(found)}")


def shown(value: Any) -> str:
    """A value for a message: on one line, and short however much was found."""
    return reprlib.repr(value)


def listed(values: Any) -> str:
    return ", ".join(map(str, values))
