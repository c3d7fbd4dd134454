"""A matrix that is stored, such as a user's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor

from csbench.core.errors import ShapeError
from csbench.core.operator import LinearOperator


class DenseMatrix(LinearOperator):
    """A matrix that is stored; see also `csbench.operators.from_matrix`. A user's own is taken for one that mixes."""

    mixes: ClassVar[bool] = True
    rows: ClassVar[str] = "any"
    adjoint_by: ClassVar[str] = "transposed matrix"
    cost: ClassVar[str] = "m n"

    def __init__(self, matrix: Float[Tensor, "m n"]):
        if matrix.ndim != 2:
            raise ShapeError(f"a matrix has two axes, got a tensor of shape {tuple(matrix.shape)}")
        m, n = matrix.shape
        super().__init__(m, n, matrix.dtype, matrix.device)
        self._matrix = matrix

    def matrix(self) -> Float[Tensor, "m n"]:
        """The matrix itself, not a copy, shape [m, n]."""
        return self._matrix

    def row_blocks(self, rows: int) -> Iterator[tuple[slice, LinearOperator]]:
        for start in range(0, self.shape[0], rows):
            part = slice(start, min(start + rows, self.shape[0]))
            yield part, DenseMatrix(self._matrix[part])

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        moved = self._matrix.to(dtype=dtype or self.dtype, device=device or self.device)
        return self if moved is self._matrix else type(self)(moved)

    def _apply(self, x: Tensor) -> Tensor:
        return x @ self._matrix.T

    def _adjoint(self, y: Tensor) -> Tensor:
        return y @ self._matrix
