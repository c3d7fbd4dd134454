"""The Lasso in three bases: pixels, 2-D DCT and Daubechies wavelets.

All minimise 1/2 ||y - A Psi^T theta||^2 + alpha ||theta||_1 over theta and return x_hat = Psi^T theta. Small problems
are solved exactly by homotopy, large ones by ADMM and an active-set method; every image carries its duality gap.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch

from csbench.core.measurement import Measurement
from csbench.core.method import PathMethod, Recovery
from csbench.core.prepared import prepared
from csbench.core.transforms import DCT2, PixelBasis, Transform, Wavelet2, check_wavelet
from csbench.core.tuned import lookup
from csbench.solvers.lasso import path as lasso
from csbench.solvers.lasso.path import LassoSolution

# Homotopy takes between a fortieth and all of the time of ADMM at n = 784, and at n = 3072 between a seventh where few
# coefficients are active and more than all where nearly m are. Its Gram matrix takes 8 n^2 bytes: 1.2 GB for faces.
HOMOTOPY_PIXELS = 4096


@dataclass(frozen=True)
class _Lasso(PathMethod):
    """What the bases share.

    Attributes:
        alpha: the penalty. None: `bind` takes the one that `csbench tune` found on validation images for this dataset,
            operator family and noise; without one, the universal threshold noise_std sqrt(2 log n) (Donoho and
            Johnstone 1994), or alpha_max / 1000 where there is no noise.
        clip: whether x_hat is clipped to [0, 1].
        tol: relative duality gap above which an image is flagged as not converged, and at which iterations end.
    """

    family: ClassVar[str] = "sparse"
    reference: ClassVar[bool] = True

    alpha: float | None = None
    clip: bool = True
    tol: float = 1e-6

    @abstractmethod
    def basis(self, image_shape: tuple[int, int, int]) -> Transform:
        """The orthonormal transform Psi in which images are taken to be sparse."""

    def bind(self, dataset: str, operator: str, noise_norm: float) -> Self:
        bound = super().bind(dataset, operator, noise_norm)
        if self.alpha is None:
            return replace(bound, alpha=lookup(self.name, dataset, operator, noise_norm))
        return bound

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        return self.recover_path(given, [self.penalty(given)])[0]

    @prepared
    def recover_path(self, given: Measurement, alphas: list[float]) -> list[Recovery]:
        psi = self.basis(given.image_shape)
        recoveries = []
        for solution in self._solve(given, psi, alphas):
            x_hat = psi.inverse(solution.theta).to(given.y.dtype)
            recoveries.append(Recovery(x_hat.clamp(0, 1) if self.clip else x_hat, solution.diagnostics()))
        return recoveries

    def _solve(self, given: Measurement, psi: Transform, alphas: list[float]) -> list[LassoSolution]:
        A = given.A.matrix()
        if given.n > HOMOTOPY_PIXELS:
            from csbench.solvers.lasso import admm  # imports numba, which takes a second

            return admm.lasso_path(A, given.y, psi, alphas, tol=self.tol)
        B = psi(A.double())  # the rows of A Psi^T are the transforms of A's
        return lasso.lasso_path(B, given.y, alphas, tol=self.tol)

    def penalty(self, given: Measurement) -> float:
        """alpha for this problem, by the rule that the field `alpha` states."""
        if self.alpha is not None:
            return self.alpha
        if given.noise_std > 0:
            return given.noise_std * math.sqrt(2 * math.log(given.n))
        psi = self.basis(given.image_shape)
        return max(psi(given.A.adjoint(given.y)).abs().max().item() / 1000, 1e-12)


@dataclass(frozen=True)
class LassoPixel(_Lasso):
    """L1-penalised least squares on the pixels themselves (Tibshirani 1996).

    Papers: doi:10.1111/j.2517-6161.1996.tb02080.x
    """

    def basis(self, image_shape: tuple[int, int, int]) -> Transform:
        return PixelBasis(image_shape)


@dataclass(frozen=True)
class LassoDCT(_Lasso):
    """L1-penalised least squares in the orthonormal 2-D DCT basis (Tibshirani 1996; Candes, Romberg, Tao 2006).

    Papers: doi:10.1111/j.2517-6161.1996.tb02080.x, doi:10.1109/TIT.2005.862083
    """

    def basis(self, image_shape: tuple[int, int, int]) -> Transform:
        return DCT2(image_shape)


@dataclass(frozen=True)
class LassoWavelet(_Lasso):
    """L1-penalised least squares in an orthonormal Daubechies wavelet basis (Daubechies 1988; Tibshirani 1996).

    Attributes:
        wavelet: an orthogonal wavelet of PyWavelets.

    Papers: doi:10.1111/j.2517-6161.1996.tb02080.x, doi:10.1002/cpa.3160410705
    """

    wavelet: str = "db4"

    def __post_init__(self) -> None:
        check_wavelet(self.wavelet)

    def basis(self, image_shape: tuple[int, int, int]) -> Transform:
        return Wavelet2(image_shape, self.wavelet)


# The untuned setting of Bora et al. 2017: 0.1 in 1/2 ||y - A Psi^T theta||^2 + alpha ||theta||_1 with entries of A from
# N(0, 1/m), as here. Their code says the same in other units: scikit-learn minimises 1/(2m) ||y' - A' Psi^T theta||^2 +
# 0.1 ||theta||_1, where A' = sqrt(m) A has entries N(0, 1) and y' = sqrt(m) y, and the factor m cancels.
configurations = {"lasso-dct-paper": LassoDCT(alpha=0.1)}
