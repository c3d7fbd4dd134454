"""Inpainting: a square of the image is hidden, and all else is seen as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor

from csbench.core.operator import Picture
from csbench.operators.image import ImageOperator, Shape


class _HiddenBlock(ImageOperator):
    """The pixels outside a square, row by row, channel by channel, in natural units: 0 is black and 1 is white.

    Args:
        top, left: the hidden square's first row and column.
        side: its side k in pixels.
        image_shape: (c, h, w).
    """

    rows: ClassVar[str] = "c (h w - k^2), k = 1, 2, ..."
    cost: ClassVar[str] = "n"
    adjoint_by: ClassVar[str] = "zeros where hidden"
    picture_like: ClassVar[Picture] = "adjoint"

    def __init__(self, top: int, left: int, side: int, image_shape: Shape):
        seen = torch.ones(image_shape, dtype=torch.bool)
        seen[:, top : top + side, left : left + side] = False
        self.pixels = seen.flatten().nonzero()[:, 0]
        super().__init__(len(self.pixels), image_shape)
        self.frame = 1.0

    @classmethod
    def attainable(cls, image_shape: Shape) -> Mapping[int, int]:
        """m to the side of the square."""
        c, h, w = image_shape
        return {c * (h * w - k**2): k for k in range(1, min(h, w) + 1) if k**2 < h * w}

    def norm(self) -> float:
        return 1.0

    def _apply(self, x: Tensor) -> Tensor:
        return x[..., self.pixels]

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.new_zeros(*y.shape[:-1], self.shape[1]).index_copy(-1, self.pixels, y)


class CentreBlock(_HiddenBlock):
    """All pixels but a square of k x k in the middle, as they are (inpainting; Pathak et al. 2016)."""

    @classmethod
    def draw_for(cls, m: int, image_shape: Shape, rng: torch.Generator) -> Self:
        k = cls.setting(m, image_shape)
        return cls((image_shape[1] - k) // 2, (image_shape[2] - k) // 2, k, image_shape)


class RandomBlock(_HiddenBlock):
    """All pixels but a square of k x k at a random place, as they are (inpainting; Pathak et al. 2016)."""

    @classmethod
    def draw_for(cls, m: int, image_shape: Shape, rng: torch.Generator) -> Self:
        """Every place inside the image is equally likely; all images of a draw have the square at the same."""
        k = cls.setting(m, image_shape)
        top, left = (int(torch.randint(side - k + 1, (1,), generator=rng)) for side in image_shape[1:])
        return cls(top, left, k, image_shape)
