"""The single-pixel camera: one detector, and a mirror that shows it one pattern after another (Duarte et al. 2008)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from csbench.operators.image import ImageOperator, Shape


class SinglePixel(ImageOperator):
    """The light that 0/1 Hadamard patterns let through, coarse patterns first (Duarte et al. 2008).

    A reading is the sum, in natural units (pixel values times pixels), of the pixels that a pattern shows; the patterns
    are (1 + W_i W_j^T) / 2 with the Walsh functions W_i, whose sign changes i times. They are taken in the order of
    i + j, then of i, so that few patterns see the image at low resolution; the first one shows all of it. Where a side
    is no power of two the functions are those of the next, stretched over the side: cut off they would soon be linearly
    dependent, on 28 pixels from the eighth on.

    Args:
        patterns: how many, per channel.
        image_shape: (c, h, w).
    """

    rows: ClassVar[str] = "c patterns, 1 ... h w of them"
    cost: ClassVar[str] = "n^1.5"
    adjoint_by: ClassVar[str] = "sum of the patterns, by the same products"

    def __init__(self, patterns: int, image_shape: Shape):
        c, h, w = image_shape
        super().__init__(c * patterns, image_shape)
        self.down, self.across = _walsh(h), _walsh(w)
        i, j = (axis.flatten() for axis in np.indices((h, w)))
        self.order = torch.from_numpy(np.lexsort((i, i + j))[:patterns])

    @classmethod
    def attainable(cls, image_shape: Shape) -> Mapping[int, int]:
        """m to the number of patterns."""
        c, h, w = image_shape
        return {c * patterns: patterns for patterns in range(1, h * w + 1)}

    @classmethod
    def draw_for(cls, m: int, image_shape: Shape, rng: torch.Generator) -> Self:
        return cls(cls.setting(m, image_shape), image_shape)

    def _apply(self, x: Tensor) -> Tensor:
        images = x.reshape(*x.shape[:-1], *self.image_shape)
        coefficients = (self.down.to(x) @ images @ self.across.to(x).T).flatten(-2)
        return ((coefficients[..., :1] + coefficients[..., self.order]) / 2).flatten(-2)

    def _adjoint(self, y: Tensor) -> Tensor:
        c, h, w = self.image_shape
        readings = y.unflatten(-1, (c, -1)) / 2
        coefficients = readings.new_zeros(*readings.shape[:-1], h * w).index_copy(-1, self.order, readings)
        coefficients = coefficients.unflatten(-1, (h, w))
        patterns = self.down.to(y).T @ coefficients @ self.across.to(y)
        return (patterns + readings.sum(-1)[..., None, None]).flatten(-3)


@lru_cache
def _walsh(side: int) -> Tensor:
    """As many Walsh functions as pixels, by number of sign changes, at the centres of pixels; [functions, side]."""
    from scipy.linalg import hadamard

    functions = hadamard(1 << (side - 1).bit_length())
    changes = (np.diff(functions) != 0).sum(1)
    centres = (2 * np.arange(side) + 1) * len(functions) // (2 * side)
    return torch.from_numpy(functions[changes.argsort()][:side, centres].astype(np.float64))
