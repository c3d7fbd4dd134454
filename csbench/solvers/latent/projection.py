"""The representation error of a prior: how near an image the range of its generator comes.

    min over z of ||x - G(z)||^2 / n

is what recovery in the range of G cannot get below, however many measurements there are (Bora et al. 2017, section
5.3). It is found by the search of `csbench.solvers.latent.quasi_newton`, with the image itself in place of
measurements, more starts and more steps, so it is an upper bound of the minimum.
"""

from __future__ import annotations

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from csbench.core.dataset import Dataset, Split
from csbench.core.errors import UsageError
from csbench.core.seeding import stream
from csbench.operators import Identity
from csbench.priors.generator import Generator, load_prior
from csbench.solvers.latent.csgm import LatentSearch, LatentSolution, search_latent
from csbench.solvers.latent.quasi_newton import FastSearch, search_latent_fast

SEARCH = FastSearch(restarts=10, rung=60, rungs=20, flat=1e-6, rough=0)
MISFIT_SEARCH = LatentSearch(restarts=4, steps=500, learning_rate=0.05, start="zero")
IMAGES_AT_ONCE = 32  # memory


def nearest(x: Float[Tensor, "images n"], generator: Generator, *, rng: torch.Generator) -> LatentSolution:
    """The least ||x - G(z)||^2 that is found for every row of x.

    Args:
        x: images, shape [images, n].
        generator: on the CPU, its weights frozen.
        rng: draws the starts.
    """
    return search_latent_fast(Identity(generator.n), x, generator, 0.0, rng=rng, options=SEARCH)


def misfit(x: Float[Tensor, "images n"], generator: Generator, *, rng: torch.Generator) -> float:
    """Mean of ||x - G(z)||^2 / n over the rows of x, at the z that Adam finds: what its search leaves of an image.

    Methods that search by Adam take their penalty from it (`csgm-dcgan`). It is no less than the representation error,
    and four times as much for a convolutional VAE of digits.
    """
    whole = Identity(generator.n)
    parts = x.split(IMAGES_AT_ONCE)
    fits = [search_latent(whole, part, generator, 0.0, rng=rng, options=MISFIT_SEARCH).x_hat for part in parts]
    return (torch.cat(fits) - x).square().mean().item()


def representation_errors(name: str, dataset: Dataset, images: int, split: Split = "test") -> pd.DataFrame:
    """One row for each of the first images of a split.

    Args:
        name: of a trained generator.

    Returns:
        columns prior, dataset, split, image (its id), mse (per pixel, images in [0, 1]), restarts, steps (the most
        that are made), and sha256 of the weights.

    Raises:
        UsageError: the prior is of another image size, or the split has fewer images.
    """
    prior = load_prior(name)
    if prior.generator.n != dataset.n:
        raise UsageError(f"{name} makes images of {prior.generator.n} pixels, {dataset.name} has {dataset.n}")
    chosen = dataset.images(split)
    if images > len(chosen):
        raise UsageError(f"{images} {split} images asked for, {dataset.name} has {len(chosen)}")
    x = chosen[:images].signals()
    errors = (nearest(x, prior.generator, rng=stream("project", name)).x_hat - x).square().mean(1)
    return pd.DataFrame(
        {
            "prior": name,
            "dataset": dataset.name,
            "split": split,
            "image": chosen.ids[:images],
            "mse": errors.numpy(),
            "restarts": SEARCH.restarts,
            "steps": SEARCH.rung * SEARCH.rungs,
            "sha256": prior.card["sha256"],
        }
    )
