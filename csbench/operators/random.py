"""Dense random matrices with independent entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from csbench.operators.dense import DenseMatrix

DRAWN_ROWS = 64


class Gaussian(DenseMatrix):
    """Independent entries N(0, 1/m) (Candes and Tao 2006; the operator of Bora et al. 2017)."""

    @classmethod
    def draw(cls, m: int, n: int, rng: torch.Generator) -> Self:
        """Entries are drawn in float64 and rounded, so that processors with other vector units agree on them."""
        return cls(_in_blocks(m, n, lambda r: torch.randn(r, n, generator=rng, dtype=torch.float64) / math.sqrt(m)))


class Rademacher(DenseMatrix):
    """Independent entries +1/sqrt(m) or -1/sqrt(m), each with probability 1/2 (Achlioptas 2003)."""

    @classmethod
    def draw(cls, m: int, n: int, rng: torch.Generator) -> Self:
        def rows(r: int) -> Tensor:
            return (2 * torch.randint(2, (r, n), generator=rng, dtype=torch.float64) - 1) / math.sqrt(m)

        return cls(_in_blocks(m, n, rows))


def _in_blocks(m: int, n: int, rows: Callable[[int], Tensor]) -> Tensor:
    """A float32 matrix filled block by block, so that the float64 draws never take more than one block of memory."""
    matrix = torch.empty(m, n)
    for block in matrix.split(DRAWN_ROWS):
        block.copy_(rows(len(block)))
    return matrix
