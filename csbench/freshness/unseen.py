"""Two codes that are compared, and what of the difference no cell has run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from csbench.freshness.changes import Changed, Span, by_file, differences
from csbench.freshness.closure import Closure, closure
from csbench.freshness.decided import Branch, branches, is_part, taken, to_watch
from csbench.freshness.source import Tree

Roots = Mapping[str, list[str]]
Lines = Mapping[str, list[list[int]]]
"""Path of a file to the first and last of some lines."""


@dataclass(frozen=True)
class Code:
    """One of the two.

    Attributes:
        roots: module to the names in it that the code starts from.
        used: what is reached from there.
        changed: statements that the other one does not have.
    """

    tree: Tree
    roots: Roots
    used: Closure
    changed: tuple[Changed, ...]

    @cached_property
    def branches(self) -> list[Branch]:
        """That a suite decides."""
        return branches(self.used, self.tree.root)

    def unseen(self, executed: Mapping[str, Collection[Span]]) -> list[Changed]:
        """The changed statements that no cell ran, less those that have no part in the rows for what the suite is."""
        left = [one for one in self.changed if not one.is_covered(executed.get(one.path, ()))]
        idle = [one for one in self.branches if not one.ran(executed.get(one.path, ()))] if left else []
        if not idle:
            return left
        used = taken(self.used, self.tree, self.roots.items(), idle)
        return [one for one in left if is_part(one, used, self.tree.root, idle)]


def compared(old: tuple[Tree, Roots], new: tuple[Tree, Roots]) -> tuple[Code, Code]:
    """Both codes, each with what the other one does not have."""
    before, after = (closure(tree, roots.items()) for tree, roots in (old, new))
    gone, come = differences(before, after, old[0].root, new[0].root)
    return Code(*old, before, tuple(gone)), Code(*new, after, tuple(come))


def lines_to_watch(codes: Collection[Code]) -> Lines:
    """Where a run of all of these has to be watched."""
    found: dict[str, list[list[int]]] = {}
    for lines in (by_file({one for code in codes for one in code.changed}), *(to_watch(c.branches) for c in codes)):
        for path, spans in lines.items():
            here = found.setdefault(path, [])
            here.extend(span for span in spans if span not in here)
    return found
