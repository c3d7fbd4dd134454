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

from csbench.core.errors import UsageError

LEAST_LEVELS = 2  # of decompositions, also where a filter is longer than the image, for it may go round several times
CLOSE = 1e-14  # entries of W W^T - I that are no more than rounding


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

    Where a side is odd, its last sample stays as it is and joins the averages, so that the transform is orthonormal for
    every side.

    Args:
        image_shape: (c, h, w).
        wavelet: an orthogonal wavelet of PyWavelets.
        level: decompositions, zero or more; None takes as many as halve both sides exactly, and no more than PyWavelets
            advises for the length of the filter (two for db4 on 28x28); where that is fewer than two, as many as are
            advised, and two at least if the shorter side, of those above one pixel, has four.

    Raises:
        UsageError: the wavelet is not orthogonal.
    """

    def __init__(self, image_shape: tuple[int, int, int], wavelet: str = "db4", level: int | None = None):
        check_wavelet(wavelet)
        self.image_shape = image_shape
        self.wavelet = wavelet
        if level is None:
            level = _suitable_levels(*image_shape[1:], wavelet)
        if level < 0:
            raise ValueError(f"level must be zero or more, got {level}")
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
        h, w = halved(split.shape[-2]), halved(split.shape[-1])
        return _with_corner(split, self._analyse(split[..., :h, :w], level - 1))

    def _synthesise(self, coefficients: Tensor, level: int) -> Tensor:
        if level == 0:
            return coefficients
        rows, columns = self._matrices(coefficients)
        h, w = halved(coefficients.shape[-2]), halved(coefficients.shape[-1])
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
    """One level on one axis, float64, shape [n, n]: averages, where n is odd the last sample, then details.

    Filters are tables, some of few digits or, as that of dmey, cut off. Newton's iteration takes what they make to the
    nearest orthogonal matrix (Higham 1986), and leaves alone what is orthogonal up to rounding.
    """
    half, low, even = n // 2, halved(n), n - n % 2
    averages, details = pywt.dwt(np.eye(max(even, 2)), wavelet, mode="periodization", axis=0)
    matrix = np.zeros((n, n))
    matrix[:half, :even], matrix[low:, :even] = averages[:half, :even], details[:half, :even]
    matrix[half:low, even:] = 1.0
    for _ in range(4):
        excess = matrix @ matrix.T - np.eye(n)
        matrix -= 0.5 * np.where(np.abs(excess) > CLOSE, excess, 0.0) @ matrix
    return torch.from_numpy(matrix)


def halved(side: int) -> int:
    """How many averages one level leaves of a side."""
    return (side + 1) // 2


def check_wavelet(wavelet: str) -> None:
    """
    Raises:
        UsageError: PyWavelets has no orthogonal wavelet of this name.
    """
    if not (wavelet in pywt.wavelist(kind="discrete") and pywt.Wavelet(wavelet).orthogonal):  # type: ignore[attr-defined]
        raise UsageError(
            f"wavelet: {wavelet!r} is no orthogonal wavelet of PyWavelets; take one of haar, db1 to db38, sym2 to "
            "sym20, coif1 to coif17 and dmey"
        )


def _suitable_levels(h: int, w: int, wavelet: str) -> int:
    """By the rule of the argument `level` of `Wavelet2`."""
    short = min((side for side in (h, w) if side > 1), default=1)
    advised = pywt.dwt_max_level(short, pywt.Wavelet(wavelet).dec_len)  # type: ignore[attr-defined]
    exact = min(advised, _factors_of_two(h), _factors_of_two(w))
    return max(exact, (exact < LEAST_LEVELS) * max(advised, min(LEAST_LEVELS, short.bit_length() - 1)))


def _with_corner(image: Tensor, corner: Tensor) -> Tensor:
    """A copy of the image with its upper left part replaced."""
    h, w = corner.shape[-2:]
    upper = torch.cat([corner, image[..., :h, w:]], -1)
    return torch.cat([upper, image[..., h:, :]], -2)


def _factors_of_two(n: int) -> int:
    return (n & -n).bit_length() - 1
