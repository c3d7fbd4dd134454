"""Rooted subtrees of the coefficients of a 2-D wavelet transform (Crouse, Nowak, Baraniuk 1998)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numba import njit

from csbench.core.transforms import halved


@dataclass(frozen=True, eq=False)
class WaveletTrees:
    """The forest in which a coefficient's parent is the one at the same place, one level coarser.

    A set of coefficients is a rooted subtree, or several, if it holds the parent of each of its members.

    Attributes:
        order: coefficients in depth-first order, every parent before its children, shape [n].
        after: for each place in `order`, the place behind the descendants of what is there, shape [n].
    """

    order: Int64[np.ndarray, " n"]
    after: Int64[np.ndarray, " n"]

    def project(self, v: Float64[np.ndarray, "batch n"], k: int) -> Bool[np.ndarray, "batch n"]:
        """The rooted subtrees of at most k coefficients in all that hold the most energy of v, exactly, in n k steps.

        Args:
            v: float64, shape [batch, n].

        Returns:
            bool, shape [batch, n].
        """
        chosen = np.zeros(v.shape, np.bool_)
        _project(np.square(v), self.order, self.after, min(k, len(self.order)), chosen)
        return chosen


@lru_cache
def wavelet_trees(image_shape: tuple[int, int, int], level: int) -> WaveletTrees:
    """The trees of an image's coefficients, arranged as by `csbench.core.transforms.Wavelet2`.

    A scaling coefficient has the details of the coarsest level at its place as children, one of each orientation; a
    detail has the four at its place and of its orientation on the next finer level. Where sides are odd some of these
    are not there, and what would be without a parent belongs to the last detail. Channels have trees of their own.

    Args:
        image_shape: (c, h, w).
        level: of the transform; without any, every coefficient is a tree.
    """
    c, h, w = image_shape
    down, along = _Axis.of(h, level), _Axis.of(w, level)
    order, after = [], np.empty(c * h * w, np.int64)

    def children(node: _Node) -> Iterator[_Node]:
        if node.down or node.along:
            for i in down.below(node.level, node.down, node.i):
                for j in along.below(node.level, node.along, node.j):
                    yield _Node(node.level - 1, node.down, node.along, i, j)
        else:
            for details in ((False, True), (True, False), (True, True)):
                if node.i < down.size(level, details[0]) and node.j < along.size(level, details[1]):
                    yield _Node(level, *details, node.i, node.j)

    def visit(channel: int, node: _Node) -> None:
        place = len(order)
        i, j = down.start(node.level, node.down) + node.i, along.start(node.level, node.along) + node.j
        order.append((channel * h + i) * w + j)
        for child in children(node):
            visit(channel, child)
        after[place] = len(order)

    for channel, i, j in np.ndindex(c, down.sides[-1], along.sides[-1]):
        visit(channel, _Node(level, False, False, i, j))
    return WaveletTrees(np.array(order), after)


class _Node(NamedTuple):
    """A coefficient: whether it is a detail down the image and along its rows, and its place in the block of those."""

    level: int
    down: bool
    along: bool
    i: int
    j: int


@dataclass(frozen=True)
class _Axis:
    """One axis of an image under a wavelet transform.

    Attributes:
        sides: how many averages each level leaves, from the image itself on.
    """

    sides: tuple[int, ...]

    @classmethod
    def of(cls, side: int, level: int) -> _Axis:
        sides = [side]
        for _ in range(level):
            sides.append(halved(sides[-1]))
        return cls(tuple(sides))

    def start(self, level: int, detail: bool) -> int:
        """Where the block of averages, or of details, of a level begins."""
        return detail * self.sides[level]

    def size(self, level: int, detail: bool) -> int:
        """How long it is; without any level there are no details."""
        return detail * (self.sides[max(level - 1, 0)] - self.sides[level]) + (not detail) * self.sides[level]

    def below(self, level: int, detail: bool, place: int) -> range:
        """The places on the next finer level of what is at a place; there are none below level 1."""
        finer = (level > 1) * self.size(max(level - 1, 0), detail)
        last = place == self.size(level, detail) - 1
        return range(min(2 * place, finer), max(last * finer, min(2 * place + 2, finer)))


@njit("void(f8[:,::1], i8[::1], i8[::1], i8, b1[:,::1])", cache=True, nogil=True)
def _project(energy, order, after, k, chosen):
    """Dynamic programming over places: best[p, j] is the most energy of j coefficients from p on, p's parent given."""
    n = len(order)
    best = np.zeros((n + 1, k + 1))
    for row in range(len(energy)):
        for p in range(n - 1, -1, -1):
            e, here, without, within = energy[row, order[p]], best[p], best[after[p]], best[p + 1]
            for j in range(1, k + 1):
                here[j] = max(without[j], e + within[j - 1])
        p, j = 0, k
        while p < n and j > 0:
            if best[p, j] > best[after[p], j]:
                chosen[row, order[p]] = True
                p, j = p + 1, j - 1
            else:
                p = after[p]
