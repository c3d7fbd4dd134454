"""Classes as their source tells, with nothing imported: their bases across modules, their attributes and their fields.

The name of a base is followed through the imports of its module wherever they lead, the standard library apart. Imports
under `if TYPE_CHECKING` count, and so do those of the stub beside a module, which imports these names lazily.
"""

from __future__ import annotations

import ast
import importlib.util
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from csbench.core.errors import UsageError

Fact = str | bool | int | float | tuple | None
DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)  # what is in these is not at a module's top level


@dataclass(frozen=True, eq=False)
class Module:
    """A module that has been read.

    Attributes:
        classes: those at its top level.
        conditional: classes under `if`, `try` and the like, which may or may not be there when it is imported.
        imports: local name to the dotted name that it stands for.
        stars: modules all of whose names it imports.
    """

    name: str
    path: Path
    tree: ast.Module
    classes: tuple[ast.ClassDef, ...]
    conditional: tuple[ast.ClassDef, ...]
    imports: dict[str, str]
    stars: tuple[str, ...]


@dataclass(frozen=True)
class Class:
    """A class in the source of a module."""

    module: Module
    node: ast.ClassDef

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def dotted(self) -> str:
        return f"{self.module.name}.{self.name}"

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.module.path}:{self.node.lineno}"

    @property
    def base_names(self) -> list[str]:
        """As they are written, without the parameters of generic ones."""
        return [ast.unparse(base.value if isinstance(base, ast.Subscript) else base) for base in self.node.bases]

    @property
    def attributes(self) -> dict[str, ast.expr]:
        """Its own class attributes that are assigned plainly or annotated as ClassVar, and so are no fields."""
        found = {}
        for item in self.node.body:
            if isinstance(item, ast.Assign):
                found |= {target.id: item.value for target in item.targets if isinstance(target, ast.Name)}
            elif isinstance(item, ast.AnnAssign) and _is_class_variable(item) and item.value is not None:
                found[ast.unparse(item.target)] = item.value
        return found

    @property
    def fields(self) -> dict[str, str]:
        """Its own fields, with the source of their defaults."""
        return {
            ast.unparse(item.target): ast.unparse(item.value) if item.value else "required"
            for item in self.node.body
            if isinstance(item, ast.AnnAssign) and not _is_class_variable(item)
        }

    def function(self, name: str) -> ast.FunctionDef | None:
        """Its own method of this name."""
        return next((item for item in self.node.body if isinstance(item, ast.FunctionDef) and item.name == name), None)


class Sources:
    """Modules by name, each read when it is first asked for.

    Args:
        declared: files of modules that are not to be searched for.
    """

    def __init__(self, declared: Mapping[str, Path]):
        self._declared = declared
        self._modules: dict[str, Module | None] = {}
        self._twins: dict[Class, type] = {}

    def module(self, name: str) -> Module | None:
        """The module of this dotted name; None where it has no source, or is of the standard library.

        Raises:
            UsageError: it cannot be read, or is not Python.
        """
        if name not in self._modules:
            path = self._declared.get(name) or find(name)
            self._modules[name] = None if path is None else read(name, path)
        return self._modules[name]

    def named(
        self, name: str, within: Module, above: float = math.inf, seen: frozenset[str] = frozenset()
    ) -> Class | None:
        """The class that a name, which may have dots, stands for in a module; None where that is not to be found.

        Args:
            above: the line of the module at which the name stands; classes that are defined below do not count.
            seen: dotted names that led here, lest modules that import from each other be followed for ever.
        """
        own = [node for node in within.classes if node.name == name and node.lineno < above]
        if own:
            return Class(within, own[-1])
        head, dot, rest = name.partition(".")
        imported = [within.imports[head]] if head in within.imports else [f"{star}.{head}" for star in within.stars]
        for dotted in (f"{origin}{dot}{rest}" for origin in imported):
            home, _, last = dotted.rpartition(".")
            if home and dotted not in seen and (module := self.module(home)) is not None:
                found = self.named(last, module, seen=seen | {dotted})
                if found is not None:
                    return found
        return None

    def bases(self, cls: Class) -> list[tuple[str, Class | None]]:
        """Each base as it is written, and what it stands for."""
        return [(name, self.named(name, cls.module, cls.node.lineno)) for name in cls.base_names]

    def lineage(self, cls: Class) -> tuple[Class, ...]:
        """The class and all its bases that are to be found, in the order in which Python looks attributes up.

        Raises:
            UsageError: Python would refuse the bases.
        """
        return tuple(vars(twin)["source"] for twin in self._twin(cls).__mro__[:-1])

    def facts(self, cls: Class) -> dict[str, Fact]:
        """Class attributes in lower case that are constants, its own before those of its bases; no `name`, no fields.

        An attribute whose value is computed is unknown here, and hides those of the bases.
        """
        found: dict[str, Fact] = {}
        for one in reversed(self.lineage(cls)):
            for name, value in one.attributes.items():
                found.pop(name, None)
                if name.islower() and not name.startswith("_"):
                    found |= _constant(name, value)
        return {name: value for name, value in found.items() if name != "name" and name not in self.fields(cls)}

    def fields(self, cls: Class) -> dict[str, str]:
        """Fields with the source of their defaults, those of the bases first."""
        fields: dict[str, str] = {}
        for one in reversed(self.lineage(cls)):
            fields |= one.fields
        return fields

    def _twin(self, cls: Class, heirs: tuple[Class, ...] = ()) -> type:
        """An empty class with as many bases, for Python itself to put them in order."""
        if cls in heirs:
            raise UsageError(f"{cls.where}: class {cls.name} is among its own bases; give it another")
        if cls not in self._twins:
            bases = tuple(self._twin(base, (*heirs, cls)) for _, base in self.bases(cls) if base is not None)
            try:
                self._twins[cls] = type(cls.name, bases, {"source": cls})
            except TypeError as error:
                raise UsageError(f"{cls.where}: class {cls.name}: {error}") from error
        return self._twins[cls]


