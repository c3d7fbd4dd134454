"""A mixture of factor analysers (Ghahramani and Hinton 1996): soft planes that make up a manifold of images.

    x | c ~ N(mean_c, W_c W_c^T + diag(noise_c)),   c with probability weight_c

The columns of W_c, the factor loadings, span a plane through mean_c, and noise_c is what each pixel has beside it. For
y = A x + Gaussian noise the posterior is a mixture of Gaussians as well, so E[x | y] has a closed form (Chen, Silva,
Paisley, Wang, Dunson, Carin 2010; Yu, Sapiro, Mallat 2012). `csbench.training.mixture` fits
it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from csbench.core.decoding import Decoding
from csbench.core.errors import CheckpointError
from csbench.priors import checkpoint

ROWS_AT_ONCE = 2048  # of images, so that what is computed of them stays in the cache
LEAST_RIDGE = 1e-200  # for an operator that sees nothing


@dataclass(frozen=True)
class Mixture:
    """A mixture of factor analysers.

    Attributes:
        weights: probabilities of the components, shape [components].
        means: shape [components, n].
        loadings: W_c, shape [components, n, factors].
        noise: variance of each pixel beside the factors, above zero, shape [components, n].
    """

    weights: Float[Tensor, " components"]
    means: Float[Tensor, "components n"]
    loadings: Float[Tensor, "components n factors"]
    noise: Float[Tensor, "components n"]

    def to(self, device: torch.device) -> Mixture:
        """The same mixture on another device."""
        return Mixture(*(tensor.to(device) for tensor in self.tensors().values()))

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name."""
        return {name: getattr(self, name) for name in ("weights", "means", "loadings", "noise")}

    def components(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Weight, mean, loadings and noise of each component."""
        return zip(self.weights, self.means, self.loadings, self.noise, strict=True)

    def posterior_mean(
        self, matrix: Float64[Tensor, "m n"], y: Float64[Tensor, "batch m"], noise_std: float
    ) -> tuple[Float64[Tensor, "batch n"], Float64[Tensor, "batch components"]]:
        """E[x | y] and the probabilities of the components given y.

        Each component is conditioned on y by one Cholesky factor of A S_c A^T + noise_std^2 I, shared by the batch; its
        probability is its weight times the evidence N(y; A mean_c, A S_c A^T + noise_std^2 I), normalised.

        Args:
            matrix: A, shape [m, n], float64.
            y: shape [batch, m], float64.
            noise_std: of each entry of the noise, zero or more.

        Returns:
            x_hat, shape [batch, n], and probabilities, shape [batch, components], float64.
        """
        evidences, estimates = [], []
        for weight, mean, loadings, noise in self.components():
            spread, factors = matrix * noise.sqrt(), matrix @ loadings
            system = torch.addmm(spread @ spread.T, factors, factors.T)
            ridge = max(
                noise_std**2, 1e-10 * system.diagonal().mean().item(), LEAST_RIDGE
            )  # without noise, against rounding
            system.diagonal().add_(ridge)
            root = torch.linalg.cholesky(system)
            white = torch.linalg.solve_triangular(root, (y - matrix @ mean).T, upper=False)
            log_det = 2 * root.diagonal().log().sum()
            evidences.append(weight.log() + _log_normal(white.square().sum(0), log_det, y.shape[1]))
            dual = torch.linalg.solve_triangular(root.T, white, upper=True).T
            estimates.append(mean + (dual @ factors) @ loadings.T + (dual @ matrix) * noise)
        probabilities = torch.stack(evidences, 1).softmax(1)
        return torch.einsum("bc,cbn->bn", probabilities, torch.stack(estimates)), probabilities

    def log_joint(self, x: Float[Tensor, "images n"]) -> Float[Tensor, "images components"]:
        """log of weight_c N(x; mean_c, S_c), shape [images, components], in x's dtype; logsumexp of a row is log p(x).

        By the Woodbury identity, so that an image costs n factors operations and not n^2.
        """
        return torch.cat([self._log_joint(part) for part in x.split(ROWS_AT_ONCE)])

    def log_likelihood(self, x: Float[Tensor, "images n"]) -> float:
        """Mean of log p over the images x, shape [images, n]."""
        return self.log_joint(x).logsumexp(1).double().mean().item()

    def _log_joint(self, x: Tensor) -> Tensor:
        columns = []
        for weight, mean, loadings, noise in self.components():
            scaled = loadings / noise.sqrt()[:, None]
            root = torch.linalg.cholesky(plus_identity(scaled.T @ scaled))
            explained = torch.linalg.solve_triangular(root, scaled.T, upper=False).T
            white = (x - mean.to(x)) * noise.rsqrt().to(x)
            distance = white.square().sum(1) - (white @ explained.to(x)).square().sum(1)
            log_det = noise.log().sum() + 2 * root.diagonal().log().sum()
            columns.append(weight.log() + _log_normal(distance, log_det, x.shape[1]))
        return torch.stack(columns, 1).to(x)


def _log_normal(distance: Tensor, log_det: Tensor, length: int) -> Tensor:
    """log N of vectors of this length, from squared Mahalanobis distances and the log determinant."""
    return -(distance + log_det + length * math.log(2 * math.pi)) / 2


def plus_identity(square: Tensor) -> Tensor:
    return square + torch.eye(len(square), dtype=square.dtype, device=square.device)


def load(name: str) -> Mixture:
    """The stored mixture of this name, in float64.

    Raises:
        MissingWeights: nobody has fitted it.
        CheckpointError: what is stored is no mixture.
    """
    tensors = {key: value.double() for key, value in checkpoint.load(name)[0].items()}
    with Decoding(CheckpointError, f"{name}.safetensors holds no mixture: "):
        components, n, factors = tensors["loadings"].shape
        shapes = {
            "weights": (components,),
            "means": (components, n),
            "loadings": (components, n, factors),
            "noise": (components, n),
        }
        if {key: tuple(value.shape) for key, value in tensors.items()} != shapes:
            raise CheckpointError(f"{name}.safetensors: the shapes of a mixture must be {shapes}; train again")
    return Mixture(**tensors)
