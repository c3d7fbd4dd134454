"""A classifier whose opinion and features measure samples of generators: inception score and Frechet distance.

Both were defined with a network for photographs; for digits and clothes a classifier of these images takes its place,
so figures compare within csbench and not with those of papers on photographs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbench.core.decoding import Decoding
from csbench.core.errors import CheckpointError
from csbench.core.seeding import stream
from csbench.priors import checkpoint
from csbench.training.batches import as_floats
from csbench.training.checkpoints import Progress, TrainingState

FEATURES = 128
SPLITS_OF_SCORE = 10


class Classifier(nn.Module):
    """Three convolutions with batch normalisation, two of them pooled, then FEATURES rectified features, then classes.

    Args:
        image_shape: (c, h, w), both sides a multiple of four.
        classes: how many.
    """

    def __init__(self, image_shape: tuple[int, int, int], classes: int):
        super().__init__()
        c, h, w = image_shape
        self.image_shape = tuple(image_shape)
        self.architecture = {"kind": "classifier", "image_shape": list(image_shape), "classes": classes}

        def stage(a: int, b: int) -> list[nn.Module]:
            return [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]

        self.stages = nn.Sequential(*stage(c, 32), nn.MaxPool2d(2), *stage(32, 64), nn.MaxPool2d(2), *stage(64, 64))
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(64 * (h // 4) * (w // 4), FEATURES), nn.ReLU())
        self.classes = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, shape [batch, classes], and features, shape [batch, FEATURES], for images in [0, 1], any shape."""
        h = x.reshape(-1, *self.image_shape).contiguous(memory_format=torch.channels_last)
        features = self.features(self.stages(h))
        return self.classes(F.dropout(features, 0.4, self.training)), features


@dataclass(frozen=True)
class ClassifierRecipe:
    """How the classifier is trained: AdamW (Loshchilov and Hutter 2019), its rate up and down once (Smith 2018).

    Attributes:
        shift: images are moved by up to this many pixels along both axes.
    """

    epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    shift: int = 2
    seed: int = 0


def train(
    pixels: Tensor,
    labels: Tensor,
    recipe: ClassifierRecipe,
    state_file: Path,
    *,
    mirrored: bool = False,
    bf16: bool = False,
    resume: bool = False,
    report: Callable[[Progress], bool] = lambda progress: True,
) -> tuple[Classifier, int, float]:
    """Train; arguments as for the other networks, and labels, int64, shape [images].

    Returns:
        the network, the epochs that it has seen, and the seconds.
    """
    torch.manual_seed(recipe.seed)
    device = pixels.device
    shape = (pixels.shape[1], pixels.shape[2], pixels.shape[3])
    network = Classifier(shape, int(labels.max()) + 1).to(device)
    adam = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    state = TrainingState({"network": network}, {"adam": adam}, stream("train", "classifier", recipe.seed))
    start, seconds = state.restore(state_file, recipe) if resume and state_file.exists() else (0, 0.0)
    began = time.monotonic() - seconds
    steps_per_epoch = math.ceil(len(pixels) / recipe.batch_size)
    total = recipe.epochs * steps_per_epoch
    epoch = start
    for epoch in range(start + 1, recipe.epochs + 1):
        order = torch.randperm(len(pixels), generator=state.rng)
        total_loss = torch.zeros((), device=device)
        for step, rows in enumerate(order.split(recipe.batch_size)):
            done = ((epoch - 1) * steps_per_epoch + step) / total
            adam.param_groups[0]["lr"] = recipe.learning_rate * min(done / 0.2 + 0.01, (1 - done) / 0.8)
            x = as_floats(pixels[rows.to(device)])
            dx, dy = torch.randint(-recipe.shift, recipe.shift + 1, (2,), generator=state.rng).tolist()
            x = torch.roll(x, (dx, dy), (2, 3))
            if mirrored and torch.rand((), generator=state.rng) < 0.5:
                x = x.flip(3)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits, _ = network(x)
            loss = F.cross_entropy(logits.float(), labels[rows].to(device))
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            total_loss += loss.detach() * len(rows)
        seconds = time.monotonic() - began
        state.store(state_file, recipe, epoch, seconds)
        if not report(Progress(epoch, recipe.epochs, f"cross-entropy {total_loss.item() / len(pixels):.4f}")):
            break
    return network.eval(), epoch, seconds


def load(name: str) -> Classifier:
    """The stored classifier of this name.

    Raises:
        MissingWeights: nobody has trained it.
        CheckpointError: the weights do not fit the card.
    """
    tensors, card = checkpoint.load(name)
    with Decoding(CheckpointError, f"{name}.json: architecture: "):
        architecture = card["architecture"]
        network = Classifier(tuple(architecture["image_shape"]), architecture["classes"])
    with Decoding(CheckpointError, f"{name}.safetensors does not fit the architecture on its card: "):
        network.load_state_dict(tensors)
    return network.requires_grad_(False).eval()


@torch.no_grad()
def classify(network: Classifier, x: Tensor) -> tuple[Tensor, Tensor]:
    """Class probabilities and features in float64 of any number of images."""
    parts = [network(part) for part in x.split(500)]
    logits, features = (torch.cat(column).double() for column in zip(*parts, strict=True))
    return logits.softmax(1), features


def inception_score(probabilities: Tensor) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp(E KL(p(class | x) || p(class))) (Salimans et al. 2016).

    At least 1, at most the number of classes. The splits are of equal size, and as many as SPLITS_OF_SCORE.
    """
    scores = []
    for part in probabilities.chunk(SPLITS_OF_SCORE):
        marginal = part.mean(0, keepdim=True)
        divergence = torch.special.xlogy(part, part) - torch.special.xlogy(part, marginal)
        scores.append(divergence.sum(1).mean().exp().item())
    return float(np.mean(scores)), float(np.std(scores))


def inception_score_error(probabilities: Tensor, rng: torch.Generator, resamples: int = 1000) -> float:
    """Standard error of `inception_score` by the bootstrap over the images of each split."""
    total = torch.zeros(resamples, dtype=probabilities.dtype)
    for part in probabilities.chunk(SPLITS_OF_SCORE):
        weights = _resampled(len(part), resamples, rng).to(part)
        certainty = weights @ torch.special.xlogy(part, part).sum(1)
        marginal = weights @ part
        total += (certainty - torch.special.xlogy(marginal, marginal).sum(1)).exp()
    return (total / SPLITS_OF_SCORE).std().item()


def frechet_distance_error(a: Tensor, b: Tensor, rng: torch.Generator, resamples: int = 100) -> float:
    """Standard error of `frechet_distance` by the bootstrap over both sets."""
    distances = [
        frechet_distance(*(x[torch.randint(len(x), (len(x),), generator=rng)] for x in (a, b)))
        for _ in range(resamples)
    ]
    return float(np.std(distances, ddof=1))


def _resampled(images: int, resamples: int, rng: torch.Generator) -> Tensor:
    """How often each image is drawn, as a share: shape [resamples, images], rows sum to 1."""
    drawn = torch.randint(images, (resamples, images), generator=rng)
    return torch.zeros(resamples, images).scatter_add_(1, drawn, torch.full(drawn.shape, 1 / images))


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance of Gaussians fitted to two sets of features [images, FEATURES] (Heusel et al. 2017)."""
    covariance_a, covariance_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(covariance_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ covariance_b @ root).clamp_min(0).sqrt().sum()  # tr sqrt(C_a C_b)
    spread = covariance_a.trace() + covariance_b.trace() - 2 * cross
    return max(((a.mean(0) - b.mean(0)).square().sum() + spread).item(), 0.0)
