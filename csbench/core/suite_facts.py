"""What is the same in all cells of a suite: it follows from the family of A and the shape of the images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable)


def suite_fact(f: F) -> F:
    """Marks a property of this kind.

    `csbench prove` relies on it: of a branch on nothing else, the cells of a suite all take the same side, whatever
    m, the noise and the images are.
    """
    return f
