"""Everything that can move the numbers of a cell, as one hash: `made_by`.

That is the method with its parameters; the code that it, the operator, the dataset, the problem, the worker and the
metrics use; the weights that it may load; the pixels of the images; and the versions of the numerical packages that the
code imports.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from csbench.catalogue.registry import entries, get_dataset, get_operator, parse_operator
from csbench.core.dataset import SPLITS, Images, Split
from csbench.core.errors import DataError, MissingWeights
from csbench.core.method import Method
from csbench.core.paths import PACKAGE, weights_folders
from csbench.freshness.closure import Closure, closure
from csbench.freshness.source import Tree
from csbench.priors import checkpoint

HARNESS = (
    ("csbench.runner.problem", ("Problem", "simulate", "method_seed_names", "draw_operator")),
    ("csbench.runner.solving", ("solve",)),
    ("csbench.runner.scoring", ("metric_columns", "finite")),
)
NO_WEIGHTS = "no-weights"  # instead of a hash, where nobody has trained the method's prior
ROOT = PACKAGE.parent
DISTRIBUTIONS = {"pywt": "PyWavelets", "skimage": "scikit-image", "sklearn": "scikit-learn", "PIL": "pillow"}
READS_IMAGES = frozenset({"get_dataset", "embedded_images"})


@dataclass(frozen=True)
class MadeOf:
    """What a hash `made_by` is of; kept in results files, so that a difference can be named.

    Attributes:
        method: module and class.
        roots: module to the names in it that the code starts from.
        code: module to a hash of what is used of it.
        packages: name to version; empty where one is not installed.
        files: name of weights, or of another file, to its hash.
        images: split of a dataset, and how many of it, to a hash of their pixels; empty where they are not on this
            machine.
    """

    method: str
    operator: str
    params: Mapping[str, Any]
    roots: Mapping[str, list[str]]
    code: Mapping[str, str]
    packages: Mapping[str, str]
    files: Mapping[str, str]
    images: Mapping[str, str]

    @property
    def made_by(self) -> str:
        """The hash of all of it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def told(cls, made_by: str, parts: Mapping[str, Any] | None) -> MadeOf | None:
        """What a stored hash is of, by its record; None where this is missing, damaged, or that of another hash."""
        if parts is None or parts.keys() != {one.name for one in fields(cls)}:
            return None
        texts = ("method", "operator")
        if not all(isinstance(part, str if name in texts else dict) for name, part in parts.items()):
            return None
        found = cls(**parts)
        return found if found.made_by == made_by else None

    def completed(self, stored: MadeOf | None) -> MadeOf:
        """With what `stored` says of images and packages that are not on this machine: nothing speaks against it."""
        if stored is None:
            return self

        def filled(here: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
            return {name: value or there.get(name, "") for name, value in here.items()}

        return replace(self, images=filled(self.images, stored.images), packages=filled(self.packages, stored.packages))


def made_of(method: Method, operator: str, dataset: str, images: int) -> MadeOf:
    """What the numbers of a method on images of a dataset are made of, as the code stands here.

    Args:
        operator: as a suite names it.
        images: how many of the test split are scored at most.

    Raises:
        MissingWeights: nobody has trained the method's prior.
    """
    cls = type(method)
    roots = roots_of(cls, operator, dataset)
    used, own = code_of(roots), code_of(((cls.__module__, (cls.__qualname__, "recover")),))
    splits: list[tuple[str, Split, int | None]] = [(dataset, "test", images)]
    if READS_IMAGES & {name for unit in own.units.values() for name in unit.names}:
        read = {dataset} | {str(value) for value in method.params().values()} & entries("datasets").keys()
        for name in sorted(read):
            splits.extend((name, split, None) for split in SPLITS)
    return MadeOf(
        method=f"{cls.__module__}:{cls.__qualname__}",
        operator=operator,
        params=json.loads(json.dumps(method.params())),
        roots={module: list(names) for module, names in roots},
        code=used.code,
        packages=versions(used.packages, cls.requires),
        files=_file_hashes(method, own),
        images={
            f"{name} {split}" + ("" if count is None else f"[:{count}]"): _pixels_hash(name, split, count)
            for name, split, count in splits
        },
    )


@lru_cache(maxsize=1)
def here() -> Tree:
    """The code of this process."""
    return Tree(ROOT)


Roots = tuple[tuple[str, tuple[str, ...]], ...]


def roots_of(method: type[Method], operator: str, dataset: str) -> Roots:
    """Where the code begins that a method on a dataset under an operator uses."""
    family, images = get_operator(parse_operator(operator)[0].name), type(get_dataset(dataset))
    return (
        *HARNESS,
        (method.__module__, (method.__qualname__, "recover")),
        (family.__module__, (family.__qualname__,)),
        (images.__module__, (images.__qualname__, "images")),
    )


@lru_cache(maxsize=1024)
def code_of(roots: Roots) -> Closure:
    """The code of this process that is used from these roots on."""
    return closure(here(), roots)


@lru_cache(maxsize=64)
def _version(package: str) -> str:
    try:
        return version(package).split("+")[0]  # builds for other processors have other suffixes
    except PackageNotFoundError:
        return ""


@lru_cache(maxsize=64)
def _distribution(module: str) -> str:
    """The name of the package that a module is from; most are called alike."""
    return module if _version(module) else next(iter(packages_distributions().get(module, [])), module)


def versions(imported: frozenset[str], required: tuple[str, ...]) -> dict[str, str]:
    """Versions of installed packages, empty for others; numba comes with its compiler.

    Args:
        imported: modules.
        required: names of packages.
    """
    names = {DISTRIBUTIONS.get(module) or _distribution(module) for module in imported} | set(required)
    return {name: _version(name) for name in sorted(names | {"llvmlite"} if "numba" in names else names)}


def weights_of(method: Method, own: Closure) -> list[str]:
    """Names of all weights that a method may load: those that it says, that its fields name, or that its code names.

    Args:
        own: what the method's class uses.

    Raises:
        MissingWeights: by the method's `data_files`.
    """
    said = {path.stem for path in method.data_files() if path.suffix == ".safetensors"}
    known = {path.stem for folder in weights_folders() for path in folder.glob("*.safetensors")}
    fields = {value for value in method.params().values() if isinstance(value, str)}
    package = type(method).__module__.rpartition(".")[0]
    texts = {
        text
        for (module, _), unit in own.units.items()
        if module.startswith(package) and not unit.bases  # defaults of fields show in the parameters
        for statement in unit.statements
        for text in _texts(statement.node)
    }
    named = {name for name in known for pattern in texts if re.fullmatch(pattern, name)}
    return sorted(said | (fields & known) | named)


def _texts(node: ast.AST) -> Iterator[str]:
    """Texts in code as patterns; what an f-string fills in may be anything."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and len(part.value) > 3:
            yield re.escape(part.value)
        elif isinstance(part, ast.JoinedStr):
            pieces = [re.escape(str(one.value)) if isinstance(one, ast.Constant) else ".+" for one in part.values]
            if sum(map(len, pieces)) - 2 * pieces.count(".+") > 2:
                yield "".join(pieces)


def _file_hashes(method: Method, own: Closure) -> dict[str, str]:
    """Of weights that is a hash of the architecture on their card as well."""
    weights = {
        name: json.dumps(checkpoint.card(name).get("architecture"), sort_keys=True) for name in weights_of(method, own)
    }
    files = {name: (checkpoint.weights_path(name), about) for name, about in weights.items()}
    files |= {path.name: (path, "") for path in method.data_files() if path.stem not in weights}
    return {name: _file_hash(path, path.stat().st_mtime_ns, about) for name, (path, about) in sorted(files.items())}


@lru_cache(maxsize=256)
def _file_hash(path: Path, changed: int, about: str) -> str:
    return hashlib.sha256(path.read_bytes() + about.encode()).hexdigest()[:16]


@lru_cache(maxsize=32)
def _pixels_hash(dataset: str, split: Split, count: int | None) -> str:
    try:
        found: Images = get_dataset(dataset).images(split)
    except (DataError, MissingWeights):
        return ""
    found = found[: len(found) if count is None else count]
    digest = hashlib.sha256(repr((found.pixels.shape, str(found.pixels.dtype))).encode())
    digest.update(found.ids.astype("int64").tobytes())
    digest.update(found.pixels.tobytes())
    return digest.hexdigest()[:16]
