"""What a set of modules registers, and which of their classes it does not, and why; nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from csbench.catalogue.sources import Class, Fact, Module, Sources
from csbench.core.errors import UsageError
from csbench.core.names import check_distinct, checked, kebab

Kind = Literal["methods", "datasets", "operators"]


@dataclass(frozen=True)
class Contract:
    """What the classes of a kind have in common.

    Attributes:
        base: the class that all derive from, by its public name.
        bases: that class where it is defined, and others that are only there to be derived from.
        verb: the function that every class defines or inherits.
    """

    base: str
    bases: tuple[str, ...]
    verb: str


CONTRACTS: dict[Kind, Contract] = {
    "methods": Contract("csbench.Method", ("csbench.core.method.Method",), "recover"),
    "datasets": Contract("csbench.Dataset", ("csbench.core.dataset.Dataset",), "images"),
    "operators": Contract(
        "csbench.LinearOperator",
        (
            "csbench.core.operator.LinearOperator",
            "csbench.operators.free.MatrixFree",
            "csbench.operators.image.ImageOperator",
        ),
        "_apply",
    ),
}


@dataclass(frozen=True)
class Entry:
    """One registered name, as far as its source tells without importing it.

    Attributes:
        module: dotted name of the module.
        fields: hyper-parameter name to the source text of its default; of operators, the parameters of their draw.
        configured: True where the name stands in the module's `configurations` and not on a class.
        facts: the constant class attributes of the class, inherited ones included; the base classes document those that
            csbench asks for.
    """

    name: str
    kind: Kind
    module: str
    path: Path
    class_name: str
    doc: str
    fields: dict[str, str]
    configured: bool = False
    facts: dict[str, Fact] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first paragraph of the class's docstring, on one line."""
        return " ".join(self.doc.split("\n\n")[0].split())

    @property
    def on_request(self) -> bool:
        """Whether suites run the method only where it is named."""
        return bool(self.facts.get("on_request"))


@dataclass(frozen=True)
class Untaken:
    """A class that looks like a plug-in and is not registered."""

    class_name: str
    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: class {self.class_name} is not registered: {self.reason}"


@dataclass(frozen=True)
class Catalogue:
    """All that the modules of one kind register, sorted by name, and the classes that only look as if they were."""

    entries: dict[str, Entry]
    untaken: tuple[Untaken, ...]


def read_catalogue(kind: Kind, declared: Mapping[str, Path]) -> Catalogue:
    """The catalogue of modules, given by name and file.

    Raises:
        UsageError: two modules claim one name, a name is no name, or a module is not Python.
    """
    reader = _Reader(kind, declared)
    found: dict[str, Entry] = {}
    for entry in reader.entries():
        if entry.name in found:
            raise UsageError(
                f"two {kind} are called {entry.name!r}: in {found[entry.name].path} and in {entry.path}; rename one"
            )
        found[entry.name] = entry
    check_distinct(found, f"the names of {kind}")
    return Catalogue(dict(sorted(found.items())), tuple(reader.untaken()))


