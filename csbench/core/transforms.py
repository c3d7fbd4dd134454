"""Orthonormal sparsifying transforms of images: theta = Psi(x), x = Psi.inverse(theta), each channel on its own.

An orthonormal transform of n = c h w pixels is applied to batches on the last axis, as operators are. It is kept as one
matrix per axis (and per level, for wavelets), so that it is small, and runs in any dtype, on any device and backwards.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
import pywt
import torch
from scipy.fft import dct
from torch import Tensor


class Transform(Protocol):
    """An orthonormal map R^n -> R^n: its adjoint is its inverse."""

    def __call__(self, x: Tensor) -> Tensor:
        """theta = Psi x, shape [..., n] -> [..., n]."""
        ...

    def inverse(self, theta: Tensor) -> Tensor:
        """x = Psi^T theta, shape [..., n] -> [..., n]."""
        ...


class PixelBasis:
    """The identity: the image itself is sparse."""

    def __init__(self, image_shape: tuple[int, int, int]):
        self.image_shape = image_shape

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def inverse(self, theta: Tensor) -> Tensor:
        return theta


class DCT2:
    """The orthonormal two-dimensional DCT-II of each channel (Ahmed, Natarajan, Rao 1974).

    Args:
        image_shape: (c, h, w).
    """

    def __init__(self, image_shape: tuple[int, int, int]):
        self.image_shape = image_shape

    def __call__(self, x: Tensor) -> Tensor:
        rows, columns = self._matrices(x)
        return (rows @ x.reshape(*x.shape[:-1], *self.image_shape) @ columns.T).reshape(x.shape)

    def inverse(self, theta: Tensor) -> Tensor:
        rows, columns = self._matrices(theta)
        return (rows.T @ theta.reshape(*theta.shape[:-1], *self.image_shape) @ columns).reshape(theta.shape)

    def _matrices(self, like: Tensor) -> tuple[Tensor, Tensor]:
        _, h, w = self.image_shape
        return _dct_matrix(h).to(like), _dct_matrix(w).to(like)


class Wavelet2:
    """The orthonormal two-dimensional wavelet transform of each channel, periodised (Daubechies 1988; Mallat 1989).

    Args:
        image_shape: (c, h, w).
        wavelet: an orthogonal wavelet of PyWavelets.
        level: decompositions; None takes as many as halve both sides exactly, for only those keep the transform
            orthonormal, and no more than PyWavelets advises for the length of the filter (two for db4 on 28x28).
    """

    def __init__(self, image_shape: tuple[int, int, int], wavelet: str = "db4", level: int | None = None):
        _, h, w = image_shape
        self.image_shape = image_shape
        self.wavelet = wavelet
        if level is None:
            advised = pywt.dwt_max_level(min(h, w), pywt.Wavelet(wavelet).dec_len)  # type: ignore[attr-defined]
            level = min(advised, _factors_of_two(h), _factors_of_two(w))
        self.level = level

        if h % 2**level or w % 2**level:
            raise ValueError(f"{level} levels do not halve {h}x{w} exactly, and the transform would not be orthonormal")
        self.level = level

    def __call__(self, x: Tensor) -> Tensor:
        image = x.reshape(*x.shape[:-1], *self.image_shape)
        return self._analyse(image, self.level).reshape(x.shape)

    def inverse(self, theta: Tensor) -> Tensor:
        coefficients = theta.reshape(*theta.shape[:-1], *self.image_shape)
        return self._synthesise(coefficients, self.level).reshape(theta.shape)

    def _analyse(self, image: Tensor, level: int) -> Tensor:
        if level == 0:
            return image
        rows, columns = self._matrices(image)
        split = rows @ image @ columns.T
        h, w = split.shape[-2] // 2, split.shape[-1] // 2
        return _with_corner(split, self._analyse(split[..., :h, :w], level - 1))

    def _synthesise(self, coefficients: Tensor, level: int) -> Tensor:
        if level == 0:
            return coefficients
        rows, columns = self._matrices(coefficients)
        h, w = coefficients.shape[-2] // 2, coefficients.shape[-1] // 2
        split = _with_corner(coefficients, self._synthesise(coefficients[..., :h, :w], level - 1))
        return rows.T @ split @ columns

    def _matrices(self, like: Tensor) -> tuple[Tensor, Tensor]:
        h, w = like.shape[-2:]
        return _wavelet_matrix(h, self.wavelet).to(like), _wavelet_matrix(w, self.wavelet).to(like)


@lru_cache
def _dct_matrix(n: int) -> Tensor:
    return torch.from_numpy(dct(np.eye(n), axis=0, norm="ortho"))


@lru_cache
def _wavelet_matrix(n: int, wavelet: str) -> Tensor:
    """One level on one axis, float64, shape [n, n]: n / 2 averages, then n / 2 details."""
    averages, details = pywt.dwt(np.eye(n), wavelet, mode="periodization", axis=0)
    return torch.from_numpy(np.concatenate([averages, details]))


def _with_corner(image: Tensor, corner: Tensor) -> Tensor:
    """A copy of the image with its upper left part replaced."""
    h, w = corner.shape[-2:]
    upper = torch.cat([corner, image[..., :h, w:]], -1)
    return torch.cat([upper, image[..., h:, :]], -2)


def _factors_of_two(n: int) -> int:
    return (n & -n).bit_length() - 1
