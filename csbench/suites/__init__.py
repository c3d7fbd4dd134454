"""Suites: versioned grids of problems in TOML, and their loader.

A change of a suite that changes any y, or which images are scored, needs a new version; results of different versions
are never mixed.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from csbench.errors import UnknownName, UsageError
from csbench.registry import entries, parse_operator

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Suite:
    """A grid of problems on one dataset and one family of operators, over m or over the level of the noise.

    Attributes:
        operator: registered name, with parameters after a colon where they are not the defaults, as in
            `gaussian-blur:sigma=2`.
        m: numbers of measurements, increasing; one of them where there are several levels of noise.
        noise_norms: sqrt(E||noise||^2), increasing.
        images: test images per cell, from the start of the test split.
        fewer_images: (from_m, images): from this m on, where a cell is costly, fewer images; empty for none.
        draws: random operators per m.
        reference_m: the leaderboard says how many measurements reach the error of the best Lasso here.
        published: whether `leaderboard.md` shows the suite.
        methods: names of the methods that take part; empty for all that are registered and not `on_request`.
        timeout: seconds that a cell may take, unless the run is given another limit; None for any.
    """

    name: str
    version: int
    title: str
    dataset: str
    operator: str
    m: tuple[int, ...]
    noise_norms: tuple[float, ...]
    images: int
    draws: int
    reference_m: int
    published: bool = True
    methods: tuple[str, ...] = ()
    fewer_images: tuple[int, ...] = ()
    timeout: float | None = None

    @property
    def axis(self) -> Literal["m", "noise_norm"]:
        """The column along which the problems differ."""
        return "noise_norm" if len(self.noise_norms) > 1 else "m"

    @property
    def levels(self) -> tuple[float, ...]:
        """The values of that column, increasing."""
        return self.noise_norms if self.axis == "noise_norm" else self.m

    def images_at(self, level: float) -> int:
        """Test images per cell at one of the levels."""
        if self.fewer_images and level >= self.fewer_images[0]:
            return min(self.images, self.fewer_images[1])
        return self.images

    def at_noise(self, noise_norm: float) -> Self:
        """The part of the suite with this level of noise."""
        return replace(self, noise_norms=(noise_norm,))

    def narrowed(
        self,
        m: tuple[int, ...] = (),
        images: int | None = None,
        draws: int | None = None,
        methods: tuple[str, ...] = (),
    ) -> Self:
        """The part of the suite that a user asked for.

        Fewer m, draws or methods are a subset of the suite's cells. Another number of images makes other cells, so the
        suite gets a name of its own, such as `mnist-gaussian~images=10`, and is never published.

        Raises:
            UsageError: an m or a draw that the suite does not have, an unknown method, no images.
        """
        if unknown := set(m) - set(self.m):
            raise UsageError(f"suite {self.name} has m = {_listed(self.m)}, not {_listed(sorted(unknown))}")
        if draws is not None and not 1 <= draws <= self.draws:
            raise UsageError(f"suite {self.name} has {self.draws} draws, so --draws is 1 to {self.draws}, not {draws}")
        if images is not None and images < 1:
            raise UsageError(f"--images is 1 or more, not {images}")
        known = entries("methods")
        for name in methods:
            if name not in known:
                raise UnknownName("method", name, known)
        suite = replace(
            self,
            m=tuple(sorted(set(m))) or self.m,
            draws=draws or self.draws,
            methods=tuple(dict.fromkeys(methods)) or self.methods or tuple(n for n in known if not known[n].on_request),
        )
        if images is None or images == self.images:
            return suite
        return replace(suite, images=images, name=f"{self.name}~images={images}", published=False)


def suite_names() -> list[str]:
    """The suites that ship with csbench."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_suite(name: str, look_up: bool = True) -> Suite:
    """A suite by name, or from a user's own file where the name ends in `.toml`.

    Args:
        look_up: whether dataset and operator are looked up, for which all operators are read: 40 ms.

    Raises:
        UnknownName, UsageError: no such suite; a field is missing, unknown, of the wrong type or out of range.
    """
    if name.endswith(".toml"):
        path = Path(name)
    elif name in suite_names():
        path = FOLDER / f"{name}.toml"
    else:
        raise UnknownName("suite", name, suite_names())
    try:
        return parse_suite(tomllib.loads(path.read_text(encoding="utf-8")), path, look_up)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error


