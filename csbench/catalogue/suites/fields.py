"""The fields of a suite's TOML file: their types, their ranges, and what they have to do with one another.

Every function here raises a UsageError that names file and field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csbench.catalogue.registry import entries, parse_operator
from csbench.core.errors import UnknownName, UsageError
from csbench.core.names import checked


@dataclass(frozen=True)
class Field:
    """What a field holds.

    Attributes:
        kind: its type; `float` also takes integers.
        required: whether every suite has it.
        or_list: whether a list of such values is taken too.
        positive: whether it is an integer that must be 1 or more.
    """

    kind: type
    required: bool = True
    or_list: bool = False
    positive: bool = False

    def fits(self, value: Any) -> bool:
        """Whether a value has the type; `true` is no number."""
        values = value if self.or_list and isinstance(value, list) else [value]
        kinds = (int, float) if self.kind is float else self.kind
        return all(isinstance(one, kinds) and (self.kind is bool or not isinstance(one, bool)) for one in values)


FIELDS = {
    "name": Field(str),
    "version": Field(int, positive=True),
    "title": Field(str),
    "dataset": Field(str),
    "operator": Field(str),
    "m": Field(list),
    "noise_norm": Field(float, or_list=True),
    "images": Field(int, positive=True),
    "draws": Field(int, positive=True),
    "reference_m": Field(int),
    "published": Field(bool, required=False),
    "methods": Field(list, required=False),
    "fewer_images": Field(list, required=False),
    "timeout": Field(float, required=False),
}


def check_fields(table: dict[str, Any], path: Path) -> None:
    """All fields are known, none is missing, and each is right in itself."""
    if unknown := table.keys() - FIELDS.keys():
        raise UsageError(f"{path}: unknown field {sorted(unknown)[0]!r}; a suite has {', '.join(FIELDS)}")
    for name, field in FIELDS.items():
        if name not in table:
            if field.required:
                raise UsageError(f"{path}: field {name!r} is missing")
        elif not field.fits(table[name]):
            raise UsageError(f"{path}: field {name!r} must be of type {field.kind.__name__}, got {table[name]!r}")
        elif field.positive and table[name] < 1:
            raise UsageError(f"{path}: field {name!r} must be 1 or more, got {table[name]}")
    if not table.get("timeout", 1) > 0:
        raise UsageError(f"{path}: field 'timeout' must be a number of seconds above 0, got {table['timeout']}")


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
    if not m or any(type(v) is not int or v < 1 for v in m) or sorted(set(m)) != m:
        raise UsageError(f"{path}: field 'm' must list positive integers in increasing order, got {m}")
    if not noise or not all(0 <= v < math.inf for v in noise) or sorted(set(noise)) != noise:
        raise UsageError(
            f"{path}: field 'noise_norm' must be 0 or more, or a list of such in increasing order, got "
            f"{table['noise_norm']}"
        )
    if len(noise) > 1 and (len(m) > 1 or fewer):
        raise UsageError(
            f"{path}: field 'noise_norm': with several levels of noise a suite has one m, not {listed(m)}, and no "
            "fewer_images"
        )
    if fewer and (len(fewer) != 2 or fewer[0] not in m or type(fewer[1]) is not int or fewer[1] < 1):
        raise UsageError(f"{path}: field 'fewer_images' must be [one of m, number of images], got {fewer}")
    if table["reference_m"] not in m:
        raise UsageError(f"{path}: field 'reference_m' must be one of m = {listed(m)}, got {table['reference_m']}")


def check_registered(table: dict[str, Any], path: Path) -> None:
    """Dataset and operator are registered, the operator with the parameters that are given."""
    if table["dataset"] not in entries("datasets"):
        raise UsageError(f"{path}: field 'dataset': {UnknownName('dataset', table['dataset'], entries('datasets'))}")
    try:
        parse_operator(table["operator"])
    except UsageError as error:
        raise UsageError(f"{path}: field 'operator': {error}") from None


def noise_norms(table: dict[str, Any]) -> list[float]:
    """The levels of noise, also where there is one."""
    noise = table["noise_norm"]
    return [float(level) for level in (noise if isinstance(noise, list) else [noise])]


def listed(values: Any) -> str:
    return ", ".join(map(str, values))
