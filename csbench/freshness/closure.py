"""The code that a result depends on: every unit that the code it starts from may use, by name.

A unit counts as used where its name is mentioned by code that is used, in any module that this code imports. That takes
too much rather than too little: which `save` an attribute means is not asked. Whoever looks names up by a text that is
put together while the program runs, as by `globals()[...]`, uses its whole module. Methods of a class with a foreign
base may be called by that base's code, so all of them are used.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from csbench.freshness.normal import digest
from csbench.freshness.source import Import, Module, Tree, Unit

# What these modules find is hashed instead: the classes, files and values that a name stands for.
NOT_FOLLOWED = (
    "csbench.catalogue.registry", "csbench.catalogue.sources", "csbench.catalogue.entries", "csbench.freshness",
    "csbench.cli", "csbench.report", "csbench.registry", "csbench.fingerprint",  # the last two in older commits
)  # fmt: skip
HARMLESS_BASES = frozenset({"ABC", "object", "Protocol", "Generic"})
BY_TEXT = frozenset({"globals", "vars", "locals", "eval", "exec", "import_module", "__import__"})
# Packages that move no number.
SILENT = frozenset(
    {"rich", "typer", "tabulate", "matplotlib", "pyarrow", "threadpoolctl", "pooch", "safetensors"}
    | {"jaxtyping", "typing_extensions", "lazy_loader", "pytest", "yaml", "tqdm"}
)


@dataclass(frozen=True)
class Closure:
    """Code that is used.

    Attributes:
        units: by module and name.
        imports: from the code's own packages, by module and bound name, that are used.
        packages: foreign ones that are imported, without those that move no number.
        paths: of the modules' files.
    """

    units: Mapping[tuple[str, str], Unit]
    imports: Mapping[tuple[str, str], Import]
    packages: frozenset[str]
    paths: Mapping[str, Path]

    @cached_property
    def code(self) -> dict[str, str]:
        """Module to a hash of what is used of it."""
        texts: dict[str, list[str]] = {}
        for (module, name), unit in sorted(self.units.items()):
            texts.setdefault(module, []).append(f"{name} {unit.digest}")
        for (module, bound), one in sorted(self.imports.items()):
            texts.setdefault(module, []).append(f"import {bound} {one.module} {one.name}")
        return {module: digest(found) for module, found in sorted(texts.items()) if found}

    @property
    def modules(self) -> list[str]:
        """Sorted names of the modules that are used."""
        return sorted({module for module, _ in self.units})


def closure(
    tree: Tree, roots: Iterable[tuple[str, Iterable[str]]], instead: Mapping[tuple[str, str], Unit] | None = None
) -> Closure:
    """What the code under some names uses.

    Args:
        roots: modules, each with names that are used in it.
        instead: of the units of some modules and names, others.
    """
    search = _Search(tree, {"csbench", *(module.split(".")[0] for module, _ in roots)}, instead or {})
    for module, names in roots:
        search.enter(module)
        search.names.update(part for name in names for part in name.split("."))
    search.exhaust()
    paths = {name: module.path for name, module in search.modules.items()}
    return Closure(search.units, search.imports, frozenset(search.packages), paths)


class _Search:
    """The search for used units, which ends when a round finds no more."""

    def __init__(self, tree: Tree, own: set[str], instead: Mapping[tuple[str, str], Unit]):
        self.tree, self.own, self.instead = tree, own, instead
        self.modules: dict[str, Module] = {}
        self.names: set[str] = set()
        self.mentioned: dict[str, set[str]] = {}  # by module
        self.units: dict[tuple[str, str], Unit] = {}
        self.imports: dict[tuple[str, str], Import] = {}
        self.packages: set[str] = set()

    def enter(self, name: str) -> None:
        """The code of this module may be used from now on."""
        if name in self.modules or name.startswith(NOT_FOLLOWED) or (module := self.tree.module(name)) is None:
            return
        self.modules[name] = module
        self.use(module, module.units[""])

    def exhaust(self) -> None:
        """Add units until none is missing."""
        before = None
        while before != (before := (len(self.units), len(self.names), len(self.modules))):
            for module in list(self.modules.values()):
                for name, unit in module.units.items():
                    if (module.name, unit.name) not in self.units and self.is_used(module, name, unit):
                        self.use(module, unit)
                for bound, one in module.imports.items():
                    if bound in self.mentioned[module.name] and (module.name, bound) not in self.imports:
                        self.follow(module, bound, one)

    def is_used(self, module: Module, name: str, unit: Unit) -> bool:
        owner, _, last = name.rpartition(".")
        if BY_TEXT & self.mentioned[module.name]:
            return True
        if not owner:
            return last in self.names
        return (module.name, owner) in self.units and (last in self.names or self.is_open(module, module.units[owner]))

    def use(self, module: Module, unit: Unit) -> None:
        unit = self.instead.get((module.name, unit.name), unit)
        self.units[module.name, unit.name] = unit
        self.names |= unit.names
        self.mentioned.setdefault(module.name, set()).update(unit.names)
        for one in unit.imports:
            self.follow(module, None, one)

    def follow(self, module: Module, bound: str | None, one: Import) -> None:
        """Enter what an import is of; note it where it is at the top of a module, for inside a unit it is its text."""
        root = one.module.split(".")[0]
        if root not in self.own:
            if root not in sys.stdlib_module_names and root not in SILENT:
                self.packages.add(root)
            return
        if bound is not None:
            self.imports[module.name, bound] = one
        if one.name is None:
            self.enter(one.module)
        elif one.name == "*":
            self.enter(one.module)
            self.names |= set(found.units) if (found := self.tree.module(one.module)) else set()
        elif (home := self.tree.home(one.module, one.name)) is not None:
            self.names.add(home[1] or "")
            self.enter(home[0])

    def is_open(self, module: Module, unit: Unit) -> bool:
        """Whether foreign code may call the methods of a class, since it is derived from one that is not here."""
        return any(self.is_foreign(module, base) for base in unit.bases)

    def is_foreign(self, module: Module, base: ast.expr) -> bool:
        if isinstance(base, ast.Subscript):
            base = base.value
        if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
            source = module.imports.get(base.value.id)
            home = self.tree.home(source.module, base.attr) if source and self.is_own(source.module) else None
        elif isinstance(base, ast.Name) and base.id in module.units:
            home = module.name, base.id
        elif isinstance(base, ast.Name):
            if base.id in HARMLESS_BASES or base.id.endswith(("Error", "Exception")):
                return False
            source = module.imports.get(base.id)
            own = source is not None and self.is_own(source.module) and source.name is not None
            home = self.tree.home(source.module, source.name or "") if source and own else None
        else:
            return True
        if home is None or home[1] is None or (found := self.tree.module(home[0])) is None:
            return True
        return self.is_open(found, found.units[home[1]])

    def is_own(self, module: str) -> bool:
        return module.split(".")[0] in self.own
