"""Variational autoencoder with Bernoulli likelihood (Kingma and Welling 2014), the prior of CSGM on digits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as dump_tensors
from torch import Tensor, nn
from torch.nn import functional as F

from csbench.errors import CheckpointError
from csbench.files import write_atomically
from csbench.priors.generator import MLPGenerator
from csbench.seeding import stream


@dataclass(frozen=True)
class VAERecipe:
    """How the MLP VAE is trained; the layer sizes are those of Bora et al. 2017, section 5.1.

    Attributes:
        warmup_epochs: the weight of the KL term grows from 0 to 1 over these, against posterior collapse.
        learning_rate: Adam's at the start; it falls to zero along half a cosine.
    """

    latent_dim: int = 20
    hidden: int = 500
    epochs: int = 150
    batch_size: int = 200
    learning_rate: float = 1e-3
    warmup_epochs: int = 10
    seed: int = 0

    @property
    def architecture(self) -> dict[str, Any]:
        return {"kind": "mlp", "latent_dim": self.latent_dim, "hidden": [self.hidden, self.hidden]}


class VAE(nn.Module):
    """Encoder n - hidden - hidden - (mean, log variance) and decoder latent_dim - hidden - hidden - n."""

    def __init__(self, n: int, recipe: VAERecipe):
        super().__init__()
        h, k = recipe.hidden, recipe.latent_dim
        self.encoder = nn.Sequential(nn.Linear(n, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 2 * k))
        self.decoder = MLPGenerator(k, (h, h), n)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each of shape [batch, latent_dim]."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance

    def elbo_terms(self, x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Reconstruction log-likelihood and KL divergence in nats, each of shape [batch]; one sample of z."""
        mean, log_variance = self.encode(x)
        noise = torch.randn(mean.shape, generator=rng).to(x.device)
        logits = self.decoder.logits(mean + noise * (log_variance / 2).exp())
        log_likelihood = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
        return log_likelihood, kl


@dataclass(frozen=True)
class Trained:
    """The network, the epochs that it has seen, and the seconds that they took, over all resumed parts."""

    model: VAE
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Progress:
    """What a training loop tells after each epoch."""

    epoch: int
    epochs: int
    elbo: float


def train(
    x: Tensor,
    recipe: VAERecipe,
    checkpoint: Path,
    resume: bool = False,
    report: Callable[[Progress], bool] = lambda progress: True,
) -> Trained:
    """Train on clean images; after every epoch the whole state is on disk, so a killed training goes on with `resume`.

    Args:
        x: training images, shape [images, n], range [0, 1]; training runs on their device.
        checkpoint: a safetensors file for the state of the training.
        report: called after each epoch; training stops where it returns False.

    Returns:
        what is trained so far.

    Raises:
        CheckpointError: `resume`, and the checkpoint is of another recipe.
    """
    torch.manual_seed(recipe.seed)
    model = VAE(x.shape[1], recipe).to(x.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    rng = stream("train", "vae", recipe.seed)
    start, seconds = 0, 0.0
    if resume and checkpoint.exists():
        start, seconds = _restore(checkpoint, model, optimizer, rng, recipe)
    began = time.monotonic() - seconds
    steps_per_epoch = math.ceil(len(x) / recipe.batch_size)
    total = recipe.epochs * steps_per_epoch
    epoch = start
    for epoch in range(start + 1, recipe.epochs + 1):
        order = torch.randperm(len(x), generator=rng).to(x.device)
        elbo_sum = torch.zeros((), device=x.device)
        for step, rows in enumerate(order.split(recipe.batch_size)):
            done = (epoch - 1) * steps_per_epoch + step
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done / total))
            beta = min(1.0, done / max(1, recipe.warmup_epochs * steps_per_epoch))
            log_likelihood, kl = model.elbo_terms(x[rows], rng)
            loss = (beta * kl - log_likelihood).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            elbo_sum += (log_likelihood - kl).detach().sum()
        seconds = time.monotonic() - began
        _store(checkpoint, model, optimizer, rng, recipe, epoch, seconds)
        if not report(Progress(epoch, recipe.epochs, elbo_sum.item() / len(x))):
            break
    return Trained(model, epoch, seconds)


@torch.no_grad()
def quality(model: VAE, x: Tensor) -> dict[str, float]:
    """Figures for the card, on validation images of shape [images, n].

    ELBO in nats per image (mean of 16 samples of z); active latent units as Burda et al. 2016 count them, variance of
    the posterior mean over images above 0.01; mean squared error of decoding the posterior mean.
    """
    rng = stream("quality", "vae")
    elbo = torch.stack([torch.sub(*model.elbo_terms(x, rng)) for _ in range(16)]).mean()
    mean, _ = model.encode(x)
    return {
        "validation_images": len(x),
        "validation_elbo_nats": round(elbo.item(), 2),
        "active_latent_units": int((mean.var(0) > 0.01).sum()),
        "validation_autoencoding_mse": round((model.decoder(mean) - x).square().mean().item(), 6),
    }


def _store(
    path: Path,
    model: VAE,
    optimizer: torch.optim.Adam,
    rng: torch.Generator,
    recipe: VAERecipe,
    epoch: int,
    seconds: float,
) -> None:
    state = {f"model.{key}": value.cpu() for key, value in model.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        state |= {f"adam.{index}.{key}": value.cpu().reshape(value.shape) for key, value in values.items()}
    state["rng"] = rng.get_state()
    metadata = {"epoch": str(epoch), "seconds": f"{seconds:.1f}", "recipe": repr(recipe)}
    write_atomically(path, dump_tensors(state, metadata))


def _restore(
    path: Path, model: VAE, optimizer: torch.optim.Adam, rng: torch.Generator, recipe: VAERecipe
) -> tuple[int, float]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    if metadata.get("recipe") != repr(recipe):
        raise CheckpointError(
            f"{path} was written by {metadata.get('recipe')}, not by {recipe!r}; delete it or train without --resume"
        )
    state = load_file(path)
    model.load_state_dict({k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")})
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.startswith("adam."):
            _, index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    rng.set_state(state["rng"])
    return int(metadata["epoch"]), float(metadata["seconds"])
