"""Operators that look at pixels themselves: all of them, or a random subset."""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from csbench.core.errors import ShapeError
from csbench.core.operator import LinearOperator, Picture


class RandomPixelMask(LinearOperator):
    """m of n pixels, chosen uniformly without replacement, times sqrt(n/m) so that E||A x||^2 = ||x||^2.

    Args:
        pixels: int64, shape [m], distinct positions in 0 ... n - 1.
        n: length of the signal.
    """

    picture_like: ClassVar[Picture] = "adjoint"
    rows: ClassVar[str] = "1 ... n"
    adjoint_by: ClassVar[str] = "zeros where hidden"
    cost: ClassVar[str] = "m"

    def __init__(self, pixels: Tensor, n: int, dtype: torch.dtype = torch.float32):
        if len(pixels) > n or int(pixels.min()) < 0 or int(pixels.max()) >= n or len(pixels.unique()) != len(pixels):
            raise ShapeError(f"a mask needs distinct pixels in 0 ... {n - 1}, got {len(pixels)} positions")
        super().__init__(len(pixels), n, dtype, pixels.device)
        self.pixels = pixels
        self.frame = n / len(pixels)
        self.scale = math.sqrt(self.frame)

    @classmethod
    def draw(cls, m: int, n: int, rng: torch.Generator) -> Self:
        if m > n:
            raise ShapeError(f"a mask cannot see m = {m} of n = {n} pixels")
        return cls(torch.randperm(n, generator=rng)[:m].sort().values, n)

    def norm(self) -> float:
        return self.scale

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        return type(self)(self.pixels.to(device or self.device), self.shape[1], dtype or self.dtype)

    def _apply(self, x: Tensor) -> Tensor:
        return self.scale * x[..., self.pixels]

    def _adjoint(self, y: Tensor) -> Tensor:
        x = torch.zeros(*y.shape[:-1], self.shape[1], dtype=y.dtype, device=y.device)
        return x.index_copy(-1, self.pixels, self.scale * y)


class Identity(LinearOperator):
    """Every pixel as it is, m = n: denoising, and the reference for what measuring costs."""

    picture_like: ClassVar[Picture] = "y"
    rows: ClassVar[str] = "n"
    adjoint_by: ClassVar[str] = "itself"
    cost: ClassVar[str] = "1"

    def __init__(self, n: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"):
        super().__init__(n, n, dtype, torch.device(device))
        self.frame = 1.0

    @classmethod
    def draw(cls, m: int, n: int, rng: torch.Generator) -> Self:
        if m != n:
            raise ShapeError(f"the identity has m = n = {n}, not m = {m}")
        return cls(n)

    def norm(self) -> float:
        return 1.0

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        return type(self)(self.shape[1], dtype or self.dtype, device or self.device)

    def _apply(self, x: Tensor) -> Tensor:
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        return y
