"""A Gaussian prior on principal components: the linear baseline that every generator has to justify itself against.

    x ~ N(mean, V diag(variances - residual) V^T + residual I)

with the k leading principal components of the training images in V and the mean of the other variances as `residual`:
probabilistic PCA (Tipping and Bishop 1999). For y = A x + noise the posterior is Gaussian, and its mean, the estimate
with the least expected squared error under this prior, has a closed form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from csbench.core.decoding import Decoding
from csbench.core.errors import CheckpointError
from csbench.priors import checkpoint

SOLVED_ROWS = 1024  # of A in float64 at a time
LEAST_RIDGE = 1e-200  # for an operator that sees nothing


@dataclass(frozen=True)
class GaussianPrior:
    """Probabilistic PCA.

    Attributes:
        mean: shape [n].
        components: orthonormal rows, largest variance first, shape [k, n].
        variances: of the images along the components, shape [k].
        residual: variance along every other direction.
    """

    mean: Float64[Tensor, " n"]
    components: Float64[Tensor, "k n"]
    variances: Float64[Tensor, " k"]
    residual: float

    def to(self, device: torch.device) -> GaussianPrior:
        """The same prior on another device."""
        return GaussianPrior(self.mean.to(device), self.components.to(device), self.variances.to(device), self.residual)

    def truncated(self, k: int) -> GaussianPrior:
        """With the first k components; what the others explain goes into the residual.

        Raises:
            ValueError: fewer than one or more than there are.
        """
        stored, n = self.components.shape
        if not 1 <= k <= stored:
            raise ValueError(f"k is 1 to {stored}, the components that are stored, not {k}")
        if k == stored:
            return self
        total = self.variances[k:].sum().item() + self.residual * (n - stored)
        return GaussianPrior(self.mean, self.components[:k], self.variances[:k], total / (n - k))

    def posterior_mean(
        self, matrix: Float[Tensor, "m n"], y: Float[Tensor, "batch m"], noise_std: float
    ) -> Float64[Tensor, "batch n"]:
        """E[x | y], float64, shape [batch, n].

        mean + S A^T (A S A^T + noise_std^2 I)^-1 (y - A mean): of the two sides of the Woodbury identity the one with m
        and not n unknowns. Neither the covariance S nor a float64 copy of A is ever formed, so that the m x m system,
        factored in place, is the largest thing in memory.

        Args:
            matrix: A, shape [m, n], float32 or float64.
            y: shape [batch, m].
            noise_std: of each entry of the noise, zero or more.
        """
        projected = torch.cat(
            [part.double() @ self.components.T for _, part in _row_blocks(matrix)]
        )  # A V, shape [m, k]
        gain = projected * (self.variances - self.residual)
        system = gain @ projected.T
        for i, rows in _row_blocks(matrix):
            rows = self.residual * rows.double()
            for j, others in _row_blocks(matrix[: i + SOLVED_ROWS]):  # the lower triangle is all that is read
                system[i : i + len(rows), j : j + len(others)] += rows @ others.double().T
        ridge = max(
            noise_std**2, 1e-10 * system.diagonal().mean().item(), LEAST_RIDGE
        )  # without noise, against rounding
        system.diagonal().add_(ridge)
        expected = torch.cat([part.double() @ self.mean for _, part in _row_blocks(matrix)])
        weights = _solve_in_place(system, y.double() - expected)
        back = torch.zeros(len(y), matrix.shape[1], dtype=torch.float64, device=y.device)
        for i, rows in _row_blocks(matrix):
            back += weights[:, i : i + len(rows)] @ rows.double()
        return self.mean + (weights @ gain) @ self.components + self.residual * back


def _row_blocks(matrix: Tensor) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(matrix), SOLVED_ROWS):
        yield start, matrix[start : start + SOLVED_ROWS]


def _solve_in_place(system: Tensor, right: Tensor) -> Tensor:
    """Rows of (system)^-1 right, for a symmetric system of which the lower triangle is read, and overwritten."""
    if system.device.type != "cpu":
        return torch.cholesky_solve(right.T, torch.linalg.cholesky(system)).T
    # the transpose is in Fortran's order, and its upper triangle is the lower one of the system
    factor = scipy.linalg.cholesky(system.numpy().T, lower=False, overwrite_a=True, check_finite=False)
    solution = scipy.linalg.cho_solve((factor, False), right.numpy().T, check_finite=False)
    return torch.from_numpy(np.ascontiguousarray(solution.T))


def load(name: str) -> GaussianPrior:
    """The stored prior of this name, in float64.

    Raises:
        MissingWeights: nobody has fitted it.
        CheckpointError: what is stored is no such prior.
    """
    tensors = {key: value.double() for key, value in checkpoint.load(name)[0].items()}
    with Decoding(CheckpointError, f"{name}.safetensors holds no Gaussian prior: "):
        k, n = tensors["components"].shape
        shapes = {"mean": (n,), "components": (k, n), "variances": (k,), "residual": ()}
        if {key: tuple(value.shape) for key, value in tensors.items()} != shapes:
            raise CheckpointError(f"{name}.safetensors: the shapes of a Gaussian prior must be {shapes}; train again")
    return GaussianPrior(tensors["mean"], tensors["components"], tensors["variances"], tensors["residual"].item())
