"""Code in a form in which only that shows which can move a number, the same under every version of Python.

Left out are comments, layout, docstrings, annotations and type parameters, what only type checkers read, the texts of
errors and of assertions, and `__repr__`. A field of a class stays, since dataclasses are made of fields.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

UNSEEN = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params", "annotation", "returns"})
BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPOUND = (
    *FUNCTIONS, ast.ClassDef, ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar,
    ast.Match, ast.ExceptHandler, ast.match_case,
)  # fmt: skip
COMPOSED = (ast.JoinedStr, ast.BinOp, ast.Call)


@dataclass(frozen=True)
class Statement:
    """A statement without the blocks inside it, which are statements of their own.

    Attributes:
        text: its normal form.
        node: where it stands in the source.
        depth: of the blocks that it is in, from those that the search began with.
    """

    text: str
    node: ast.stmt | ast.ExceptHandler | ast.match_case
    depth: int = 0


def statements(nodes: Iterable[ast.AST], depth: int = 0, block: str = "body", owner: str = "") -> Iterator[Statement]:
    """The statements of a block and of the blocks inside it, in the order of the source.

    Args:
        owner: "class" in the body of a class, "error" in that of an exception.
    """
    for node in nodes:
        if _dropped(node, owner):
            continue
        if isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING":
            yield from statements(node.orelse, depth, block, owner)
            continue
        yield Statement(f"{depth} {block} {_header(node, owner)}", node, depth)  # type: ignore[arg-type]
        if isinstance(node, COMPOUND):
            inner = owner if owner == "error" else ""
            if isinstance(node, ast.ClassDef):
                inner = "error" if is_error(node) else "class"
            for name in BLOCKS:
                yield from statements(getattr(node, name, []), depth + 1, name, inner)


def digest(texts: Iterable[str]) -> str:
    """A short hash of texts in their order."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def is_error(node: ast.ClassDef) -> bool:
    """Whether a class is an exception, by the names of it and of its bases."""
    names = [node.name, *(_name(base) for base in node.bases)]
    return any(name.endswith(("Error", "Exception", "Warning")) for name in names)


def references(node: ast.AST, without: Collection[ast.AST] = ()) -> Iterator[str]:
    """Every name that a node may refer to by: variables, attributes, and texts that could be names.

    Args:
        without: nodes inside, whose names are left out.
    """
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield node.value
    elif isinstance(node, ast.Call) and _name(node.func) == "getattr" and isinstance(node.args[1], COMPOSED):
        yield "vars"  # the name is put together while the program runs
    for field, value in ast.iter_fields(node):
        if field not in UNSEEN:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and child not in without:
                    yield from references(child, without)


def _dropped(node: ast.AST, owner: str) -> bool:
    """Whether a statement does nothing: docstrings, `pass`, declarations and aliases of types."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None and not owner
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, FUNCTIONS):
        return node.name == "__repr__"
    return isinstance(node, ast.Pass) or type(node).__name__ == "TypeAlias"


def _header(node: ast.AST, owner: str) -> str:
    if isinstance(node, ast.AnnAssign):
        if owner in ("class", "error"):
            kind = "ClassVar" if "ClassVar" in set(references(node.annotation)) else "field"
            return f"{kind}({text(node.target)},{text(node.value)})"
        return f"Assign(targets=[{text(node.target)}],value={text(node.value)})"
    if isinstance(node, ast.Raise):
        return f"Raise({text(node.exc, silent=True)},{text(node.cause)})"
    if isinstance(node, ast.Assert):
        return f"Assert({text(node.test)})"
    return text(node, silent=owner == "error", skip=BLOCKS if isinstance(node, COMPOUND) else ())


def text(node: object, silent: bool = False, skip: tuple[str, ...] = ()) -> str:
    """A node as text; with `silent`, what it says to people does not show."""
    if isinstance(node, list):
        return f"[{','.join(text(part, silent) for part in node)}]"
    if isinstance(node, ast.JoinedStr):
        return "Text" if silent else f"JoinedStr([{','.join(_parts(node))}])"
    if isinstance(node, ast.Constant):
        return "Text" if silent and isinstance(node.value, str) else f"Constant({_literal(node.value)})"
    if isinstance(node, ast.AST):
        if silent and isinstance(node, ast.BinOp) and text(node.left, silent) == text(node.right, silent) == "Text":
            return "Text"  # texts that are joined by +
        shown = [
            f"{name}={text(value, silent)}"
            for name, value in ast.iter_fields(node)
            if name not in UNSEEN and name not in skip and value is not None and value != []
        ]
        return f"{type(node).__name__}({','.join(shown)})"
    return _literal(node)


def _parts(node: ast.JoinedStr) -> Iterator[str]:
    """The parts of an f-string; versions of Python split its constant parts in different ways."""
    constant = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            constant += str(part.value)
            continue
        if constant:
            yield _literal(constant)
        constant = ""
        yield text(part)
    if constant:
        yield _literal(constant)


def _literal(value: object) -> str:
    """ASCII, for versions of Python know different printable characters."""
    return ascii(value)


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
