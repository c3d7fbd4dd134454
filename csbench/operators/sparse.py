"""Random matrices most of whose entries are zero."""

from __future__ import annotations

import math
from typing import Self

import torch

from csbench.operators.dense import DenseMatrix


class SparseRademacher(DenseMatrix):
    """Independent entries sqrt(3/m) times +1, 0 or -1 with probability 1/6, 2/3 and 1/6 (Achlioptas 2003, eq. 2).

    Stored with its zeros: at one entry in three, dense products are the faster ones.
    """

    @classmethod
    def draw(cls, m: int, n: int, rng: torch.Generator) -> Self:
        die = torch.randint(6, (m, n), generator=rng, dtype=torch.int8)
        return cls(((die == 0).float() - (die == 1).float()) * math.sqrt(3 / m))
