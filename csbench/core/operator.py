"""The interface of a measurement operator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor

from csbench.core.errors import ShapeError, UsageError
from csbench.core.names import kebab

Picture = Literal["y", "adjoint", "blocks"] | None


class LinearOperator(ABC):
    """A linear map A: R^n -> R^m on the last axis of batched tensors, with its adjoint.

    A subclass implements `_apply`, `_adjoint`, `to` and, where it can be drawn at random for a given m, `draw`. Inputs
    have the operator's dtype and device, and autograd goes through both directions.

    Attributes:
        shape: (m, n).
        dtype, device: of the operator's own tensors.
        name: set by the class; `gaussian` for `Gaussian`.
        frame: c where it is known that A A^T = c I; None elsewhere.
        mixes: whether every measurement involves nearly all pixels at random, as those of random projections do.
        picture_like: how y is shown as a picture: "y" itself, its "adjoint", "blocks", the adjoint in the units of
            pixels, or None where y looks like nothing.
        rows: m as a function of n or of the image's shape, in words.
        adjoint_by: how the adjoint is computed.
        cost: of one application, without the O().
    """

    name: ClassVar[str]
    frame: float | None = None
    mixes: ClassVar[bool] = False
    picture_like: ClassVar[Picture] = None
    rows: ClassVar[str] = ""
    adjoint_by: ClassVar[str] = ""
    cost: ClassVar[str] = ""

    def __init__(self, m: int, n: int, dtype: torch.dtype, device: torch.device):
        if m < 1 or n < 1:
            raise ShapeError(f"an operator needs at least one row and one column, got shape ({m}, {n})")
        self.shape = (m, n)
        self.dtype = dtype
        self.device = device

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in cls.__dict__:
            cls.name = kebab(cls.__name__)

    @classmethod
    def draw(cls, m: int, n: int, rng: torch.Generator) -> Self:
        """A random operator of this family with m rows, float32, scaled so that E||A x||^2 = ||x||^2."""
        raise UsageError(f"{cls.__name__} cannot be drawn at random; a suite needs another operator")

    def __call__(self, x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch m"]:
        """A x: shape [..., n] -> [..., m]."""
        return self._apply(self._checked(x, self.shape[1], "A(x)"))

    def adjoint(self, y: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch n"]:
        """A^T y: shape [..., m] -> [..., n]."""
        return self._adjoint(self._checked(y, self.shape[0], "A.adjoint(y)"))

    def matrix(self) -> Float[Tensor, "m n"]:
        """The dense matrix, shape [m, n]."""
        return self(torch.eye(self.shape[1], dtype=self.dtype, device=self.device)).T

    def norm(self) -> float:
        """The spectral norm, the largest singular value."""
        return torch.linalg.matrix_norm(self.matrix(), 2).item()

    def row_blocks(self, rows: int) -> Iterator[tuple[slice, LinearOperator]]:
        """The operator in parts of at most so many rows, for work in higher precision without a copy of all of it.

        An operator that stores no matrix is its own only part.
        """
        yield slice(0, self.shape[0]), self

    def unit(self) -> tuple[LinearOperator, float]:
        """The operator in the units that the settings of methods are meant for, and what it was divided by, its gain.

        Operators that are drawn, or are an image task, are in these units. A user's matrix is not, see `from_matrix`.
        """
        return self, 1.0

    @abstractmethod
    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        """The same operator in another dtype or on another device."""

    @abstractmethod
    def _apply(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _adjoint(self, y: Tensor) -> Tensor: ...

    def _checked(self, v: Tensor, length: int, what: str) -> Tensor:
        if v.ndim == 0 or v.shape[-1] != length:
            raise ShapeError(
                f"{what}: the operator has shape {self.shape}, so the last axis must be {length}; "
                f"got a tensor of shape {tuple(v.shape)}"
            )
        if v.dtype != self.dtype:
            raise ShapeError(f"{what}: the operator is {self.dtype}, the tensor {v.dtype}; use A.to({v.dtype})")
        return v

    def __repr__(self) -> str:
        return f"{type(self).__name__}(m={self.shape[0]}, n={self.shape[1]}, {self.dtype})"
