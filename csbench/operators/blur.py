"""Deblurring: each channel is convolved with a kernel that sums to 1, so that y is an image in natural units, 0 to 1.

The image continues periodically beyond its border, as in most of the literature on deblurring: then m = n, and the
operator, its adjoint and its norm are exact by FFT. On images with a dark border it makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from csbench.core.operator import Picture
from csbench.operators.image import ImageOperator, Shape

TRUNCATE = 4.0  # standard deviations at which a Gaussian kernel ends, as in SciPy


class _Blur(ImageOperator):
    """Circular convolution.

    Args:
        kernel: not negative, with sum 1, float64, shape [h, w]; its origin is the first entry.
        image_shape: (c, h, w).
    """

    rows: ClassVar[str] = "n"
    cost: ClassVar[str] = "n log n"
    adjoint_by: ClassVar[str] = "correlation by FFT"
    picture_like: ClassVar[Picture] = "y"

    def __init__(self, kernel: Tensor, image_shape: Shape):
        super().__init__(math.prod(image_shape), image_shape)
        self.transfer = torch.fft.rfft2(kernel)

    @classmethod
    def attainable(cls, image_shape: Shape) -> Mapping[int, None]:
        """n alone."""
        return {math.prod(image_shape): None}

    def norm(self) -> float:
        """1: no frequency passes more than the mean does."""
        return 1.0

    def _apply(self, x: Tensor) -> Tensor:
        return self._filtered(x, self.transfer)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._filtered(y, self.transfer.conj())

    def _filtered(self, x: Tensor, transfer: Tensor) -> Tensor:
        transformed = torch.fft.rfft2(x.reshape(*x.shape[:-1], *self.image_shape))
        return torch.fft.irfft2(transformed * transfer.to(transformed), self.image_shape[1:]).flatten(-3)


class GaussianBlur(_Blur):
    """Convolution with a Gaussian, periodic at the border: m = n blurred pixels (deblurring)."""

    @classmethod
    def draw_for(cls, m: int, image_shape: Shape, rng: torch.Generator, *, sigma: float = 1.0) -> Self:
        """Nothing is random.

        Args:
            sigma: standard deviation in pixels, more than 0.
        """
        cls.setting(m, image_shape)
        cls.require(sigma > 0, "sigma", "more than 0", sigma)
        reach = int(TRUNCATE * sigma + 0.5)
        offsets = np.arange(-reach, reach + 1)
        weights = np.exp(-0.5 * (offsets / sigma) ** 2)
        down, across = (_wrapped(offsets, weights / weights.sum(), side) for side in image_shape[1:])
        return cls(torch.from_numpy(np.outer(down, across)), image_shape)


class MotionBlur(_Blur):
    """Convolution with a straight line, as of a camera that moves while its shutter is open, periodic at the border:
    m = n blurred pixels (deblurring).
    """

    @classmethod
    def draw_for(
        cls, m: int, image_shape: Shape, rng: torch.Generator, *, length: int = 9, angle: float | None = None
    ) -> Self:
        """The line is that many points one pixel apart, each shared among the four pixels around it bilinearly.

        Args:
            length: 1 or more; 1 is no blur.
            angle: of the line in degrees, counter-clockwise from horizontal; None: uniform in [0, 180) for each draw.
        """
        cls.setting(m, image_shape)
        cls.require(length >= 1, "length", "1 or more", length)
        if angle is None:
            angle = 180 * torch.rand(1, generator=rng, dtype=torch.float64).item()
        along = np.arange(length) - (length - 1) / 2
        kernel = np.zeros(image_shape[1:])
        for i, j in zip(-along * math.sin(math.radians(angle)), along * math.cos(math.radians(angle)), strict=True):
            down, across = (
                _wrapped(math.floor(at) + np.arange(2), np.array([1 - at % 1, at % 1]), side)
                for at, side in zip((i, j), image_shape[1:], strict=True)
            )
            kernel += np.outer(down, across) / length
        return cls(torch.from_numpy(kernel), image_shape)


def _wrapped(offsets: np.ndarray, weights: np.ndarray, side: int) -> np.ndarray:
    """A kernel on one axis of a periodic image, shape [side]."""
    kernel = np.zeros(side)
    np.add.at(kernel, offsets % side, weights)
    return kernel
