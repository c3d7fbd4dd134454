"""Greedy pursuit and hard thresholding in bases in which images are sparse, and on trees of wavelet coefficients.

All look for theta with at most k entries that explains y = A Psi^T theta + noise, and return x_hat = Psi^T theta.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from csbench.core.measurement import Measurement
from csbench.core.method import NotApplicable, Recovery
from csbench.core.prepared import prepared
from csbench.core.transforms import DCT2, PixelBasis, Transform, Wavelet2, check_wavelet
from csbench.core.tunable import GridMethod
from csbench.solvers.sparse.greedy import SparseSolution, cosamp, iht, omp

OVERSAMPLING = 2.0  # where nothing was tuned; close to what was
MOST_PIXELS = 4096  # of methods that share a Gram matrix of 8 n^2 bytes among the images


@dataclass(frozen=True)
class _Greedy(GridMethod):
    """What all share.

    Attributes:
        k: how many coefficients may differ from zero, where that is known of the signals. None: the most of which there
            are `oversampling` k log(n / k) measurements, the number that theory asks for up to its constant (Candes,
            Romberg, Tao 2006), and at least one.
        oversampling: that constant. None: `bind` takes the one that `csbench tune` found on validation images for this
            dataset, operator family and noise; without one, 2.
        clip: whether x_hat is clipped to [0, 1].
    """

    family: ClassVar[str] = "sparse"
    tunes: ClassVar[str] = "oversampling"
    grid: ClassVar[tuple[float, ...]] = (
        0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.25, 2.5, 3.0, 4.0, 5.0, 8.0, 12.0, 20.0, 40.0,
    )  # fmt: skip

    k: int | None = None
    oversampling: float | None = None
    clip: bool = True

    @abstractmethod
    def basis(self, image_shape: tuple[int, int, int]) -> Transform:
        """The orthonormal transform Psi in which images are taken to be sparse."""

    @abstractmethod
    def solve(self, given: Measurement, psi: Transform, k: int) -> SparseSolution:
        """theta with at most k entries that are not zero."""

    def bind(self, dataset: str, operator: str, noise_norm: float) -> Self:
        return self if self.k is not None else super().bind(dataset, operator, noise_norm)

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        psi = self.basis(given.image_shape)
        solution = self.solve(given, psi, self.k or self.affordable(*given.A.shape))
        x_hat = psi.inverse(solution.theta).to(given.y.dtype)
        return Recovery(x_hat.clamp(0, 1) if self.clip else x_hat, solution.diagnostics())

    def affordable(self, m: int, n: int) -> int:
        """k for so many measurements, by the rule of the field `k`; at most n / e, where k log(n / k) is largest."""
        k = np.arange(1, int(n / math.e) + 1)
        return max(1, int(np.sum((self.oversampling or OVERSAMPLING) * k * np.log(n / k) <= m)))


def _design(given: Measurement, psi: Transform) -> Tensor:
    """B = A Psi^T, float64, shape [m, n]: its rows are the transforms of A's."""
    if given.n > MOST_PIXELS:
        raise NotApplicable(f"works on a Gram matrix of at most {MOST_PIXELS} pixels; here are {given.n}")
    return psi(given.A.matrix().double())


@dataclass(frozen=True)
class _InPixels(_Greedy):
    def basis(self, image_shape: tuple[int, int, int]) -> Transform:
        return PixelBasis(image_shape)


@dataclass(frozen=True)
class _InDCT(_Greedy):
    def basis(self, image_shape: tuple[int, int, int]) -> Transform:
        return DCT2(image_shape)


@dataclass(frozen=True)
class _InWavelets(_Greedy):
    """
    Attributes:
        wavelet: an orthogonal wavelet of PyWavelets.
    """

    wavelet: str = "db4"

    def __post_init__(self) -> None:
        check_wavelet(self.wavelet)

    def basis(self, image_shape: tuple[int, int, int]) -> Wavelet2:
        return Wavelet2(image_shape, self.wavelet)


@dataclass(frozen=True)
class _Omp(_Greedy):
    def solve(self, given: Measurement, psi: Transform, k: int) -> SparseSolution:
        return omp(_design(given, psi), given.y, k, noise_norm=given.noise_norm)


@dataclass(frozen=True)
class _Cosamp(_Greedy):
    """
    Attributes:
        iterations: at most.
    """

    iterations: int = 50

    def solve(self, given: Measurement, psi: Transform, k: int) -> SparseSolution:
        noise_norm, iterations = given.noise_norm, self.iterations
        return cosamp(_design(given, psi), given.y, k, noise_norm=noise_norm, iterations=iterations)


