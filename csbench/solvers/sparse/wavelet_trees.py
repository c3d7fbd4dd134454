"""Rooted subtrees of the coefficients of a 2-D wavelet transform (Crouse, Nowak, Baraniuk 1998)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numba import njit


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
    detail has the four at its place and of its orientation on the next finer level. Channels have trees of their own.

    Args:
        image_shape: (c, h, w).
        level: of the transform; without any, every coefficient is a tree.
    """
    c, h, w = image_shape
    top, left = h >> level, w >> level
    order, after = [], np.empty(c * h * w, np.int64)

    def children(i: int, j: int) -> Iterator[tuple[int, int]]:
        if i < top and j < left:
            if level:
                yield from ((i, j + left), (i + top, j), (i + top, j + left))
        elif 2 * i < h and 2 * j < w:
            yield from ((2 * i, 2 * j), (2 * i, 2 * j + 1), (2 * i + 1, 2 * j), (2 * i + 1, 2 * j + 1))

    def visit(channel: int, i: int, j: int) -> None:
        place = len(order)
        order.append((channel * h + i) * w + j)
        for child in children(i, j):
            visit(channel, *child)
        after[place] = len(order)

    for root in np.ndindex(c, top, left):
        visit(*root)
    return WaveletTrees(np.array(order), after)


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