def parse_suite(table: dict[str, Any], path: Path, look_up: bool = True) -> Suite:
    """The suite that a TOML table describes; `path` is for messages."""
    types = {
        "name": str, "version": int, "title": str, "dataset": str, "operator": str, "m": list, "noise_norm": float,
        "images": int, "draws": int, "reference_m": int, "published": bool, "methods": list,
        "fewer_images": list, "timeout": float,
    }  # fmt: skip
    if unknown := table.keys() - types.keys():
        raise UsageError(f"{path}: unknown field {sorted(unknown)[0]!r}; a suite has {', '.join(types)}")
    optional = {f.name for f in fields(Suite) if f.name in ("published", "methods", "fewer_images", "timeout")}
    for field, kind in types.items():
        if field not in table:
            if field in optional:
                continue
            raise UsageError(f"{path}: field {field!r} is missing")
        value = table[field]
        several = value if field == "noise_norm" and isinstance(value, list) else [value]
        fits = all(isinstance(one, (int, float) if kind is float else kind) for one in several)
        if not fits or (kind is not bool and any(isinstance(one, bool) for one in several)):
            raise UsageError(f"{path}: field {field!r} must be of type {kind.__name__}, got {value!r}")
    m = table["m"]
    if not m or any(type(v) is not int or v < 1 for v in m) or sorted(set(m)) != m:
        raise UsageError(f"{path}: field 'm' must list positive integers in increasing order, got {m}")
    for field in ("version", "images", "draws"):
        if table[field] < 1:
            raise UsageError(f"{path}: field {field!r} must be 1 or more, got {table[field]}")
    noise = table["noise_norm"] if isinstance(table["noise_norm"], list) else [table["noise_norm"]]
    if not noise or not min(noise) >= 0 or sorted(set(noise)) != noise:
        raise UsageError(
            f"{path}: field 'noise_norm' must be 0 or more, or a list of such in increasing order, got "
            f"{table['noise_norm']}"
        )
    if len(noise) > 1 and (len(m) > 1 or table.get("fewer_images")):
        raise UsageError(
            f"{path}: field 'noise_norm': with several levels of noise a suite has one m, not {_listed(m)}, and no "
            "fewer_images"
        )
    fewer = table.get("fewer_images", [])
    if fewer and (len(fewer) != 2 or fewer[0] not in m or type(fewer[1]) is not int or fewer[1] < 1):
        raise UsageError(f"{path}: field 'fewer_images' must be [one of m, number of images], got {fewer}")
    if not table.get("timeout", 1) > 0:
        raise UsageError(f"{path}: field 'timeout' must be a number of seconds above 0, got {table['timeout']}")
    if table["reference_m"] not in m:
        raise UsageError(f"{path}: field 'reference_m' must be one of m = {_listed(m)}, got {table['reference_m']}")
    if path.parent.resolve() != FOLDER and table["name"] in suite_names():
        raise UsageError(f"{path}: field 'name': {table['name']!r} is a suite of csbench; take another name")
    if "~" in table["name"] or "/" in table["name"]:
        raise UsageError(f"{path}: field 'name' must not contain '~' or '/', got {table['name']!r}")
    if look_up:
        _look_up(table, path)
    lists = {"m": tuple(m), "methods": tuple(table.get("methods", ())), "fewer_images": tuple(fewer)}
    values: dict[str, Any] = table | lists | {"noise_norms": tuple(map(float, noise))}
    return Suite(**{field: value for field, value in values.items() if field != "noise_norm"})


def _look_up(table: dict[str, Any], path: Path) -> None:
    if table["dataset"] not in entries("datasets"):
        raise UsageError(f"{path}: field 'dataset': {UnknownName('dataset', table['dataset'], entries('datasets'))}")
    try:
        parse_operator(table["operator"])
    except UsageError as error:
        raise UsageError(f"{path}: field 'operator': {error}") from None


def _listed(values: Any) -> str:
    return ", ".join(map(str, values))
