"""What operators share that store no matrix."""

from __future__ import annotations

import math
from copy import copy
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from csbench.core.operator import LinearOperator

COMPUTED_ROWS = 256  # of the dense matrix that are computed at a time


class MatrixFree(LinearOperator):
    """An operator that is a computation; float32 on the CPU when it is made.

    `_apply` and `_adjoint` get float32 or float64: there are no fast transforms in half precision, so an operator of
    such a dtype computes in float32 and rounds. A subclass holds its numbers as float64 attributes and casts them in
    use, so that the operator in float64 is exact, however it came about.
    """

    def __init__(self, m: int, n: int):
        super().__init__(m, n, torch.float32, torch.device("cpu"))

    def __call__(self, x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch m"]:
        return self._apply(_wide(self._checked(x, self.shape[1], "A(x)"))).to(self.dtype)

    def adjoint(self, y: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch n"]:
        return self._adjoint(_wide(self._checked(y, self.shape[0], "A.adjoint(y)"))).to(self.dtype)

    def matrix(self) -> Float[Tensor, "m n"]:
        """The dense matrix, shape [m, n], from the adjoints of unit vectors: with m < n there are fewer of them."""
        m, n = self.shape
        matrix = torch.empty(m, n, dtype=self.dtype, device=self.device)
        for start in range(0, m, COMPUTED_ROWS):
            block = matrix[start : start + COMPUTED_ROWS]
            units = torch.zeros(len(block), m, dtype=self.dtype, device=self.device)
            units.diagonal(start).fill_(1)
            block.copy_(self.adjoint(units))
        return matrix

    def norm(self) -> float:
        """The largest singular value, by Lanczos iterations on A A^T to the precision of float64."""
        from scipy.sparse.linalg import LinearOperator as Applied  # takes a third of a second to import
        from scipy.sparse.linalg import eigsh

        m, n = self.shape
        if min(m, n) < 3:  # too small for ARPACK
            return super().norm()
        A = self.to(torch.float64, "cpu")

        def gram(v: np.ndarray) -> np.ndarray:
            return A(A.adjoint(torch.from_numpy(v))).numpy()

        product = Applied(shape=(m, m), matvec=gram, dtype=np.float64)  # type: ignore[call-arg]
        start = np.random.default_rng(0).standard_normal(m)
        return math.sqrt(eigsh(product, k=1, which="LA", v0=start, return_eigenvectors=False)[0])

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        moved = copy(self)
        moved.dtype, moved.device = dtype or self.dtype, torch.device(device or self.device)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(moved.device))
        return moved


def _wide(v: Tensor) -> Tensor:
    return v.to(torch.promote_types(v.dtype, torch.float32))
