"""Names to classes: what is in `methods/`, `datasets/` and `csbench/operators/`, and in installed packages.

Listing reads the source with `ast` and imports nothing, so `csbench list` answers at once; only `get_*` imports the one
module that is asked for. An installed package adds a module through the entry-point group `csbench.methods` or
`csbench.datasets`, whose value is the module's dotted name.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from csbench.errors import UnknownName, UsageError
from csbench.names import kebab

if TYPE_CHECKING:
    from csbench.dataset import Dataset
    from csbench.method import Method
    from csbench.operators import LinearOperator

Kind = Literal["methods", "datasets", "operators"]
BASES: dict[Kind, tuple[str, ...]] = {
    "methods": ("Method", "PathMethod", "GridMethod"),
    "datasets": ("Dataset",),
    "operators": ("LinearOperator", "MatrixFree", "ImageOperator"),
}
FACTS = ("rows", "adjoint_by", "cost", "family", "reference")  # what classes say of themselves under these names
FACTS_OF: dict[str, dict[str, str | bool]] = {  # of classes that hold no such attributes
    "DenseMatrix": {"rows": "any", "adjoint_by": "transposed matrix", "cost": "m n"},
    "RandomPixelMask": {"rows": "1 ... n", "adjoint_by": "zeros where hidden", "cost": "m"},
    "Identity": {"rows": "n", "adjoint_by": "itself", "cost": "1"},
}
PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """One registered name, as far as its source tells without importing it.

    Attributes:
        fields: hyper-parameter name to the source text of its default; of operators, the parameters of their draw.
        configured: True where the name stands in the module's `configurations` and not on a class.
        module: dotted name of the module.
        on_request: True where the class says `on_request: ClassVar[bool] = True`: a method that suites run only where
            it is named.
        facts: of operators, `rows`: m in words, `adjoint_by`: how the adjoint is computed, and `cost`: of one
            application, without the O(); of methods, `family`: what kind of method it is, and `reference`: whether
            scores are measured against it; where the class or one of its bases tells.
    """

    name: str
    kind: Kind
    module: str
    path: Path
    class_name: str
    doc: str
    fields: dict[str, str]
    configured: bool = False
    on_request: bool = False
    facts: dict[str, str | bool] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first paragraph of the class's docstring, on one line."""
        return " ".join(self.doc.split("\n\n")[0].split())


@lru_cache
def entries(kind: Kind) -> dict[str, Entry]:
    """Every registered name of a kind, sorted.

    Raises:
        UsageError: two modules claim one name, a plug-in has a syntax error, or the checkout has no symbolic links.
    """
    modules = {name: (path, _parse(path)) for name, path in _modules(kind)}
    classes = [(name, path, node) for name, (path, tree) in modules.items() for node in _classes(tree)]
    bases = set(BASES[kind])
    known = bases
    while grown := {node.name for _, _, node in classes if known & set(_base_names(node))} - known:
        known = known | grown
    by_class = {node.name: node for _, _, node in classes if node.name in known}

    found: dict[str, Entry] = {}

    def add(entry: Entry) -> None:
        if entry.name in found:
            raise UsageError(
                f"two {kind} are called {entry.name!r}: in {found[entry.name].path} and in {entry.path}; rename one"
            )
        found[entry.name] = entry

    for module, path, node in classes:
        if node.name in known - bases and not node.name.startswith("_"):
            name = _class_attribute(node, "name") or kebab(node.name)
            doc = ast.get_docstring(node) or ""
            on_request = _class_attribute(node, "on_request") == "True"
            fields = (_parameters if kind == "operators" else _fields)(node, by_class)
            facts = _facts(node, by_class)
            add(Entry(name, kind, module, path, node.name, doc, fields, on_request=on_request, facts=facts))
    for module, (path, tree) in modules.items():
        for name, call in _configurations(tree):
            node = by_class.get(_last_name(call.func))
            if node is None:
                raise UsageError(
                    f"{path}:{call.lineno}: configuration {name!r} is not a call of one of the {kind} here"
                )
            fields = _fields(node, by_class) | {k.arg: ast.unparse(k.value) for k in call.keywords if k.arg}
            doc, on_request = ast.get_docstring(node) or "", _class_attribute(node, "on_request") == "True"
            add(Entry(name, kind, module, path, node.name, doc, fields, True, on_request, _facts(node, by_class)))
    return dict(sorted(found.items()))


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
    for part in filter(None, rest.split(",")):
        key, _, text = part.partition("=")
        if key not in entry.fields:
            known = ", ".join(f"{k}={v}" for k, v in entry.fields.items()) or "none"
            raise UsageError(f"{spec!r}: {name} has no parameter {key!r}; its parameters: {known}")
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
    for kind in BASES:
        for module, path in _modules(kind):
            depth = module.count(".")  # a plug-in's package as a whole, for its modules import each other
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


