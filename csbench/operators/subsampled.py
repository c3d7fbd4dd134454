"""Random rows of fast orthonormal transforms: as good as Gaussian ones for most purposes, and never a matrix."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import lru_cache
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from csbench.core.errors import UsageError
from csbench.operators.free import MatrixFree


class _Subsampled(MatrixFree):
    """m random rows of an orthonormal matrix with N rows, times sqrt(N/m) so that E||A x||^2 = ||x||^2.

    Args:
        kept: int64, shape [m], distinct rows in 0 ... N - 1.
        size: N, n or more; where it is more, the signal is continued by zeros.
        n: length of the signal.
    """

    rows: ClassVar[str] = "1 ... n"
    cost: ClassVar[str] = "n log n"
    mixes: ClassVar[bool] = True

    def __init__(self, kept: Tensor, size: int, n: int):
        super().__init__(len(kept), n)
        self.kept, self.size = kept, size
        self.scale = math.sqrt(size / len(kept))

    def norm(self) -> float:
        return self.scale if self.size == self.shape[1] else super().norm()

    @abstractmethod
    def _transform(self, x: Tensor) -> Tensor:
        """The orthonormal transform of a signal, shape [..., n] -> [..., N]."""

    @abstractmethod
    def _transposed(self, z: Tensor) -> Tensor:
        """Its transpose, shape [..., N] -> [..., n]."""

    def _apply(self, x: Tensor) -> Tensor:
        return self.scale * self._transform(x)[..., self.kept]

    def _adjoint(self, y: Tensor) -> Tensor:
        z = y.new_zeros(*y.shape[:-1], self.size).index_copy(-1, self.kept, self.scale * y)
        return self._transposed(z)

    @classmethod
    def _choose(cls, m: int, size: int, rng: torch.Generator) -> Tensor:
        """m of `size` rows."""
        if not 1 <= m <= size:
            raise UsageError(f"{cls.name} has 1 to {size} rows here, not m = {m}; the nearest is m = {max(1, size)}")
        return torch.randperm(size, generator=rng)[:m].sort().values


class SubsampledDCT(_Subsampled):
    """Random signs, then m random rows of the orthonormal DCT-II of the flattened image (Do, Gan, Nguyen, Tran 2012).

    The signs spread the energy of an image, which its own DCT holds in a few places, over all rows.

    Args:
        signs: +1 or -1, float64, shape [n].
        kept: int64, shape [m], distinct rows in 0 ... n - 1.
    """

    adjoint_by: ClassVar[str] = "inverse DCT, signs"

    def __init__(self, signs: Tensor, kept: Tensor):
        super().__init__(kept, len(signs), len(signs))
        self.frame = len(signs) / len(kept)
        self.signs = signs

    @classmethod
    def draw(cls, m: int, n: int, rng: torch.Generator) -> Self:
        return cls(_signs(n, rng), cls._choose(m, n, rng))

    def _transform(self, x: Tensor) -> Tensor:
        return dct(self.signs.to(x) * x)

    def _transposed(self, z: Tensor) -> Tensor:
        return self.signs.to(z) * inverse_dct(z)


class SubsampledHadamard(_Subsampled):
    """Random signs, then m random rows of the orthonormal Walsh-Hadamard matrix (Do, Gan, Nguyen, Tran 2012).

    Where n is no power of two the signal is continued by zeros to the next, N.

    Args:
        signs: +1 or -1, float64, shape [n].
        kept: int64, shape [m], distinct rows in 0 ... N - 1.
    """

    rows: ClassVar[str] = "1 ... N, the power of two from n on"
    cost: ClassVar[str] = "n^1.5"
    adjoint_by: ClassVar[str] = "the same transform, signs"

    def __init__(self, signs: Tensor, kept: Tensor):
        super().__init__(kept, _power_of_two(len(signs)), len(signs))
        self.signs = signs

    @classmethod
    def draw(cls, m: int, n: int, rng: torch.Generator) -> Self:
        return cls(_signs(n, rng), cls._choose(m, _power_of_two(n), rng))

    def _transform(self, x: Tensor) -> Tensor:
        return walsh_hadamard(F.pad(self.signs.to(x) * x, (0, self.size - self.shape[1])))

    def _transposed(self, z: Tensor) -> Tensor:
        return self.signs.to(z) * walsh_hadamard(z)[..., : self.shape[1]]


class PartialCirculant(_Subsampled):
    """Circular convolution with a random pulse of flat spectrum, then m random samples (Romberg 2009).

    Args:
        spectrum: of the pulse, complex128 of modulus 1, shape [n // 2 + 1]; real where a real pulse's is.
        kept: int64, shape [m], distinct samples in 0 ... n - 1.
        n: length of the signal.
    """

    adjoint_by: ClassVar[str] = "correlation with the pulse"

    def __init__(self, spectrum: Tensor, kept: Tensor, n: int):
        super().__init__(kept, n, n)
        self.frame = n / len(kept)
        self.spectrum = spectrum

    @classmethod
    def draw(cls, m: int, n: int, rng: torch.Generator) -> Self:
        """Phases are uniform, and signs where the spectrum of a real pulse is real: at 0, and at n / 2 for even n."""
        phases = 2 * math.pi * torch.rand((n - 1) // 2, generator=rng, dtype=torch.float64)
        signs = _signs(2 - n % 2, rng).to(torch.complex128)
        spectrum = torch.cat([signs[:1], torch.polar(torch.ones_like(phases), phases), signs[1:]])
        return cls(spectrum, cls._choose(m, n, rng), n)

    def _transform(self, x: Tensor) -> Tensor:
        transformed = torch.fft.rfft(x)
        return torch.fft.irfft(self.spectrum.to(transformed) * transformed, self.size)

    def _transposed(self, z: Tensor) -> Tensor:
        transformed = torch.fft.rfft(z)
        return torch.fft.irfft(self.spectrum.conj().to(transformed) * transformed, self.size)


def dct(x: Tensor) -> Tensor:
    """The orthonormal DCT-II on the last axis, by one real FFT of the same length (Makhoul 1980)."""
    n = x.shape[-1]
    order, _, twiddle = _makhoul(n)
    spectrum = torch.fft.rfft(x[..., order.to(x.device)])
    spectrum = twiddle.to(spectrum) * spectrum  # at k: coefficient k, minus i times coefficient n - k
    return torch.cat([spectrum.real, -spectrum.imag[..., 1 : (n + 1) // 2].flip(-1)], -1)


def inverse_dct(coefficients: Tensor) -> Tensor:
    """The inverse, and transpose, of `dct`."""
    n = coefficients.shape[-1]
    _, back, twiddle = _makhoul(n)
    mirrored = F.pad(coefficients[..., (n + 1) // 2 :].flip(-1), (1, 0))
    spectrum = torch.complex(coefficients[..., : n // 2 + 1], -mirrored)
    return torch.fft.irfft(spectrum / twiddle.to(spectrum), n)[..., back.to(coefficients.device)]


def walsh_hadamard(x: Tensor) -> Tensor:
    """The orthonormal Walsh-Hadamard transform (Sylvester's order) on the last axis, of length N = 2^k.

    It is a Kronecker product of two transforms of length about sqrt(N), and applied as two matrix products. At the
    length of an image these take less time than k passes of butterflies over memory.
    """
    k = x.shape[-1].bit_length() - 1
    rows, columns = _hadamard(2 ** (k // 2)).to(x), _hadamard(2 ** (k - k // 2)).to(x)
    return (rows @ x.reshape(*x.shape[:-1], len(rows), len(columns)) @ columns).reshape(x.shape)


@lru_cache
def _makhoul(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Even samples and then odd ones backwards; the inverse permutation; the factors that make an FFT a DCT."""
    order = torch.cat([torch.arange(0, n, 2), torch.arange(1, n, 2).flip(0)])
    angles = torch.arange(n // 2 + 1, dtype=torch.float64) * (-math.pi / (2 * n))
    size = torch.full_like(angles, math.sqrt(2 / n))
    size[0] = math.sqrt(1 / n)
    return order, order.argsort(), torch.polar(size, angles)


@lru_cache
def _hadamard(size: int) -> Tensor:
    from scipy.linalg import hadamard

    return torch.from_numpy(hadamard(size) / math.sqrt(size))


def _power_of_two(n: int) -> int:
    """The least that is n or more."""
    return 1 << (n - 1).bit_length()


def _signs(n: int, rng: torch.Generator) -> Tensor:
    return 2 * torch.randint(2, (n,), generator=rng, dtype=torch.float64) - 1
