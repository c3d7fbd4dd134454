"""Fits a mixture of factor analysers to images by expectation maximisation (Ghahramani and Hinton 1996)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.cluster.vq import kmeans2
from scipy.linalg import eigh
from torch import Tensor, nn

from csbench.core.seeding import stream
from csbench.priors.mixture import Mixture, plus_identity
from csbench.training.checkpoints import Progress, TrainingState

CLUSTERED = 10_000  # images that k-means sees
NEGLIGIBLE = 1e-6  # a responsibility


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
    posterior = torch.linalg.solve(plus_identity(loadings.T @ scaled), scaled.T)  # E[z | x] = posterior (x - mean)
    cross = covariance @ posterior.T
    second_moment = plus_identity(posterior @ (cross - loadings))
    loadings = torch.linalg.solve(second_moment, cross.T).T
    return loadings, (covariance.diagonal() - (loadings * cross).sum(1)).clamp_min(floor)


class _Held(nn.Module):
    """A mixture as the state of a module, which is what a training stores."""

    def __init__(self, mixture: Mixture):
        super().__init__()
        for name, tensor in mixture.tensors().items():
            self.register_buffer(name, tensor)

    def mixture(self) -> Mixture:
        return Mixture(**dict(self.named_buffers()))
