"""How good a generator is: the figures on its card besides those of its training."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from csbench.core.cards import written
from csbench.core.dataset import Dataset
from csbench.core.errors import MissingWeights
from csbench.core.files import write_atomically
from csbench.core.pictures import tile, write_png
from csbench.core.seeding import stream
from csbench.core.sound import sound_images
from csbench.priors import checkpoint
from csbench.priors.generator import load_prior
from csbench.solvers.latent.projection import misfit, representation_errors
from csbench.training.batches import as_floats
from csbench.training.classifier import (
    classify,
    frechet_distance,
    frechet_distance_error,
    inception_score,
    inception_score_error,
)
from csbench.training.classifier import load as load_classifier
from csbench.training.measured_examples import Use, simulate
from csbench.training.processes import MeasurementProcess

SAMPLES = 10_000
IMAGES = 32  # of each split


def assess(name: str, dataset: Dataset) -> dict[str, Any]:
    """Measure a trained generator, and put the figures on its card.

    Inception score and Frechet distance of 10,000 samples, where there is a classifier of the dataset; the
    representation error of test images; the misfit of validation images, the one of the two that recovery may use. For
    the classifier itself, the scores of as many training images, which no generator is expected to exceed.

    Returns:
        the figures that are new on the card.
    """
    if checkpoint.card(name).get("family") == "classifier":
        return _onto_card(name, real_quality(dataset))

    errors = representation_errors(name, dataset, IMAGES)["mse"].to_numpy()
    validation = sound_images(dataset, "validation")[:IMAGES].signals()
    figures: dict[str, Any] = {
        "representation_mse": round(errors.mean().item(), 6),
        "representation_mse_images": f"first {IMAGES} of the test split",
        "validation_representation_mse": round(
            misfit(validation, load_prior(name).generator, rng=stream("project", name)), 6
        ),
    }
    with contextlib.suppress(MissingWeights):  # nobody has trained a classifier of these images
        figures |= sample_quality(name, dataset)
    return _onto_card(name, figures)


def _onto_card(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    path = checkpoint.weights_path(name).with_suffix(".json")
    card = checkpoint.card(name)
    card["quality"] |= figures
    write_atomically(path, written(card))
    return figures


@torch.no_grad()
def sample_quality(name: str, dataset: Dataset) -> dict[str, Any]:
    """Inception score and Frechet distance of samples under the classifier of the dataset.

    Raises:
        MissingWeights: there is no classifier.
    """
    network = load_classifier(f"classifier-{dataset.name}")
    generator = load_prior(name).generator
    z = torch.randn(SAMPLES, generator.latent_dim, generator=stream("quality", name))
    probabilities, features = classify(network, torch.cat([generator(part) for part in z.split(500)]))
    _, real_features = classify(network, sound_images(dataset, "held out").signals())
    return _scores(probabilities, features, real_features)


@torch.no_grad()
def real_quality(dataset: Dataset) -> dict[str, Any]:
    """The same figures for as many training images: what a perfect generator would have.

    Raises:
        MissingWeights: there is no classifier.
    """
    network = load_classifier(f"classifier-{dataset.name}")
    images = sound_images(dataset, "training")
    rows = torch.randperm(len(images), generator=stream("quality", dataset.name))[:SAMPLES].numpy()
    x = as_floats(torch.from_numpy(images.pixels[rows])).flatten(1)
    _, real_features = classify(network, sound_images(dataset, "held out").signals())
    return _scores(*classify(network, x), real_features)


@torch.no_grad()
def measured_quality(dataset: Dataset, process: MeasurementProcess, use: Use) -> dict[str, Any]:
    """The same figures for measured or restored training images: those of a generator that learned them perfectly.

    Args:
        use: "ignore" for the measurements themselves, "unmeasure" for restored images.

    Raises:
        MissingWeights: there is no classifier.
        UsageError: measurements are no images, or no restoration is known.
    """
    network = load_classifier(f"classifier-{dataset.name}")
    x = simulate(dataset, process, use).flatten(1)
    rows = torch.randperm(len(x), generator=stream("quality", dataset.name))[:SAMPLES]
    _, real_features = classify(network, sound_images(dataset, "held out").signals())
    return _scores(*classify(network, x[rows]), real_features)


def _scores(probabilities: Tensor, features: Tensor, real_features: Tensor) -> dict[str, Any]:
    rng = stream("quality", "bootstrap")
    score, spread = inception_score(probabilities)
    return {
        "samples": len(probabilities),
        "inception_score": round(score, 3),
        "inception_score_std": round(spread, 3),
        "inception_score_error": round(inception_score_error(probabilities, rng), 4),
        "frechet_distance": round(frechet_distance(features, real_features), 3),
        "frechet_distance_error": round(frechet_distance_error(features, real_features, rng), 3),
    }


@torch.no_grad()
def comparison_grid(dataset: Dataset, process: MeasurementProcess, path: Path, columns: int = 16) -> list[str]:
    """One PNG: a row of training images, a row of what was measured, and two of samples for each prior there is.

    Returns:
        what the rows show, from top to bottom.
    """
    shape = dataset.image_shape
    x = as_floats(torch.tensor(sound_images(dataset, "training").pixels[:columns]))
    theta = process.draw(columns, shape, stream("samples", process.spec))
    y = process.measure(x, theta)
    rows, labels = [x, _pictured(y, process.view(y, theta, shape), shape)], ["training images", "measured"]
    for use in get_args(Use):
        with contextlib.suppress(MissingWeights):
            name = f"{use}-{process.slug}-{dataset.name}"
            generator = load_prior(name).generator
            z = torch.randn(2 * columns, generator.latent_dim, generator=stream("samples", name))
            rows.append(generator(z).reshape(-1, *shape))
            labels += [use, use]
    write_png(path, tile(torch.cat(rows).numpy(), columns=columns), scale=2)
    return labels


def _pictured(y: Tensor, view: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Measurements as images, shape [batch, c, h, w]: patches in a corner, projections as bars, others as the critic's
    view of them, from black to white."""
    _, h, w = shape
    if y.ndim == 4:
        return F.pad(y.clamp(0, 1), [0, w - y.shape[3], 0, h - y.shape[2]])
    if view.ndim == 3:
        view = F.interpolate(view, w, mode="linear")[:, :, None].expand(-1, -1, h, -1)
    low, high = view.amin((1, 2, 3), keepdim=True), view.amax((1, 2, 3), keepdim=True)
    return (view - low) / (high - low)


@torch.no_grad()
def sample_grid(name: str, dataset: Dataset, path: Path) -> None:
    """Write 64 samples as one PNG."""
    generator = load_prior(name).generator
    z = torch.randn(64, generator.latent_dim, generator=stream("samples", name))
    write_png(path, tile(generator(z).reshape(-1, *dataset.image_shape).numpy(), columns=16), scale=2)
