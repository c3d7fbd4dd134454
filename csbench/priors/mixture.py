"""A mixture of factor analysers (Ghahramani and Hinton 1996): soft planes that make up a manifold of images.

    x | c ~ N(mean_c, W_c W_c^T + diag(noise_c)),   c with probability weight_c

The columns of W_c, the factor loadings, span a plane through mean_c, and noise_c is what each pixel has beside it. For
y = A x + Gaussian noise the posterior is a mixture of Gaussians as well, so E[x | y] has a closed form (Chen, Silva,
Paisley, Wang, Dunson, Carin 2010; Yu, Sapiro, Mallat 2012). Fitted by expectation maximisation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.cluster.vq import kmeans2
from scipy.linalg import eigh
from torch import Tensor, nn

from csbench.core.seeding import stream
from csbench.priors import checkpoint
from csbench.training.checkpoints import Progress, TrainingState

ROWS_AT_ONCE = 2048  # of images, so that what is computed of them stays in the cache
CLUSTERED = 10_000  # images that k-means sees
NEGLIGIBLE = 1e-6  # a responsibility


@dataclass(frozen=True)
class Mixture:
    """A mixture of factor analysers.

    Attributes:
        weights: probabilities of the components, shape [components].
        means: shape [components, n].
        loadings: W_c, shape [components, n, factors].
        noise: variance of each pixel beside the factors, above zero, shape [components, n].
    """

    weights: Tensor
    means: Tensor
    loadings: Tensor
    noise: Tensor

    def to(self, device: torch.device) -> Mixture:
        """The same mixture on another device."""
        return Mixture(*(tensor.to(device) for tensor in self.tensors().values()))

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name."""
        return {name: getattr(self, name) for name in ("weights", "means", "loadings", "noise")}

    def components(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Weight, mean, loadings and noise of each component."""
        return zip(self.weights, self.means, self.loadings, self.noise, strict=True)

    def posterior_mean(self, matrix: Tensor, y: Tensor, noise_std: float) -> tuple[Tensor, Tensor]:
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
            ridge = max(noise_std**2, 1e-10 * system.diagonal().mean().item())  # without noise, against rounding
            system.diagonal().add_(ridge)
            root = torch.linalg.cholesky(system)
            white = torch.linalg.solve_triangular(root, (y - matrix @ mean).T, upper=False)
            log_det = 2 * root.diagonal().log().sum()
            evidences.append(weight.log() + _log_normal(white.square().sum(0), log_det, y.shape[1]))
            dual = torch.linalg.solve_triangular(root.T, white, upper=True).T
            estimates.append(mean + (dual @ factors) @ loadings.T + (dual @ matrix) * noise)
        probabilities = torch.stack(evidences, 1).softmax(1)
        return torch.einsum("bc,cbn->bn", probabilities, torch.stack(estimates)), probabilities

    def log_joint(self, x: Tensor) -> Tensor:
        """log of weight_c N(x; mean_c, S_c), shape [images, components], in x's dtype; logsumexp of a row is log p(x).

        By the Woodbury identity, so that an image costs n factors operations and not n^2.
        """
        return torch.cat([self._log_joint(part) for part in x.split(ROWS_AT_ONCE)])

    def log_likelihood(self, x: Tensor) -> float:
        """Mean of log p over the images x, shape [images, n]."""
        return self.log_joint(x).logsumexp(1).double().mean().item()

    def _log_joint(self, x: Tensor) -> Tensor:
        columns = []
        for weight, mean, loadings, noise in self.components():
            scaled = loadings / noise.sqrt()[:, None]
            root = torch.linalg.cholesky(_plus_identity(scaled.T @ scaled))
            explained = torch.linalg.solve_triangular(root, scaled.T, upper=False).T
            white = (x - mean.to(x)) * noise.rsqrt().to(x)
            distance = white.square().sum(1) - (white @ explained.to(x)).square().sum(1)
            log_det = noise.log().sum() + 2 * root.diagonal().log().sum()
            columns.append(weight.log() + _log_normal(distance, log_det, x.shape[1]))
        return torch.stack(columns, 1).to(x)


@dataclass(frozen=True)
class MixtureRecipe:
    """How a mixture of factor analysers is fitted.

    Attributes:
        components, factors: how many planes, and of what dimension.
        floor: least variance of a pixel beside the factors; pixels that are always black would have none.
        iterations: of expectation maximisation.
        inner: updates of loadings and noise within one iteration; they are cheap beside the rest.
        seed: of k-means, which the first responsibilities come from.
    """

    components: int = 30
    factors: int = 60
    floor: float = 1e-5
    iterations: int = 4
    inner: int = 3
    seed: int = 0


def fit(
    x: Tensor,
    recipe: MixtureRecipe,
    state_file: Path,
    *,
    resume: bool = False,
    report: Callable[[Progress], bool] = lambda progress: True,
) -> tuple[Mixture, int, float]:
    """Expectation maximisation from clusters of k-means; every iteration raises the likelihood of the images.

    In each, weights and means are set first and then, given these, loadings and noise (two cycles, as Tipping and
    Bishop 1999, appendix C, do for principal components).

    Args:
        x: images, shape [images, n], float32 or float64.
        state_file: written after every iteration.
        report: called after every iteration with the log-likelihood per image before it; False stops.

    Returns:
        the mixture in float64, the iterations that it has seen, and the seconds.
    """
    shape = (recipe.components, x.shape[1], recipe.factors)
    empty = Mixture(*(torch.empty(s, dtype=torch.float64) for s in (shape[:1], shape[:2], shape, shape[:2])))
    held = _Held(empty)
    state = TrainingState({"mixture": held}, {}, torch.Generator())
    done, seconds = state.restore(state_file, recipe) if resume and state_file.exists() else (0, 0.0)
    began = time.monotonic() - seconds
    mixture = held.mixture()
    while done < recipe.iterations:
        if done == 0:
            note, mixture = "", _update(x, _clusters(x, recipe), None, recipe)
        else:
            joint = mixture.log_joint(x)
            note = f"log-likelihood {joint.logsumexp(1).double().mean().item():.2f}"
            mixture = _update(x, joint.softmax(1), mixture, recipe)
        done += 1
        held.load_state_dict(mixture.tensors())
        state.store(state_file, recipe, done, time.monotonic() - began)
        if not report(Progress(done, recipe.iterations, note)):
            break
    return mixture, done, time.monotonic() - began


def _clusters(x: Tensor, recipe: MixtureRecipe) -> Tensor:
    """Responsibilities, zero or one, by k-means on some of the images, shape [images, components]."""
    chosen = torch.randperm(len(x), generator=stream("clusters", recipe.seed))[:CLUSTERED]
    rows = x[chosen].numpy()
    centres, _ = kmeans2(rows, recipe.components, iter=15, minit="++", seed=recipe.seed)  # type: ignore[call-arg]
    centres = torch.from_numpy(centres).to(x)
    nearest = (x @ centres.T - centres.square().sum(1) / 2).argmax(1)
    return nn.functional.one_hot(nearest, recipe.components).to(x)


def _update(x: Tensor, responsibilities: Tensor, before: Mixture | None, recipe: MixtureRecipe) -> Mixture:
    """The maximisation step; without loadings from before it starts from principal components of each component."""
    totals = responsibilities.double().sum(0)
    means = (responsibilities.T @ x).double() / totals[:, None]
    planes = []
    for c, mean in enumerate(means):
        rows = responsibilities[:, c] > NEGLIGIBLE
        centred = (x[rows] - mean.to(x)) * responsibilities[rows, c, None].sqrt()
        covariance = (centred.T @ centred).double() / totals[c]
        if before is None:
            loadings, noise = _principal(covariance, recipe)
        else:
            loadings, noise = before.loadings[c], before.noise[c]
        for _ in range(recipe.inner):
            loadings, noise = _factor_analysis(covariance, loadings, noise, recipe.floor)
        planes.append((loadings, noise))
    loadings, noise = (torch.stack(parts) for parts in zip(*planes, strict=True))
    return Mixture(totals / len(x), means, loadings, noise)


def _principal(covariance: Tensor, recipe: MixtureRecipe) -> tuple[Tensor, Tensor]:
    n = len(covariance)
    variances, vectors = eigh(covariance.numpy(), subset_by_index=(n - recipe.factors, n - 1))
    loadings = torch.from_numpy(vectors * variances.clip(0) ** 0.5)
    return loadings, (covariance.diagonal() - loadings.square().sum(1)).clamp_min(recipe.floor)


def _factor_analysis(covariance: Tensor, loadings: Tensor, noise: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """One step of expectation maximisation for a factor analyser (Rubin and Thayer 1982)."""
    scaled = loadings / noise[:, None]
    posterior = torch.linalg.solve(_plus_identity(loadings.T @ scaled), scaled.T)  # E[z | x] = posterior (x - mean)
    cross = covariance @ posterior.T
    second_moment = _plus_identity(posterior @ (cross - loadings))
    loadings = torch.linalg.solve(second_moment, cross.T).T
    return loadings, (covariance.diagonal() - (loadings * cross).sum(1)).clamp_min(floor)


def _log_normal(distance: Tensor, log_det: Tensor, length: int) -> Tensor:
    """log N of vectors of this length, from squared Mahalanobis distances and the log determinant."""
    return -(distance + log_det + length * math.log(2 * math.pi)) / 2


def _plus_identity(square: Tensor) -> Tensor:
    return square + torch.eye(len(square), dtype=square.dtype, device=square.device)


class _Held(nn.Module):
    """A mixture as the state of a module, which is what a training stores."""

    def __init__(self, mixture: Mixture):
        super().__init__()
        for name, tensor in mixture.tensors().items():
            self.register_buffer(name, tensor)

    def mixture(self) -> Mixture:
        return Mixture(**dict(self.named_buffers()))


def load(name: str) -> Mixture:
    """The stored mixture of this name, in float64.

    Raises:
        MissingWeights: nobody has fitted it.
    """
    return Mixture(**{key: value.double() for key, value in checkpoint.load(name)[0].items()})