def find(module: str) -> Path | None:
    """The file of a module, found without importing its packages; None where there is none in Python.

    Below the top level this is a search by hand, for `importlib` would execute the packages above.
    """
    top, *below = module.split(".")
    if top in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: of a module that was made by hand
        return None
    if spec is None:
        return None
    candidates = [Path(spec.origin)] if spec.origin and not below else []
    for folder in spec.submodule_search_locations or () if below else ():
        module_path = Path(folder, *below)
        candidates += [module_path / "__init__.py", module_path.with_name(f"{below[-1]}.py")]
    return next((path for path in candidates if path.suffix == ".py" and path.is_file()), None)


def read(name: str, path: Path) -> Module:
    """The module of this name in a file, in the encoding that Python would read it in.

    Raises:
        UsageError: it cannot be read, or is not Python.
    """
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
        stub = path.with_suffix(".pyi")
        lazily = ast.parse(stub.read_bytes()).body if stub.is_file() else []
    except SyntaxError as error:
        raise UsageError(f"{path}:{error.lineno or 1}: {error.msg}") from error
    except (OSError, ValueError, RecursionError, MemoryError) as error:  # a null byte; expressions nested too deeply
        raise UsageError(f"{path}: cannot be read: {error or type(error).__name__}") from error
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports: dict[str, str] = {}
    stars: list[str] = []
    conditional: list[ast.ClassDef] = []
    for node in _statements([*tree.body, *lazily]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                imports[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.level <= package.count(".") + bool(package):
            home = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            imports |= {alias.asname or alias.name: f"{home}.{alias.name}" for alias in node.names}
            stars += [home for alias in node.names if alias.name == "*"]
        elif isinstance(node, ast.ClassDef) and node not in tree.body:
            conditional.append(node)
    classes = tuple(node for node in tree.body if isinstance(node, ast.ClassDef))
    return Module(name, path, tree, classes, tuple(conditional), imports, tuple(stars))


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All that runs when a module is imported, blocks of `if`, `try` and the like included."""
    for node in body:
        yield node
        if not isinstance(node, DEFINITIONS):
            for block in ("body", "handlers", "orelse", "finalbody"):
                yield from _statements(getattr(node, block, ()))


def _is_class_variable(item: ast.AnnAssign) -> bool:
    return "ClassVar" in ast.unparse(item.annotation)


def _constant(name: str, value: ast.expr) -> dict[str, Fact]:
    """The name with its value where that is a literal of a kind that facts have; else nothing."""
    try:
        constant = ast.literal_eval(value)
    except (ValueError, TypeError):
        return {}
    return {name: constant} if isinstance(constant, Fact) else {}