@dataclass(frozen=True)
class _Iht(_Greedy):
    """
    Attributes:
        iterations: at most.
        tol: change of theta in an iteration, relative to its norm, at which they end.
    """

    iterations: int = 500
    tol: float = 1e-5

    def solve(self, given: Measurement, psi: Transform, k: int) -> SparseSolution:
        noise_norm, iterations = given.noise_norm, self.iterations
        return iht(given.A, given.y, psi, k, noise_norm=noise_norm, iterations=iterations, tol=self.tol)


@dataclass(frozen=True)
class OmpPixel(_Omp, _InPixels):
    """Orthogonal matching pursuit on the pixels themselves (Pati et al. 1993; Tropp and Gilbert 2007).

    Papers: doi:10.1109/ACSSC.1993.342465, doi:10.1109/TIT.2007.909108
    """

    on_request: ClassVar[bool] = True


@dataclass(frozen=True)
class OmpDCT(_Omp, _InDCT):
    """Orthogonal matching pursuit in the orthonormal 2-D DCT basis (Pati et al. 1993; Tropp and Gilbert 2007).

    Papers: doi:10.1109/ACSSC.1993.342465, doi:10.1109/TIT.2007.909108
    """


@dataclass(frozen=True)
class OmpWavelet(_Omp, _InWavelets):
    """Orthogonal matching pursuit in a Daubechies wavelet basis (Pati et al. 1993; Tropp and Gilbert 2007).

    Papers: doi:10.1109/ACSSC.1993.342465, doi:10.1109/TIT.2007.909108, doi:10.1002/cpa.3160410705
    """


@dataclass(frozen=True)
class CosampPixel(_Cosamp, _InPixels):
    """CoSaMP on the pixels themselves (Needell and Tropp 2009).

    Papers: doi:10.1016/j.acha.2008.07.002
    """

    on_request: ClassVar[bool] = True


@dataclass(frozen=True)
class CosampDCT(_Cosamp, _InDCT):
    """CoSaMP in the orthonormal 2-D DCT basis (Needell and Tropp 2009).

    Papers: doi:10.1016/j.acha.2008.07.002
    """


@dataclass(frozen=True)
class CosampWavelet(_Cosamp, _InWavelets):
    """CoSaMP in an orthonormal Daubechies wavelet basis (Needell and Tropp 2009).

    Papers: doi:10.1016/j.acha.2008.07.002, doi:10.1002/cpa.3160410705
    """


@dataclass(frozen=True)
class ModelCosampWavelet(_Cosamp, _InWavelets):
    """Model-based CoSaMP on rooted trees of Daubechies wavelet coefficients (Baraniuk, Cevher, Duarte, Hegde 2010).

    Large coefficients of an image persist from a level to the next finer one, so supports are restricted to those that
    hold the parent of each coefficient. The best such support is found exactly, see
    `csbench.solvers.sparse.wavelet_trees`. Needell and Tropp 2009 for CoSaMP.

    Papers: doi:10.1109/TIT.2010.2040894, doi:10.1016/j.acha.2008.07.002, doi:10.1002/cpa.3160410705
    """

    def solve(self, given: Measurement, psi: Transform, k: int) -> SparseSolution:
        from csbench.solvers.sparse.wavelet_trees import wavelet_trees  # imports numba, which takes a second

        trees = wavelet_trees(given.image_shape, self.basis(given.image_shape).level)
        B, noise_norm, iterations = _design(given, psi), given.noise_norm, self.iterations
        return cosamp(B, given.y, k, noise_norm=noise_norm, project=trees.project, iterations=iterations)


@dataclass(frozen=True)
class IhtPixel(_Iht, _InPixels):
    """Normalised iterative hard thresholding on the pixels themselves (Blumensath and Davies 2009, 2010).

    Papers: doi:10.1016/j.acha.2009.04.002, doi:10.1109/JSTSP.2010.2042411
    """

    on_request: ClassVar[bool] = True


@dataclass(frozen=True)
class IhtWavelet(_Iht, _InWavelets):
    """Normalised iterative hard thresholding in a Daubechies wavelet basis (Blumensath and Davies 2009, 2010).

    Papers: doi:10.1016/j.acha.2009.04.002, doi:10.1109/JSTSP.2010.2042411, doi:10.1002/cpa.3160410705
    """
