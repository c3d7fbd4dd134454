"""Modules as they stand in a source tree, cut into units that code depends on or does not; nothing is imported.

A unit is a function, a class without its methods, a method, an assignment at the top of a module, or the rest of the
module, which runs whenever it is imported.
"""

from __future__ import annotations

import ast
import importlib.util
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from csbench.freshness.normal import FUNCTIONS, Statement, digest, is_error, references, statements


@dataclass(frozen=True)
class Import:
    """What a name in a module is imported from.

    Attributes:
        module: dotted name.
        name: of what is taken from it; None where the module itself is bound.
    """

    module: str
    name: str | None
    node: ast.Import | ast.ImportFrom


@dataclass(frozen=True)
class Unit:
    """A piece of code that is depended on as a whole.

    Attributes:
        name: `f`, `C`, `C.f`, or empty for the rest of the module.
        names: that the code mentions.
        imports: inside the unit.
        bases: of a class, as expressions.
    """

    module: str
    name: str
    statements: tuple[Statement, ...]
    names: frozenset[str]
    imports: tuple[Import, ...] = ()
    bases: tuple[ast.expr, ...] = ()

    @cached_property
    def digest(self) -> str:
        return digest(statement.text for statement in self.statements)


@dataclass(frozen=True)
class Module:
    """A module that has been read.

    Attributes:
        units: by name; an assignment to several names is there under each.
        imports: at the top of the module, by the name that they bind.
    """

    name: str
    path: Path
    units: dict[str, Unit] = field(default_factory=dict)
    imports: dict[str, Import] = field(default_factory=dict)


class Tree:
    """The modules of csbench as they stand in a checkout, and those of installed plug-ins.

    Args:
        root: the folder that holds `csbench/`.
    """

    def __init__(self, root: Path):
        self.root = root
        self._modules: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        """The module of this name, or None where there is none with a source."""
        if name not in self._modules:
            path = self.path(name)
            self._modules[name] = None if path is None else _read(name, path, path.stat().st_mtime_ns)
        return self._modules[name]

    def path(self, name: str) -> Path | None:
        """The file of a module."""
        root, _, rest = name.partition(".")
        if root == "csbench":
            return _file(self.root / "csbench", rest)
        try:
            spec = importlib.util.find_spec(root)
        except (ImportError, ValueError):
            return None
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            return None
        origin = Path(spec.origin)
        return _file(origin.parent, rest) if spec.submodule_search_locations else (None if rest else origin)

    def home(self, module: str, name: str) -> tuple[str, str | None] | None:
        """The module that defines a name which may be imported from `module`, through packages that pass it on.

        Returns:
            module and name; the name is None where it is a module itself; None where nothing of the name is found.
        """
        found = self.module(module)
        if found is None:
            return None
        if name in found.units:
            return module, name
        if (passed := found.imports.get(name)) is not None:
            if passed.name is None:
                return passed.module, None
            return self.home(passed.module, passed.name) if passed.module != module else None
        return (f"{module}.{name}", None) if self.path(f"{module}.{name}") else None


def _file(folder: Path, rest: str) -> Path | None:
    base = folder.joinpath(*rest.split(".")) if rest else folder
    for path in (base / "__init__.py", base.parent / f"{base.name}.py"):
        if path.is_file():
            return path
    return None


@lru_cache(maxsize=2048)
def _read(name: str, path: Path, changed: int) -> Module:
    """
    Args:
        changed: when; for the cache.
    """
    with tokenize.open(path) as file:
        tree = ast.parse(file.read(), filename=str(path))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = Module(name, path)
    rest: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.imports.update(_bindings(node, package))
        elif isinstance(node, FUNCTIONS) and not _registers(node, found):
            found.units[node.name] = _unit(name, node.name, [node], package)
        elif isinstance(node, ast.ClassDef):
            found.units.update({unit.name: unit for unit in _class_units(name, node, package)})
        elif names := _assigned(node):
            unit = _unit(name, names[0], [node], package)
            found.units.update(dict.fromkeys(names, unit))
        else:
            rest.append(node)
    stub = path.with_suffix(".pyi")
    if stub.is_file():  # names that are imported when they are first used
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                found.imports.update(_bindings(node, package))
    body = _unit(name, "", rest, package)
    found.imports.update({bound: one for node in rest for bound, one in bindings_in(node, package)})
    found.units[""] = body
    return found


def _registers(node: ast.FunctionDef | ast.AsyncFunctionDef, module: Module) -> bool:
    """Whether a decorator of the module's own project may hand the function to others, who know it by no name."""
    root = module.name.split(".")[0]
    for decorator in node.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        while isinstance(call, ast.Attribute):
            call = call.value
        if isinstance(call, ast.Name):
            source = module.imports.get(call.id)
            if call.id in module.units or (source and source.module.split(".")[0] in ("csbench", root)):
                return True
    return False


def _unit(module: str, name: str, nodes: list, package: str, owner: str = "") -> Unit:
    found = tuple(statements(nodes, owner=owner))
    names = frozenset(one for node in nodes for one in references(node))
    imports = tuple(one for node in nodes for _, one in bindings_in(node, package))
    return Unit(module, name, found, names, imports)


def _class_units(module: str, node: ast.ClassDef, package: str) -> Iterator[Unit]:
    """The class without its methods, but with those that Python calls by itself; then each method."""
    methods = [one for one in node.body if isinstance(one, FUNCTIONS) and not _special(one.name)]
    shell = ast.ClassDef(
        name=node.name, bases=node.bases, keywords=node.keywords, decorator_list=node.decorator_list,
        body=[one for one in node.body if one not in methods], lineno=node.lineno, end_lineno=node.end_lineno,
        col_offset=node.col_offset, end_col_offset=node.end_col_offset,
    )  # fmt: skip
    names = {
        one for part in (*node.bases, *node.keywords, *node.decorator_list, *shell.body) for one in references(part)
    }
    found = tuple(statements([shell]))
    imports = tuple(one for _, one in bindings_in(shell, package))
    yield Unit(module, node.name, found, frozenset(names), imports, tuple(node.bases))
    owner = "error" if is_error(node) else "class"
    for name in dict.fromkeys(one.name for one in methods):
        same = [one for one in methods if one.name == name]  # a property and its setter
        yield _unit(module, f"{node.name}.{name}", same, package, owner)


def _special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _assigned(node: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module binds, where that is all that it does."""
    if isinstance(node, ast.AnnAssign):
        targets: list[ast.expr] = [node.target]
    elif isinstance(node, ast.Assign):
        targets = [one for target in node.targets for one in getattr(target, "elts", [target])]
    else:
        return []
    return [target.id for target in targets if isinstance(target, ast.Name)] if targets else []


def bindings_in(node: ast.AST, package: str = "") -> Iterator[tuple[str, Import]]:
    """Names that the imports inside a node bind.

    Args:
        package: that relative ones begin at.
    """
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            yield from _bindings(inner, package)


def _bindings(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Import]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            bound = alias.asname or alias.name.split(".")[0]
            yield bound, Import(alias.name, None, node)
        return
    base = importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
    for alias in node.names:
        yield alias.asname or alias.name, Import(base or "", alias.name, node)
