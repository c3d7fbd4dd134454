"""Orthonormal sparsifying transforms of images: theta = Psi(x), x = Psi.inverse(theta), each channel on its own.

An orthonormal transform of n = c h w pixels is applied to batches on the last axis, as operators are. At the sizes of
images it is kept as one matrix per axis, or per channel for wavelets, so that it runs in any dtype and on any device.
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

    def __call__(self, x: Tensor) -> Tensor:
        c, h, w = self.image_shape
        matrix = _wavelet_matrix(h, w, self.wavelet, self.level).to(x)
        return (x.reshape(*x.shape[:-1], c, h * w) @ matrix.T).reshape(x.shape)

    def inverse(self, theta: Tensor) -> Tensor:
        c, h, w = self.image_shape
        matrix = _wavelet_matrix(h, w, self.wavelet, self.level).to(theta)
        return (theta.reshape(*theta.shape[:-1], c, h * w) @ matrix).reshape(theta.shape)


@lru_cache
def _dct_matrix(n: int) -> Tensor:
    return torch.from_numpy(dct(np.eye(n), axis=0, norm="ortho"))


@lru_cache
def _wavelet_matrix(h: int, w: int, wavelet: str, level: int) -> Tensor:
    """Columns are the transforms of the unit images, float64, shape [h w, h w]."""
    units = np.eye(h * w).reshape(h * w, h, w)
    coefficients = pywt.wavedecn(units, wavelet, mode="periodization", level=level, axes=(1, 2))
    stacked, _ = pywt.coeffs_to_array(coefficients, axes=(1, 2))
    return torch.from_numpy(np.ascontiguousarray(stacked.reshape(h * w, h * w).T))


def _factors_of_two(n: int) -> int:
    return (n & -n).bit_length() - 1
