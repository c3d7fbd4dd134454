"""Which statements differ between two codes, and whether a run has executed all of them.

Units that are the same but for the module that they are in do not differ, nor do imports of the same name from
elsewhere: whoever moves code has changed nothing that could go unseen. Of a statement with branches inside, as in
`a if b else c`, every branch has to be executed.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path

from csbench.freshness.closure import Closure
from csbench.freshness.normal import BLOCKS, COMPOUND, FUNCTIONS, Statement, digest, text
from csbench.freshness.source import Unit

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FAR = 10**6  # columns
Span = tuple[int, int, int, int]  # first line, first column, last line, last column


@dataclass(frozen=True)
class Changed:
    """A statement that the other code does not have.

    Attributes:
        path: of its file, from the root of its checkout.
        spans: of the source, in each of which something must have run.
        compiled: whether numba compiles the function that it is in, so that no interpreter sees it run.
        number: whether nothing but a number in it differs, such as a tolerance. That is no refactoring: on a few cells
            it may make no difference, and on others it may.
    """

    path: str
    unit: str
    spans: tuple[Span, ...]
    compiled: bool
    number: bool = False

    def is_covered(self, executed: Collection[Span]) -> bool:
        """Whether each of the spans holds an executed instruction, and running it says enough."""
        return not self.number and all(any(within(one, span) for one in executed) for span in self.spans)

    def __str__(self) -> str:
        where = f"{self.path}:{self.spans[0][0]} ({self.unit or 'module'})"
        return f"{where}, where only a number differs" if self.number else where


def differences(old: Closure, new: Closure, old_root: Path, new_root: Path) -> tuple[list[Changed], list[Changed]]:
    """The statements of the old code that the new one does not have, and those of the new that the old does not."""
    before, after = _remaining(old, new), _remaining(new, old)
    gone: list[Changed] = []
    come: list[Changed] = []
    for unit in after:
        other = _counterpart(unit, before)
        if other is not None:
            before.remove(other)
        theirs, ours = (other.statements if other else ()), unit.statements
        matcher = SequenceMatcher(None, [_alike(s) for s in theirs], [_alike(s) for s in ours], autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag != "equal":
                known, still = (" ".join(s.text for s in part) for part in (theirs[a:b], ours[c:d]))
                forms = {_without_numbers(s.text) for s in theirs[a:b]}
                gone += [one for s in theirs[a:b] if other and (one := _changed(old, other, s, old_root, still))]
                for s in ours[c:d]:
                    if (one := _changed(new, unit, s, new_root, known)) is not None:
                        number = _without_numbers(s.text) in forms and s.text not in known
                        come.append(replace(one, number=number))
    gone += [one for unit in before for s in unit.statements if (one := _changed(old, unit, s, old_root, ""))]
    gone += _imports(old, new, old_root)
    come += _imports(new, old, new_root)
    return gone, come


def _remaining(these: Closure, others: Closure) -> list[Unit]:
    """The units that the other code does not have, wherever they are."""
    known = Counter((unit.name, _unit_digest(unit)) for unit in _units(others))
    found = []
    for unit in _units(these):
        place = unit.name, _unit_digest(unit)
        if known[place]:
            known[place] -= 1
        elif unit.statements:
            found.append(unit)
    return found


def _units(code: Closure) -> list[Unit]:
    return [unit for _, unit in sorted(code.units.items())]


def _unit_digest(unit: Unit) -> str:
    return digest(_alike(statement) for statement in unit.statements)


def _counterpart(unit: Unit, others: list[Unit]) -> Unit | None:
    """The unit of the other code that this one came from: of the same name or body, or gone to another class."""
    same_name = [one for one in others if one.name == unit.name]
    here = [one for one in same_name if one.module == unit.module]
    if here or (same_name and unit.name):
        return (here or same_name)[0]
    body = [_alike(s) for s in unit.statements[1:]]
    same_body = next((one for one in others if body and [_alike(s) for s in one.statements[1:]] == body), None)
    cls, _, method = unit.name.rpartition(".")
    methods = [one for one in others if cls and one.name.endswith(f".{method}")]
    return same_body or (methods[0] if len(methods) == 1 else None)


def _alike(statement: Statement) -> str:
    """The text of a statement; an import shows what it binds and not where from."""
    node = statement.node
    if isinstance(node, ast.ImportFrom):
        return f"import {sorted((alias.name, alias.asname or '') for alias in node.names)}"
    return statement.text


def _without_numbers(text: str) -> str:
    return re.sub(r"Constant\(-?[\d.]+(e[-+]?\d+)?j?\)", "Constant(number)", text)


def _imports(these: Closure, others: Closure, root: Path) -> Iterator[Changed]:
    """Imports at the top of modules that bind what the other code does not import under that name."""

    def what(code: Closure, module: str, bound: str) -> tuple[str, str]:
        one = code.imports[module, bound]
        return bound, one.name or one.module.rpartition(".")[2]

    known = {what(others, *place) for place in others.imports}
    for place, one in sorted(these.imports.items()):
        if what(these, *place) not in known:
            path = these.paths[place[0]]
            yield Changed(relative(path, root), "", (span_of(one.node),), False)


def _changed(code: Closure, unit: Unit, statement: Statement, root: Path, known: str) -> Changed | None:
    """
    Args:
        known: the text of what stands here in the other code; a branch that is in it is there in both.
    """
    node = statement.node
    if isinstance(node, ast.Global | ast.Nonlocal):
        return None  # never executed, and what it does shows in the names
    if _ends_in_raise(node, unit):
        return None  # where it is reached there is no number; the condition that it is under has to be executed
    spans = [_header_span(node)]
    for part in _branches(node):
        if text(part) not in known:
            spans.append(span_of(part))
    compiled = any("njit" in one.text or "jit" in one.text for one in unit.statements[:1])
    return Changed(relative(code.paths[unit.module], root), unit.name, tuple(spans), compiled)


def _ends_in_raise(node: ast.AST, unit: Unit) -> bool:
    """Whether a statement is a `raise` that nothing catches, or one of those right before it in its block."""
    if isinstance(node, ast.Raise):
        return not _is_tried(node, unit)
    if isinstance(node, (*COMPOUND, ast.Return, ast.Break, ast.Continue)):
        return False
    for block in (getattr(one.node, name, []) for one in unit.statements for name in BLOCKS):
        if node in block:
            rest = block[block.index(node) :]
            ways_out = (*COMPOUND, ast.Return, ast.Break, ast.Continue, ast.Yield, ast.YieldFrom)
            simple = not any(isinstance(part, ways_out) for one in rest for part in ast.walk(one))
            return simple and isinstance(rest[-1], ast.Raise) and not _is_tried(rest[-1], unit)
    return False


def _is_tried(node: ast.Raise, unit: Unit) -> bool:
    """Whether a `try` of the same function may catch it, and go on with a number."""
    tries = (one.node for one in unit.statements if isinstance(one.node, ast.Try | ast.TryStar))
    return any(within(span_of(node), span_of(one)) for one in tries)


def _branches(node: ast.AST) -> Iterator[ast.AST]:
    """The expressions in a statement that may be passed over although the statement runs."""
    inner = [
        value
        for name, value in ast.iter_fields(node)
        if name not in ("body", "handlers", "orelse", "finalbody", "cases")
    ]
    if not isinstance(node, COMPOUND):
        inner = [value for _, value in ast.iter_fields(node)]
    for value in inner:
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                yield from _of_expression(part)


def _of_expression(root: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(root):
        if isinstance(node, ast.IfExp):
            yield from (node.body, node.orelse)
        elif isinstance(node, ast.BoolOp):
            yield from node.values[1:]
        elif isinstance(node, ast.Lambda):
            yield node.body
        elif isinstance(node, COMPREHENSIONS):
            yield from ([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
            yield from (condition for one in node.generators for condition in one.ifs[1:])
        elif isinstance(node, ast.Compare):
            yield from node.comparators[1:]


def span_of(node: ast.AST) -> Span:
    """Where a node stands."""
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]


def _header_span(node: ast.AST) -> Span:
    """The statement up to its first block; the whole of it where what runs for it is nowhere else."""
    if isinstance(node, ast.match_case):
        return span_of(node.pattern)
    first, column, last, end = span_of(node)
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return min([first, *(one.lineno for one in node.decorator_list)]), 0, last, end
    if isinstance(node, COMPOUND) and not isinstance(node, ast.Try | ast.TryStar):
        body = node.body[0]  # type: ignore[attr-defined]
        line = min([body.lineno, *(one.lineno for one in getattr(body, "decorator_list", []))])
        last, end = (line, body.col_offset) if line == first else (line - 1, FAR)
    return first, column, last, end


def within(one: Span, span: Span) -> bool:
    """Whether one lies in the other."""
    return (span[0], span[1]) <= (one[0], one[1]) and (one[2], one[3]) <= (span[2], span[3])


def relative(path: Path, root: Path) -> str:
    """A path from the root of its checkout, where it is in there."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def by_file(changes: Collection[Changed]) -> Mapping[str, list[list[int]]]:
    """Path to the lines that a run has to be watched at, first and last of each span."""
    found: dict[str, list[list[int]]] = {}
    for one in changes:
        found.setdefault(one.path, []).extend([span[0], span[2]] for span in one.spans)
    return found
