"""Parts of the two-dimensional Fourier transform: what a magnetic resonance scanner measures.

The transform of a real image has the same value, but for conjugation, at k and at -k. So k-space is sampled at pairs of
opposite points, and of each pair only one is kept, as two rows: the real and the imaginary part of the orthonormal DFT,
times sqrt(2). A point that is its own opposite is real, and one row. These rows are orthonormal, all h w of them are an
orthonormal basis of the real images, and a set of P points gives P rows per channel. The common factor sqrt(n/m) makes
||A x||^2 = ||x||^2 in the mean over white images; natural images have their energy at the centre, and so more of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from itertools import count
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from csbench.core.operator import Picture
from csbench.operators.image import ImageOperator, Shape


class _SubsampledFourier(ImageOperator):
    """The DFT of each channel at the points of a mask.

    Per channel the rows are those with real parts and with imaginary parts of a point next to each other, points in the
    order of the mask.

    Args:
        mask: bool, shape [h, w], in the order of the FFT, the same at opposite points.
        image_shape: (c, h, w).
    """

    cost: ClassVar[str] = "n log n"
    adjoint_by: ClassVar[str] = "inverse FFT, zeros where not measured"
    picture_like: ClassVar[Picture] = "adjoint"

    def __init__(self, mask: Tensor, image_shape: Shape):
        c, h, w = image_shape
        super().__init__(c * int(mask.sum()), image_shape)
        points = mask.flatten().nonzero()[:, 0]
        opposite = (-(points // w) % h) * w + -(points % w) % w
        twice = torch.stack([opposite >= points, opposite > points], 1)  # whether real and imaginary part are rows
        self.parts = torch.stack([2 * points, 2 * points + 1], 1)[twice]  # of k-space as an array of real pairs
        pairs = (opposite > points)[:, None].expand(-1, 2)[twice]
        self.frame = self.shape[1] / self.shape[0]
        self.scale = math.sqrt(self.frame)
        self.weights = self.scale * torch.where(pairs, 2.0, 1.0).double().sqrt()

    def norm(self) -> float:
        return self.scale

    def _apply(self, x: Tensor) -> Tensor:
        images = x.reshape(*x.shape[:-1], *self.image_shape)
        pairs = torch.view_as_real(torch.fft.fft2(images, norm="ortho")).flatten(-3)
        return (self.weights.to(x) * pairs[..., self.parts]).flatten(-2)

    def _adjoint(self, y: Tensor) -> Tensor:
        c, h, w = self.image_shape
        parts = self.weights.to(y) * y.unflatten(-1, (c, -1))
        pairs = y.new_zeros(*y.shape[:-1], c, 2 * h * w).index_copy(-1, self.parts, parts)
        points = torch.view_as_complex(pairs.reshape(*pairs.shape[:-1], h, w, 2))
        return torch.fft.ifft2(points, norm="ortho").real.flatten(-3)


class CartesianFourier(_SubsampledFourier):
    """Random phase-encoding lines of k-space, denser towards the centre, whose lines are always there (Lustig, Donoho,
    Pauly 2007).

    A line is a whole row of k-space, and measures with it its conjugate on the other side of the centre. With the line
    through the centre itself, L lines give m = (2 L - 1) c w. For even h the line at h / 2 has no other side and is
    never measured.
    """

    rows: ClassVar[str] = "(2 lines - 1) c w for 1 ... h/2 lines"

    @classmethod
    def attainable(cls, image_shape: Shape) -> Mapping[int, int]:
        """m to the number of lines."""
        c, h, w = image_shape
        return {(2 * lines - 1) * c * w: lines for lines in range(1, (h + 1) // 2 + 1)}

    @classmethod
    def draw_for(
        cls, m: int, image_shape: Shape, rng: torch.Generator, *, centre: float = 0.08, power: float = 3.0
    ) -> Self:
        """Lines that are drawn without replacement, after those of the centre.

        Args:
            centre: the share of k-space's height, around its centre, that is always measured, as far as m allows.
            power: lines at the distance d, in 0 ... 1, from the centre have a density like (1 - d)^power.
        """
        _, h, w = image_shape
        lines = cls.setting(m, image_shape)
        cls.require(0 <= centre <= 1, "centre", "in [0, 1]", centre)
        cls.require(power >= 0, "power", "0 or more", power)
        distance = torch.arange((h + 1) // 2, dtype=torch.float64) / (h / 2)
        chance = torch.rand(len(distance), generator=rng, dtype=torch.float64)
        order = chance.log() / (1 - distance) ** power  # the largest are a weighted draw (Efraimidis, Spirakis 2006)
        order[distance <= centre] = 1 - distance[distance <= centre]
        chosen = order.topk(lines).indices
        mask = torch.zeros(h, w, dtype=torch.bool)
        mask[chosen] = True
        mask[-chosen % h] = True
        return cls(mask, image_shape)


class RadialFourier(_SubsampledFourier):
    """The points of k-space on equispaced lines through its centre, each line as points of the grid, one for every step
    along its steeper axis (Candes, Romberg, Tao 2006, figure 1).

    Nothing is random. For an even side the points at half its sampling frequency are never measured.
    """

    rows: ClassVar[str] = "c times the points on lines"

    @classmethod
    def attainable(cls, image_shape: Shape) -> Mapping[int, int]:
        """m to the number of lines, the least that gives it."""
        c, h, w = image_shape
        return {c * points: lines for points, lines in _radial_counts(h, w).items()}

    @classmethod
    def draw_for(cls, m: int, image_shape: Shape, rng: torch.Generator) -> Self:
        return cls(torch.from_numpy(_radial_mask(cls.setting(m, image_shape), *image_shape[1:])), image_shape)


def _radial_mask(lines: int, h: int, w: int) -> np.ndarray:
    """The points on so many lines, the first of them horizontal; bool, shape [h, w], in the order of the FFT."""
    down, across = (h - 1) // 2, (w - 1) // 2
    angles = math.pi * np.arange(lines) / lines
    directions = np.stack([np.sin(angles), np.cos(angles)])
    directions /= np.abs(directions).max(0)
    steps = np.arange(-max(down, across), max(down, across) + 1)
    i, j = np.rint(directions[:, :, None] * steps).astype(int)
    inside = (np.abs(i) <= down) & (np.abs(j) <= across)
    mask = np.zeros((h, w), dtype=bool)
    mask[i[inside], j[inside]] = True
    return mask


@lru_cache
def _radial_counts(h: int, w: int) -> dict[int, int]:
    """Points to lines, up to as many lines as leave no point out."""
    whole = (2 * ((h - 1) // 2) + 1) * (2 * ((w - 1) // 2) + 1)
    found: dict[int, int] = {}
    for lines in count(1):
        found.setdefault(int(_radial_mask(lines, h, w).sum()), lines)
        if whole in found:
            break
    return dict(sorted(found.items()))
