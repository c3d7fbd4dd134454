"""Computed tomography: sums of an image along parallel rays (Radon 1917)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from csbench.operators.image import ImageOperator, Shape

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class _SparseRows:
    """A sparse matrix by rows.

    Attributes:
        columns: int64, and weights: float64, shape [entries].
        starts: the first entry of each row, int64, shape [rows].
    """

    columns: Tensor
    starts: Tensor
    weights: Tensor

    @classmethod
    def of(cls, matrix: csr_array) -> Self:
        columns, starts = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indices, matrix.indptr[:-1]))
        return cls(columns, starts, torch.from_numpy(matrix.data))

    def to(self, device: torch.device) -> _SparseRows:
        return _SparseRows(self.columns.to(device), self.starts.to(device), self.weights.to(device))


class _Product(torch.autograd.Function):
    """x M^T for a sparse M, shape [batch, columns] -> [batch, rows]; its gradient is the product with the transpose.

    torch's own gradient of a sparse product takes a hundred times as long.
    """

    @staticmethod
    def forward(x: Tensor, matrix: _SparseRows, transpose: _SparseRows) -> Tensor:
        weights = matrix.weights.to(x)
        return F.embedding_bag(
            matrix.columns, x.T.contiguous(), matrix.starts, mode="sum", per_sample_weights=weights
        ).T.contiguous()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, ctx.matrix, ctx.transpose = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple:
        return _Product.apply(gradients[0], ctx.transpose, ctx.matrix), None, None


class Radon(ImageOperator):
    """Projections of each channel at equispaced angles in [0, 180): computed tomography (Radon 1917; Kak, Slaney 1988).

    A projection has d = ceil(sqrt(2) max(h, w)) detectors, one pixel apart, so that every pixel is seen at every angle.
    A detector reads the sum, in natural units (pixel values times pixels), of the image at points along its ray, one
    pixel apart, by bilinear interpolation. The image is 0 beyond its border.

    Args:
        angles: how many.
        image_shape: (c, h, w).
    """

    rows: ClassVar[str] = "angles c d for 1 ... 180 angles, d = ceil(sqrt(2) max(h, w))"
    cost: ClassVar[str] = "m sqrt(n)"
    adjoint_by: ClassVar[str] = "back-projection, transposed matrix"

    def __init__(self, angles: int, image_shape: Shape):
        super().__init__(image_shape[0] * angles * _detectors(image_shape), image_shape)
        rays = _ray_matrix(angles, image_shape)
        self.by_ray, self.by_pixel = _SparseRows.of(rays), _SparseRows.of(rays.T.tocsr())

    @classmethod
    def attainable(cls, image_shape: Shape) -> Mapping[int, int]:
        """m to the number of angles, at most one for every degree."""
        return {image_shape[0] * _detectors(image_shape) * angles: angles for angles in range(1, 181)}

    @classmethod
    def draw_for(cls, m: int, image_shape: Shape, rng: torch.Generator) -> Self:
        return cls(cls.setting(m, image_shape), image_shape)

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        moved = super().to(dtype, device)
        moved.by_ray, moved.by_pixel = self.by_ray.to(moved.device), self.by_pixel.to(moved.device)
        return moved

    def _apply(self, x: Tensor) -> Tensor:
        return self._product(x, self.by_ray, self.by_pixel)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._product(y, self.by_pixel, self.by_ray)

    def _product(self, x: Tensor, matrix: _SparseRows, transpose: _SparseRows) -> Tensor:
        channels = x.unflatten(-1, (-1, len(transpose.starts)))
        products = _Product.apply(channels.flatten(0, -2), matrix, transpose)
        return products.reshape(*channels.shape[:-1], len(matrix.starts)).flatten(-2)


def _detectors(image_shape: Shape) -> int:
    return math.ceil(math.sqrt(2) * max(image_shape[1:]))


def _ray_matrix(angles: int, image_shape: Shape) -> csr_array:
    """The weight of each pixel of a channel in each reading, shape [angles d, h w].

    The axis of rotation goes through the pixel (h // 2, w // 2) and through detector d // 2, and rays of the first
    angle run down the columns: the geometry of `skimage.transform.radon`.
    """
    from scipy.sparse import coo_array, csr_array  # takes a quarter of a second to import

    _, h, w = image_shape
    d = _detectors(image_shape)
    theta = math.pi * np.arange(angles)[:, None, None] / angles
    across, along = np.meshgrid(np.arange(d) - d // 2, np.arange(d) - d // 2, indexing="ij")
    i = h // 2 - across * np.sin(theta) + along * np.cos(theta)  # [angles, detectors, points]
    j = w // 2 + across * np.cos(theta) + along * np.sin(theta)
    readings = np.broadcast_to(np.arange(angles * d).reshape(angles, d, 1), i.shape)
    low_i, low_j = np.floor(i).astype(int), np.floor(j).astype(int)
    rays = csr_array((angles * d, h * w))
    for down in (0, 1):
        for right in (0, 1):
            at_i, at_j = low_i + down, low_j + right
            weights = (1 - np.abs(i - at_i)) * (1 - np.abs(j - at_j))
            inside = (at_i >= 0) & (at_i < h) & (at_j >= 0) & (at_j < w) & (weights > 0)
            where = readings[inside], (at_i * w + at_j)[inside]
            rays += coo_array((weights[inside], where), shape=rays.shape).tocsr()
    return rays
