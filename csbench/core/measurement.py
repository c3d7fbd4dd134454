"""What a method sees of a problem, and all that it sees."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from csbench.core.errors import ShapeError
from csbench.core.operator import LinearOperator


@dataclass(frozen=True, eq=False)
class Measurement:
    """y = A x + noise for a batch of images and one operator.

    Attributes:
        A: the operator, shape (m, n), of y's dtype and device.
        y: shape [batch, m].
        noise_std: standard deviation of each entry of the noise, so that sqrt(E||noise||^2) = noise_std sqrt(m).
        image_shape: (c, h, w) with c h w = n.
    """

    A: LinearOperator
    y: Float[Tensor, "batch m"]
    noise_std: float
    image_shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        m, n = self.A.shape
        if self.y.ndim != 2 or self.y.shape[1] != m:
            raise ShapeError(f"y must have shape [batch, {m}] for {self.A!r}, got {tuple(self.y.shape)}")
        if not self.y.is_floating_point() or self.y.dtype != self.A.dtype:
            raise ShapeError(f"y is {self.y.dtype} and A is {self.A.dtype}; both need one floating dtype")
        if len(self.image_shape) != 3 or math.prod(self.image_shape) != n:
            raise ShapeError(f"image_shape {self.image_shape} does not have the n = {n} pixels of {self.A!r}")
        if not self.noise_std >= 0:
            raise ShapeError(f"noise_std must be zero or more, got {self.noise_std}")

    @property
    def m(self) -> int:
        return self.A.shape[0]

    @property
    def n(self) -> int:
        return self.A.shape[1]

    @property
    def batch(self) -> int:
        return len(self.y)

    @property
    def noise_norm(self) -> float:
        """sqrt(E||noise||^2)."""
        return self.noise_std * math.sqrt(self.m)

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Measurement:
        """The same measurement in another dtype or on another device."""
        return replace(self, A=self.A.to(dtype, device), y=self.y.to(dtype=dtype or self.y.dtype, device=device))
