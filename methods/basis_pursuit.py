"""Two points of the Lasso's path that need no tuning: where it meets the noise, and where it ends.

With theta(alpha) = argmin 1/2 ||y - A Psi^T theta||^2 + alpha ||theta||_1 in an orthonormal basis Psi, the discrepancy
principle (Morozov 1966, 1984) takes the alpha at which ||y - A Psi^T theta|| is the expected norm of the noise.
Basis pursuit (Chen, Donoho, Saunders 1998) is the limit alpha -> 0: argmin ||theta||_1 subject to A Psi^T theta = y.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from csbench.core.measurement import Measurement
from csbench.core.method import Method, NotApplicable, Recovery
from csbench.core.prepared import prepared
from csbench.core.transforms import DCT2, PixelBasis, Transform
from csbench.solvers.lasso.path import LassoSolution, basis_pursuit, solve_discrepancy

MOST_PIXELS = 4096  # the path is followed on a Gram matrix of 8 n^2 bytes


@dataclass(frozen=True)
class _PathPoint(Method):
    """What both share.

    Attributes:
        clip: whether x_hat is clipped to [0, 1].
        tol: relative duality gap above which an image is flagged as not converged.
    """

    family: ClassVar[str] = "sparse"

    clip: bool = True
    tol: float = 1e-6

    def basis(self, image_shape: tuple[int, int, int]) -> Transform:
        """The orthonormal transform Psi in which images are taken to be sparse."""
        return DCT2(image_shape)

    @abstractmethod
    def point(self, given: Measurement, B: Tensor) -> LassoSolution:
        """The point of the path for the design B = A Psi^T, float64, shape [m, n]."""

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        if given.n > MOST_PIXELS:
            raise NotApplicable(f"follows the Lasso's path for at most {MOST_PIXELS} pixels; here are {given.n}")
        psi = self.basis(given.image_shape)
        solution = self.point(given, psi(given.A.matrix().double()))  # rows of A Psi^T are the transforms of A's
        x_hat = psi.inverse(solution.theta).to(given.y.dtype)
        return Recovery(x_hat.clamp(0, 1) if self.clip else x_hat, solution.diagnostics())


@dataclass(frozen=True)
class LassoDCTDiscrepancy(_PathPoint):
    """The Lasso in the 2-D DCT basis with the penalty at which the residual is as large as the noise (Morozov 1966).

    Tibshirani 1996 for the Lasso, Morozov 1984 for the principle. The noise level is known, so nothing is tuned.

    Papers: doi:10.1111/j.2517-6161.1996.tb02080.x, doi:10.1007/978-1-4612-5280-1
    """

    reference: ClassVar[bool] = True

    def point(self, given: Measurement, B: Tensor) -> LassoSolution:
        return solve_discrepancy(B, given.y, given.noise_norm, tol=self.tol)


@dataclass(frozen=True)
class BasisPursuitDCT(_PathPoint):
    """Basis pursuit in the 2-D DCT basis: the least l1 norm among all that explain y (Chen, Donoho, Saunders 1998).

    Papers: doi:10.1137/S1064827596304010
    """

    def point(self, given: Measurement, B: Tensor) -> LassoSolution:
        return basis_pursuit(B, given.y, tol=self.tol)


@dataclass(frozen=True)
class BasisPursuitPixel(BasisPursuitDCT):
    """Basis pursuit on the pixels themselves, for signals that are sparse as they are (Chen, Donoho, Saunders 1998).

    Papers: doi:10.1137/S1064827596304010
    """

    on_request: ClassVar[bool] = True

    def basis(self, image_shape: tuple[int, int, int]) -> Transform:
        return PixelBasis(image_shape)