class _Reader:
    """Goes through the declared modules of a kind."""

    def __init__(self, kind: Kind, declared: Mapping[str, Path]):
        self.kind: Kind = kind
        self.contract = CONTRACTS[kind]
        self.sources = Sources(declared)
        self.modules = [module for name in declared if (module := self.sources.module(name)) is not None]

    def entries(self) -> Iterator[Entry]:
        for module in self.modules:
            for cls in self._public(module):
                if self._derives(cls) and cls.dotted not in self.contract.bases:
                    yield self._entry(cls, _registered_name(cls), module)
        for module in self.modules:
            for name, call in _configurations(module):
                cls = self.sources.named(ast.unparse(call.func), module)
                where = f"{module.path}:{call.lineno}: configuration {name!r}"
                if cls is None or not self._derives(cls):
                    raise UsageError(f"{where} is not a call of one of the {self.kind} here")
                changes = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg}
                yield self._entry(cls, checked(name, where), module, changes)

    def untaken(self) -> Iterator[Untaken]:
        for module in self.modules:
            for cls in self._public(module):
                if self._performs(cls) and not self._derives(cls):
                    yield _untaken(cls, f"{self._shortcoming(cls)}; derive it from {self.contract.base}")
            for cls in (Class(module, node) for node in module.conditional):
                if not cls.name.startswith("_") and self._performs(cls):
                    yield _untaken(cls, "it is under an if, a try or the like; put it at the top level of its module")
            yield from self._only_imported(module)

    def _only_imported(self, module: Module) -> Iterator[Untaken]:
        """Classes that a plug-in's module imports from its own package, and does not derive from."""
        package = module.name.partition(".")[0]
        derived_from = {cls.dotted for node in module.classes for cls in self.sources.lineage(Class(module, node))}
        for local, dotted in module.imports.items():
            if package == "csbench" or dotted.partition(".")[0] != package or local.startswith("_"):
                continue
            cls = self.sources.named(local, module)
            if cls is None or cls.module in self.modules or cls.dotted in derived_from:
                continue
            if self._derives(cls) and self._performs(cls):
                group = f"csbench.{self.kind}"
                yield _untaken(
                    cls, f"{module.name} only imports it; declare {cls.module.name} in the group {group} too"
                )

    def _public(self, module: Module) -> Iterator[Class]:
        return (Class(module, node) for node in module.classes if not node.name.startswith("_"))

    def _derives(self, cls: Class) -> bool:
        return any(one.dotted == self.contract.bases[0] for one in self.sources.lineage(cls))

    def _performs(self, cls: Class) -> bool:
        """Whether the verb is defined, and not only asked for, by the class or by one of its bases."""
        functions = (one.function(self.contract.verb) for one in self.sources.lineage(cls))
        first = next((function for function in functions if function is not None), None)
        return first is not None and not any("abstractmethod" in ast.unparse(d) for d in first.decorator_list)

    def _shortcoming(self, cls: Class) -> str:
        """Why a class does not derive from the base of its kind."""
        reasons = []
        for name, found in self.sources.bases(cls):
            origin = cls.module.imports.get(name.partition(".")[0], "").rpartition(".")[0]
            verdict = "is not known to be" if found is None else "is not"
            deeper = f", for {self._shortcoming(found)}" if found is not None and found.base_names else ""
            subject = f"its base {name}, imported from {origin}," if origin else f"its base {name}"
            reasons.append(f"{subject} {verdict} a {self.contract.base}{deeper}")
        return " and ".join(reasons) or "it has no base"

    def _entry(self, cls: Class, name: str, module: Module, changes: dict[str, str] | None = None) -> Entry:
        """What is registered under a name; `changes` are the fields that a configuration sets, None for the class."""
        fields = self._parameters(cls) if self.kind == "operators" else self.sources.fields(cls)
        doc, facts = ast.get_docstring(cls.node) or "", self.sources.facts(cls)
        fields = fields | (changes or {})
        configured = changes is not None
        return Entry(name, self.kind, module.name, module.path, cls.name, doc, fields, configured, facts)

    def _parameters(self, cls: Class) -> dict[str, str]:
        """Keyword-only arguments of an operator's `draw_for` or `draw`, its own or inherited, with their defaults."""
        for one in self.sources.lineage(cls):
            function = one.function("draw_for") or one.function("draw")
            if function is not None:
                pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
                return {argument.arg: ast.unparse(default) for argument, default in pairs if default is not None}
        return {}


def _registered_name(cls: Class) -> str:
    """The attribute `name` of a class, or else its own name in kebab case."""
    where = f"{cls.where}: attribute 'name' of class {cls.name}"
    value = cls.attributes.get("name")
    if value is None:
        return checked(kebab(cls.name), where)
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        raise UsageError(f"{where} must be a string as it stands, for it is read without importing the module")
    return checked(value.value, where)


def _untaken(cls: Class, reason: str) -> Untaken:
    return Untaken(cls.name, cls.module.path, cls.node.lineno, reason)


def _configurations(module: Module) -> Iterator[tuple[str, ast.Call]]:
    """Names and calls in the dictionary that a module calls `configurations`."""
    for node in module.tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if not isinstance(target, ast.Name) or target.id != "configurations":
            continue
        value = getattr(node, "value", None)
        pairs = list(zip(value.keys, value.values, strict=True)) if isinstance(value, ast.Dict) else [(None, None)]
        for key, call in pairs:
            if not isinstance(key, ast.Constant) or not isinstance(call, ast.Call):
                raise UsageError(
                    f"{module.path}:{node.lineno}: configurations must be written out, names in quotes to calls of "
                    "classes, for they are read without importing the module"
                )
            yield str(key.value), call
