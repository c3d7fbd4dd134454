"""Super-resolution: the image is seen with larger pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor

from csbench.core.operator import Picture
from csbench.operators.image import ImageOperator, Shape


class BlockAverage(ImageOperator):
    """The means of blocks of f x f pixels, which are a small image in natural units, 0 to 1 (super-resolution).

    Args:
        factor: f, which divides both sides of the image.
        image_shape: (c, h, w).
    """

    rows: ClassVar[str] = "n / f^2 for f that divide h and w"
    cost: ClassVar[str] = "n"
    adjoint_by: ClassVar[str] = "each mean over its block, / f^2"
    picture_like: ClassVar[Picture] = "blocks"

    def __init__(self, factor: int, image_shape: Shape):
        super().__init__(math.prod(image_shape) // factor**2, image_shape)
        self.factor = factor
        self.frame = 1 / factor**2

    @classmethod
    def attainable(cls, image_shape: Shape) -> Mapping[int, int]:
        """m to the factor."""
        c, h, w = image_shape
        return {c * h * w // f**2: f for f in range(1, min(h, w) + 1) if h % f == w % f == 0}

    @classmethod
    def draw_for(cls, m: int, image_shape: Shape, rng: torch.Generator) -> Self:
        return cls(cls.setting(m, image_shape), image_shape)

    def norm(self) -> float:
        return 1 / self.factor

    def _apply(self, x: Tensor) -> Tensor:
        c, h, w = self.image_shape
        blocks = x.reshape(*x.shape[:-1], c, h // self.factor, self.factor, w // self.factor, self.factor)
        return blocks.mean((-3, -1)).flatten(-3)

    def _adjoint(self, y: Tensor) -> Tensor:
        c, h, w = self.image_shape
        shares = y.reshape(*y.shape[:-1], c, h // self.factor, 1, w // self.factor, 1) / self.factor**2
        return shares.expand(*y.shape[:-1], c, h // self.factor, self.factor, w // self.factor, self.factor).flatten(-5)