def _modules(kind: Kind) -> Iterator[tuple[str, Path]]:
    folder = PACKAGE / kind
    if folder.is_file():  # git without core.symlinks writes a link as a text file that holds its target
        raise UsageError(
            f"{folder} is a text file where a symbolic link should be. Turn links on and check it out again: "
            f"git config core.symlinks true && git checkout -- csbench/{kind} "
            "(on Windows, switch on developer mode first)"
        )
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_"):
            yield f"csbench.{kind}.{path.stem}", path
    for point in _entry_points(f"csbench.{kind}"):
        try:
            spec = importlib.util.find_spec(point.value)
        except ModuleNotFoundError:
            spec = None
        if spec is None or spec.origin is None:
            raise UsageError(
                f"entry point {point.name!r} in group csbench.{kind} names module {point.value!r}, which is not "
                f"installed; reinstall or remove {point.dist.name if point.dist else 'the package that declares it'}"
            )
        yield point.value, Path(spec.origin)


def _entry_points(group: str) -> Iterable[Any]:
    """What installed packages declare in a group."""
    files = (path for folder in sys.path for path in Path(folder).glob("*-info/entry_points.txt"))
    if not any(f"[{group}]".encode() in path.read_bytes() for path in files):
        return ()
    from importlib.metadata import entry_points  # with all that it imports it takes 25 ms

    return entry_points(group=group)


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except SyntaxError as error:
        raise UsageError(f"{path}:{error.lineno}: {error.msg}") from error


def _classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.ClassDef)]


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _base_names(node: ast.ClassDef) -> list[str]:
    return [_last_name(base) for base in node.bases]


def _class_attribute(node: ast.ClassDef, attribute: str) -> str | None:
    for item in node.body:
        if isinstance(item, ast.AnnAssign | ast.Assign) and isinstance(item.value, ast.Constant):
            target = item.target if isinstance(item, ast.AnnAssign) else item.targets[0]
            if isinstance(target, ast.Name) and target.id == attribute:
                return str(item.value.value)
    return None


def _fields(node: ast.ClassDef, by_class: dict[str, ast.ClassDef]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for base in reversed(_base_names(node)):
        if base in by_class:
            fields |= _fields(by_class[base], by_class)
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation):
            fields[ast.unparse(item.target)] = ast.unparse(item.value) if item.value else "required"
    return fields


def _parameters(node: ast.ClassDef, by_class: dict[str, ast.ClassDef]) -> dict[str, str]:
    """Keyword-only arguments of an operator's `draw_for` or `draw`, its own or inherited, with their defaults."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name in ("draw_for", "draw"):
            pairs = zip(item.args.kwonlyargs, item.args.kw_defaults, strict=True)
            return {argument.arg: ast.unparse(default) for argument, default in pairs if default is not None}
    inherited = (_parameters(by_class[base], by_class) for base in _base_names(node) if base in by_class)
    return next(inherited, {})


def _facts(node: ast.ClassDef, by_class: dict[str, ast.ClassDef]) -> dict[str, str | bool]:
    """What is known of a class, its own facts before those of its bases."""
    facts: dict[str, str | bool] = {}
    for base in reversed(_base_names(node)):
        if base in by_class:
            facts |= _facts(by_class[base], by_class)
    told = {name: value for name in FACTS if (value := _class_attribute(node, name)) is not None}
    own = {name: value == "True" if value in ("True", "False") else value for name, value in told.items()}
    return facts | FACTS_OF.get(node.name, {}) | own


def _configurations(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id == "configurations" and isinstance(value, ast.Dict):
            for key, call in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(call, ast.Call):
                    yield str(key.value), call
