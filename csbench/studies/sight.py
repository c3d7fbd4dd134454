"""What the source of a method reads besides y and A: images, files, texts that hold data, and clocks.

The modules that the method uses are searched, those of csbench's own rooms apart. It is a search for carelessness: who
means to hide what a method knows can, and is found out by the images that `csbench verify` changes.
"""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from pathlib import Path

from csbench.core.method import Method
from csbench.freshness.made_by import ROOT, code_of

LEAD_TO_IMAGES = frozenset({"embedded_images", "EMBEDDED", "Problem"})  # names of csbench
DATASETS = ("csbench.datasets", "csbench.catalogue.embedded", "csbench.runner.problem", "torchvision.datasets")
DATASETS += ("sklearn.datasets", "skimage.data", "tensorflow_datasets", "datasets", "mnist", "keras.datasets")
SPLITS = frozenset({"images", "held_out_images", "official"})
READERS = frozenset(
    {"open", "load", "loadtxt", "genfromtxt", "fromfile", "memmap", "read_bytes", "read_text", "imread", "load_file"}
    | {"read_parquet", "read_csv", "loadmat", "urlopen", "urlretrieve", "retrieve", "open_memmap", "mmap"}
)
BY_TEXT = frozenset({"eval", "exec", "__import__", "import_module"})
LONGEST = 4000  # characters or bytes of a text, numbers of a list, that is no data


def forbidden(method: Method) -> list[str]:
    """What the method reads and must not, each with file, line and remedy; empty where there is nothing.

    Training images may be read, as `get_dataset(NAME).images("train")`, and files that `data_files` names.
    """
    told = bool(method.data_files())
    found: list[str] = []
    for path in _sources(type(method)):
        with tokenize.open(path) as file:
            tree = ast.parse(file.read(), filename=str(path))
        for line, what in sorted(set(_findings(tree, told))):
            found.append(f"{_short(path)}:{line}: {what}")
    return found


def _short(path: Path) -> str:
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def _sources(cls: type[Method]) -> list[Path]:
    """Files of the modules that the class uses: of csbench only those in `methods/`."""
    paths = code_of(((cls.__module__, (cls.__qualname__, "recover")),)).paths
    own = {name: path for name, path in paths.items() if name.split(".")[:2] == ["csbench", "methods"]}
    own |= {name: path for name, path in paths.items() if name.split(".")[0] != "csbench"}
    return sorted(set(own.values()))


def _findings(tree: ast.Module, told: bool) -> Iterator[tuple[int, str]]:
    """Lines, each with what is wrong there.

    Args:
        told: whether the method names files in `data_files`.
    """
    known = _of_csbench(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node.lineno, what) for what in _imported(node))
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, what) for what in _called(node, told, known))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and len(node.value) > LONGEST:
            yield node.lineno, f"holds {len(node.value)} characters of data; what a method has learned is weights"
        elif isinstance(node, ast.List | ast.Tuple) and len(node.elts) > LONGEST:
            yield node.lineno, f"holds {len(node.elts)} numbers of data; what a method has learned is weights"


def _of_csbench(tree: ast.Module) -> set[str]:
    """Names that are imported from csbench, whose `load` reads what csbench knows of; and json, which opens no file."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = [node for node in imports if (node.module or "").split(".")[0] == "csbench"]
    return {alias.asname or alias.name for node in own for alias in node.names} - LEAD_TO_IMAGES | {"json"}


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    module = getattr(node, "module", None) or ""
    names = [alias.name for alias in node.names]
    dotted = [f"{module}.{name}" if module else name for name in names]
    for name in dotted:
        if any(f"{name}.".startswith(f"{one}.") for one in DATASETS):
            yield (
                f"imports {name}: a method sees y and A alone; training images are "
                'get_dataset(NAME).images("train"), and what is learned from them belongs into weights'
            )
    if module.split(".")[0] == "csbench" and LEAD_TO_IMAGES & set(names):
        yield f"imports {', '.join(names)}, which leads to test images: a method sees y and A alone"


def _called(node: ast.Call, told: bool, known: set[str]) -> Iterator[str]:
    owner, name = _name(node.func)
    if name in SPLITS:
        split = node.args[0] if node.args else None
        if not (isinstance(split, ast.Constant) and split.value == "train"):
            yield f'reads images with {name}({ast.unparse(split) if split else ""}): only images("train") may be read'
    elif name in READERS and (owner or name) not in known and not told:
        text = f"{owner}.{name}" if owner else name
        yield (
            f"reads a file with {text}(): a method sees y and A alone; name its own weights in `data_files`, so that "
            "results are stale when these change"
        )
    elif name in BY_TEXT:
        yield f"runs or imports with {name}() what no reader sees; write it out"


def _name(node: ast.expr) -> tuple[str, str]:
    """Of what is called: the last name before the last dot, and the name after it."""
    if isinstance(node, ast.Attribute):
        owner = node.value
        return (owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")), node.attr
    return "", node.id if isinstance(node, ast.Name) else ""
