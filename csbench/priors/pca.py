"""A Gaussian prior on principal components: the linear baseline that every generator has to justify itself against.

    x ~ N(mean, V diag(variances - residual) V^T + residual I)

with the k leading principal components of the training images in V and the mean of the other variances as `residual`:
probabilistic PCA (Tipping and Bishop 1999). For y = A x + noise the posterior is Gaussian, and its mean, the estimate
with the least expected squared error under this prior, has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from csbench.priors import checkpoint


@dataclass(frozen=True)
class GaussianPrior:
    """Probabilistic PCA.

    Attributes:
        mean: shape [n].
        components: orthonormal rows, largest variance first, shape [k, n].
        variances: of the images along the components, shape [k].
        residual: variance along every other direction.
    """

    mean: Tensor
    components: Tensor
    variances: Tensor
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

    def posterior_mean(self, matrix: Tensor, y: Tensor, noise_std: float) -> Tensor:
        """E[x | y], shape [batch, n].

        mean + S A^T (A S A^T + noise_std^2 I)^-1 (y - A mean): of the two sides of the Woodbury identity the one with m
        and not n unknowns. The covariance S is never formed.

        Args:
            matrix: A, shape [m, n].
            y: shape [batch, m].
            noise_std: of each entry of the noise, zero or more.
        """
        projected = matrix @ self.components.T  # A V, shape [m, k]
        gain = projected * (self.variances - self.residual)
        covariance = gain @ projected.T + self.residual * (matrix @ matrix.T)
        ridge = max(noise_std**2, 1e-10 * covariance.diagonal().mean().item())  # without noise, against rounding
        covariance.diagonal().add_(ridge)
        weights = torch.cholesky_solve((y - self.mean @ matrix.T).T, torch.linalg.cholesky(covariance)).T
        return self.mean + (weights @ gain) @ self.components + self.residual * (weights @ matrix)


def load(name: str) -> GaussianPrior:
    """The stored prior of this name, in float64.

    Raises:
        MissingWeights: nobody has fitted it.
    """
    tensors = {key: value.double() for key, value in checkpoint.load(name)[0].items()}
    return GaussianPrior(tensors["mean"], tensors["components"], tensors["variances"], tensors["residual"].item())


def fit(x: Tensor, k: int) -> GaussianPrior:
    """Fit to images of shape [images, n] by the eigenvectors of their covariance, in float64."""
    mean = x.double().mean(0)
    centred = x.double() - mean
    variances, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    variances, vectors = variances.flip(0).clamp_min(0), vectors.flip(1)
    rest = variances[k:]
    return GaussianPrior(mean, vectors[:, :k].T.contiguous(), variances[:k], rest.mean().item() if len(rest) else 0.0)
