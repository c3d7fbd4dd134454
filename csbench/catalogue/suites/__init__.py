"""Suites: versioned grids of problems in TOML, and their loader.

A change of a suite that changes any y, or which images are scored, needs a new version; results of different versions
are never mixed.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from csbench.catalogue.registry import entries
from csbench.catalogue.suites.fields import check_fields, check_grid, check_names, check_registered, listed, noise_norms
from csbench.core.errors import UnknownName, UsageError
from csbench.core.files import listed as files_in

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
        timeout: seconds that a cell may take, imports and what numba compiles not counted, unless the run is given
            another limit; None for any.
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
            raise UsageError(f"suite {self.name} has m = {listed(self.m)}, not {listed(sorted(unknown))}")
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
    return [path.stem for path in files_in(FOLDER, "*.toml")]


def load_suite(name: str, look_up: bool = True) -> Suite:
    """A suite by name, or from a user's own file where the name ends in `.toml`.

    Args:
        look_up: whether dataset and operator are looked up, for which all operators are read: 40 ms.

    Raises:
        UnknownName, UsageError: no such suite; the file cannot be read, or a field is missing, unknown, of the wrong
            type or out of range.
    """
    if name.endswith(".toml"):
        path = Path(name)
    elif name in suite_names():
        path = FOLDER / f"{name}.toml"
    else:
        raise UnknownName("suite", name, suite_names())
    return parse_suite(_read(path), path, look_up)


def _read(path: Path) -> dict[str, Any]:
    """The table in a TOML file; a byte-order mark, as some editors write it, is passed over.

    Raises:
        UsageError: there is no such file, it is no text in UTF-8, or no TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; a suite is a TOML file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not in UTF-8 (byte {error.start}); save it in that encoding") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists, a name with a null
        raise UsageError(f"{str(path)!r}: cannot be read: {error}") from error


def parse_suite(table: dict[str, Any], path: Path, look_up: bool = True) -> Suite:
    """The suite that a TOML table describes; `path` is for messages.

    Raises:
        UsageError: a field is missing, unknown, of the wrong type or out of range.
    """
    check_fields(table, path)
    check_names(table, path, taken=[] if path.parent.resolve() == FOLDER else suite_names())
    check_grid(table, path)
    if look_up:
        check_registered(table, path)
    lists = {field: tuple(table.get(field, ())) for field in ("m", "methods", "fewer_images")}
    values: dict[str, Any] = table | lists | {"noise_norms": tuple(noise_norms(table))}
    del values["noise_norm"]
    return Suite(**values)
