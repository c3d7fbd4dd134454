"""Names to classes: what is in `methods/`, `datasets/` and `csbench/operators/`, and in installed packages.

Listing reads the source and imports nothing, so `csbench list` answers at once; only `get_*` imports the one module
that is asked for. An installed package adds a module through the entry-point group `csbench.methods`,
`csbench.datasets` or `csbench.operators`, whose value is the module's dotted name.
"""

from __future__ import annotations

import ast
import importlib
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from csbench.catalogue.entries import Catalogue, Entry, Kind, Untaken, read_catalogue
from csbench.catalogue.sources import find
from csbench.core.errors import UnknownName, UsageError, guess
from csbench.core.paths import PACKAGE

if TYPE_CHECKING:
    from csbench.core.dataset import Dataset
    from csbench.core.method import Method
    from csbench.operators import LinearOperator

KINDS: tuple[Kind, ...] = get_args(Kind)


def entries(kind: Kind) -> dict[str, Entry]:
    """Every registered name of a kind, sorted.

    Raises:
        UsageError: two modules claim one name, a plug-in has a syntax error, or the checkout has no symbolic links.
    """
    return _catalogue(kind, PACKAGE).entries


def untaken(kind: Kind) -> tuple[Untaken, ...]:
    """The public classes in the modules of a kind that do what one of that kind does, and yet are not registered.

    Raises:
        UsageError: as `entries`.
    """
    return _catalogue(kind, PACKAGE).untaken


def get_method(name: str) -> Callable[..., Method]:
    """What makes the method of this name: called without arguments, with its default hyper-parameters.

    >>> get_method("csgm-vae")(restarts=5)   # doctest: +SKIP
    """
    entry = _entry("methods", name)
    module = _import(entry)
    if entry.configured:
        return partial(replace, module.configurations[name])
    return getattr(module, entry.class_name)


def get_dataset(name: str) -> Dataset:
    """The dataset of this name."""
    entry = _entry("datasets", name)
    return getattr(_import(entry), entry.class_name)()


def get_operator(name: str) -> type[LinearOperator]:
    """The class of measurement operators of this name.

    `.draw(m, n, rng)` makes one, or `.draw_for(m, image_shape, rng)` where the family needs the image's shape.
    """
    entry = _entry("operators", name)
    return getattr(_import(entry), entry.class_name)


def parse_operator(spec: str) -> tuple[Entry, dict[str, int | float]]:
    """The family and the parameters of an operator as suites name it: `NAME` or `NAME:PARAMETER=VALUE,...`.

    >>> entry, parameters = parse_operator("gaussian-blur:sigma=2")
    >>> entry.name, parameters
    ('gaussian-blur', {'sigma': 2.0})

    Raises:
        UsageError: there is no such family or parameter, or the value is no number of the parameter's kind.
    """
    name, _, rest = spec.partition(":")
    entry = _entry("operators", name)
    parameters: dict[str, int | float] = {}
    for part in rest.split(",") if ":" in spec else ():
        key, _, text = part.partition("=")
        if key not in entry.fields:
            known = ", ".join(f"{k}={v}" for k, v in entry.fields.items()) or "none"
            meant = guess(key, entry.fields)
            raise UsageError(f"{spec!r}: {name} has no parameter {key!r}; its parameters: {known}.{meant}")
        if key in parameters:
            raise UsageError(f"{spec!r}: parameter {key} is given twice")
        kind = int if isinstance(ast.literal_eval(entry.fields[key]), int) else float
        try:
            parameters[key] = kind(text)
        except ValueError:
            parameters[key] = math.nan
        if not math.isfinite(parameters[key]):
            wanted = "an integer" if kind is int else "a number"
            raise UsageError(f"{spec!r}: parameter {key} of {name} must be {wanted}, got {text!r}")
    return entry, parameters


def source_roots() -> list[Path]:
    """Files and folders with all code that methods, datasets and operators may be made of: csbench and plug-ins."""
    roots = {PACKAGE}
    for kind in KINDS:
        for module, path in _modules(kind, PACKAGE):
            # a plug-in's package as a whole, for its modules import each other
            depth = module.count(".") + (path.name == "__init__.py")
            roots.add(path.parents[depth - 1] if depth and not path.is_relative_to(PACKAGE) else path)
    return sorted(root for root in roots if root == PACKAGE or not root.is_relative_to(PACKAGE))


def _entry(kind: Kind, name: str) -> Entry:
    try:
        return entries(kind)[name]
    except KeyError:
        raise UnknownName(kind.removesuffix("s"), name, entries(kind)) from None


def _import(entry: Entry) -> Any:
    try:
        return importlib.import_module(entry.module)
    except Exception as error:
        raise UsageError(f"{entry.path}: cannot be imported: {type(error).__name__}: {error}") from error


@lru_cache
def _catalogue(kind: Kind, package: Path) -> Catalogue:
    return read_catalogue(kind, dict(_modules(kind, package)))


def _modules(kind: Kind, package: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of each module that is declared to hold classes of a kind: in csbench, and in plug-ins."""
    folder = package / kind
    if folder.is_file():  # git without core.symlinks writes a link as a text file that holds its target
        raise UsageError(
            f"{folder} is a text file where a symbolic link should be. Turn links on and check it out again: "
            f"git config core.symlinks true && git checkout -- csbench/{kind} "
            "(on Windows, switch on developer mode first)"
        )
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith(("_", ".")):  # dots begin what editors and macOS leave behind
            yield f"csbench.{kind}.{path.stem}", path
    for point in _entry_points(f"csbench.{kind}"):
        path = find(point.value)
        if path is None:
            raise UsageError(
                f"entry point {point.name!r} in group csbench.{kind} names module {point.value!r}, which is not "
                f"installed; reinstall or remove {point.dist.name if point.dist else 'the package that declares it'}"
            )
        yield point.value, path


def _entry_points(group: str) -> Iterable[Any]:
    """What installed packages declare in a group."""
    files = (path for folder in sys.path for path in Path(folder).glob("*-info/entry_points.txt"))
    if not any(f"[{group}]".encode() in path.read_bytes() for path in files):
        return ()
    from importlib.metadata import entry_points  # with all that it imports it takes 25 ms

    return entry_points(group=group)
