"""Branches on what is the same in all cells of a suite, so that one cell tells for all which of them is taken.

    if self.long:
        ...

Properties that are so are marked by `csbench.core.suite_facts.suite_fact`. A branch of this kind that no cell of a
method ran is no part of how its rows were made, nor is what only such branches use. So a method may learn to serve
larger images, and what it does to small ones can still be proved.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from csbench.freshness.changes import Changed, Span, relative, span_of, within
from csbench.freshness.closure import Closure, closure
from csbench.freshness.normal import FUNCTIONS, references
from csbench.freshness.source import Tree, Unit, bindings_in

MARK = "suite_fact"


@dataclass(frozen=True)
class Branch:
    """One block of an `if` on facts of the suite.

    Attributes:
        path: of its file, from the root of its checkout.
        unit: that it is in.
    """

    path: str
    unit: Unit
    block: tuple[ast.stmt, ...]

    @property
    def span(self) -> Span:
        return (*span_of(self.block[0])[:2], *span_of(self.block[-1])[2:])

    def ran(self, executed: Collection[Span]) -> bool:
        return any(within(one, self.span) for one in executed)


def branches(code: Closure, root: Path) -> list[Branch]:
    """All of a code."""
    facts = {unit.name.rpartition(".")[2] for unit in code.units.values() if _is_fact(unit)}
    return [
        Branch(relative(code.paths[unit.module], root), unit, tuple(block))
        for unit in code.units.values()
        for statement in unit.statements
        if isinstance(statement.node, ast.If) and _is_decided(statement.node.test, facts)
        for block in (statement.node.body, statement.node.orelse)
        if block
    ]


def taken(code: Closure, tree: Tree, roots: Iterable[tuple[str, Iterable[str]]], idle: Collection[Branch]) -> Closure:
    """What of a code is used where no cell ran some of its branches."""
    skipped = {node for branch in idle for node in branch.block}
    inside = {id(one.node) for node in skipped for _, one in bindings_in(node)}
    instead: dict[tuple[str, str], Unit] = {}
    for unit in {(branch.unit.module, branch.unit.name): branch.unit for branch in idle}.values():
        whole = [one.node for one in unit.statements if one.depth == 0]
        names = frozenset(name for node in whole for name in references(node, skipped))
        imports = tuple(one for one in unit.imports if id(one.node) not in inside)
        instead[unit.module, unit.name] = replace(unit, names=names, imports=imports)
    return closure(tree, roots, instead)


def is_part(one: Changed, code: Closure, root: Path, idle: Collection[Branch]) -> bool:
    """Whether a statement is in the code that is used, and in none of the branches that no cell ran."""
    units = {(relative(code.paths[module], root), name) for module, name in code.units}
    inside = any(one.path == branch.path and within(one.spans[0], branch.span) for branch in idle)
    return (one.path, one.unit) in units and not inside


def to_watch(found: Collection[Branch]) -> Mapping[str, list[list[int]]]:
    """Path to the lines of the branches, first and last."""
    lines: dict[str, list[list[int]]] = {}
    for branch in found:
        lines.setdefault(branch.path, []).append([branch.span[0], branch.span[2]])
    return lines


def _is_fact(unit: Unit) -> bool:
    node = unit.statements[0].node if unit.statements else None
    return isinstance(node, FUNCTIONS) and any(
        isinstance(one, ast.Name) and one.id == MARK for one in node.decorator_list
    )


def _is_decided(test: ast.expr, facts: Collection[str]) -> bool:
    if isinstance(test, ast.BoolOp):
        return all(_is_decided(one, facts) for one in test.values)
    if isinstance(test, ast.UnaryOp):
        return _is_decided(test.operand, facts)
    return isinstance(test, ast.Attribute) and test.attr in facts
