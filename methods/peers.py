"""`lasso-dct` solved by other libraries, for comparison and for trust; `pip install 'csbench[peers]'`.

They take long and add nothing to a leaderboard, so a suite runs them only where they are named:

    csbench run mnist-gaussian --methods lasso-dct,lasso-sklearn,lasso-cvxpy --images 5 --m 25,100
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch

from csbench.core.measurement import Measurement
from csbench.core.method import Method, Recovery
from csbench.core.prepared import prepared
from csbench.core.transforms import DCT2
from csbench.core.tuned import lookup
from csbench.solvers.lasso.path import duality_gap


@dataclass(frozen=True)
class _Peer(Method):
    """What both share: min 1/2 ||y - B theta||^2 + alpha ||theta||_1 with B = A Psi^T, Psi the 2-D DCT, image by image.

    Attributes:
        alpha: the penalty; None: the one that was tuned for `lasso-dct`.
        tol: relative duality gap above which an image is flagged as not converged.
    """

    family: ClassVar[str] = "sparse"
    reference: ClassVar[bool] = True

    alpha: float | None = None
    tol: float = 1e-6

    def bind(self, dataset: str, operator: str, noise_norm: float) -> Self:
        return (
            self
            if self.alpha is not None
            else replace(self, alpha=lookup("lasso-dct", dataset, operator, noise_norm) or 0.01)
        )

    @abstractmethod
    def fit(self, B: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
        """The minimiser for one image, shape [n]."""

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        psi, alpha = DCT2(given.image_shape), self.alpha or 0.01
        B, y = psi(given.A.matrix().double()), given.y.double()
        theta = torch.from_numpy(np.stack([self.fit(B.numpy(), row, alpha) for row in y.numpy()]))
        objective, gap, residual = duality_gap(B, y, alpha, theta)
        diagnostics = {"objective": objective, "duality_gap": gap, "residual": residual, "converged": gap <= self.tol}
        return Recovery(psi.inverse(theta).clamp(0, 1).to(given.y.dtype), diagnostics)


@dataclass(frozen=True)
class LassoSklearn(_Peer):
    """`lasso-dct` by the coordinate descent of scikit-learn (Tibshirani 1996; Pedregosa et al. 2011).

    Papers: doi:10.1111/j.2517-6161.1996.tb02080.x, arXiv:1201.0490
    """

    on_request: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("scikit-learn",)

    max_iter: int = 100_000

    def fit(self, B: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
        from csbench.solvers.lasso.by_sklearn import minimise  # not where the package is missing

        return minimise(B, y, alpha, tol=self.tol, iterations=self.max_iter)


@dataclass(frozen=True)
class LassoCvxpy(_Peer):
    """`lasso-dct` by the interior-point solver CLARABEL (Tibshirani 1996; Diamond, Boyd 2016; Goulart, Chen 2024).

    Papers: doi:10.1111/j.2517-6161.1996.tb02080.x, arXiv:1603.00943, arXiv:2405.12762
    """

    name: ClassVar[str] = "lasso-cvxpy"
    on_request: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("cvxpy",)

    def fit(self, B: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
        from csbench.solvers.lasso.by_cvxpy import minimise  # not where the package is missing

        return minimise(B, y, alpha)
