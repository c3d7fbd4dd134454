"""A user's own matrix, and operators in other units."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from csbench.core.errors import ShapeError
from csbench.core.operator import LinearOperator
from csbench.operators.dense import DenseMatrix

BLOCK_ROWS = 1024  # that are held in float64 at a time


def from_matrix(matrix: Any) -> DenseMatrix:
    """An operator from a user's own matrix, shape [m, n], in any units.

    Methods divide it by its gain g = ||A||_F / sqrt(n), the root mean square norm of its columns, and y and the noise
    with it, so that E||A x||^2 = ||x||^2 for random x, as their settings suppose: penalties are in effect multiplied by
    g^2, and the same image comes out whatever the units of A and y are.

    Args:
        matrix: a tensor of a floating dtype, which is kept and not copied; or what `numpy.asarray` takes, whole numbers
            and SciPy's sparse matrices included, which becomes float32, or float64 where it is that.

    Raises:
        ShapeError: it has not two axes, or entries that are not finite.
    """
    return _OwnMatrix(_as_tensor(matrix))


def scaled(A: LinearOperator, factor: float) -> LinearOperator:
    """factor times A, for an operator in other units; methods divide by the factor again, and y and the noise with it.

    Args:
        factor: above zero.
    """
    return _Scaled(A, factor)


def _as_tensor(matrix: Any) -> Tensor:
    if isinstance(matrix, Tensor):
        dense = matrix.to_dense() if matrix.layout is not torch.strided else matrix
    else:
        array = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
        if array.dtype.kind not in "fiub":
            raise ShapeError(f"a matrix is of real numbers, got {array.dtype}")
        # In the machine's order of bytes, and no longer than a double
        kept = np.dtype(f"f{min(array.dtype.itemsize, 8)}") if array.dtype.kind == "f" else np.float32
        dense = torch.from_numpy(np.require(array, kept, ["C_CONTIGUOUS", "WRITEABLE"]))
    return dense if dense.is_floating_point() or dense.is_complex() else dense.float()


class _OwnMatrix(DenseMatrix):
    name: ClassVar[str] = "dense-matrix"

    def __init__(self, matrix: Tensor):
        super().__init__(matrix)
        if not matrix.is_floating_point():
            raise ShapeError(f"a matrix is of real numbers, got {matrix.dtype}")
        if not matrix.isfinite().all():
            raise ShapeError("the matrix has entries that are NaN or infinite")

    def unit(self) -> tuple[LinearOperator, float]:
        """
        Raises:
            ShapeError: the entries are so small that their dtype has lost digits of them.
        """
        parts = self._matrix.detach().split(BLOCK_ROWS)
        largest = max(part.abs().amax().item() for part in parts)
        if largest == 0:
            return DenseMatrix(self._matrix.detach()), 1.0
        norms = [torch.linalg.vector_norm(part.double() / largest).item() for part in parts]
        gain = largest * math.hypot(*norms) / math.sqrt(self.shape[1])
        known = torch.finfo(self.dtype)
        if largest < known.tiny / known.eps:
            raise ShapeError(
                f"the largest entry of A is {largest:.3g}, where {self.dtype} has lost digits; give A, y and noise_std "
                "in larger units"
            )
        return DenseMatrix((self._matrix.detach() / gain).contiguous()), gain


class _Scaled(LinearOperator):
    name: ClassVar[str] = "scaled"

    def __init__(self, A: LinearOperator, factor: float):
        super().__init__(*A.shape, A.dtype, A.device)
        if not 0 < factor < math.inf:
            raise ShapeError(f"an operator is scaled by a number above zero, got {factor}")
        self.A, self.factor = A, factor
        self.frame = None if A.frame is None else factor**2 * A.frame
        vars(self).update(name=A.name, mixes=A.mixes, picture_like=A.picture_like)  # class variables elsewhere

    def matrix(self) -> Tensor:
        return self.factor * self.A.matrix()

    def norm(self) -> float:
        return self.factor * self.A.norm()

    def row_blocks(self, rows: int) -> Iterator[tuple[slice, LinearOperator]]:
        for part, block in self.A.row_blocks(rows):
            yield part, _Scaled(block, self.factor)

    def unit(self) -> tuple[LinearOperator, float]:
        A, gain = self.A.unit()
        return A, self.factor * gain

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        return type(self)(self.A.to(dtype, device), self.factor)

    def _apply(self, x: Tensor) -> Tensor:
        return self.factor * self.A(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.factor * self.A.adjoint(y)
