"""Variational autoencoders (Kingma and Welling 2014), with fully connected or convolutional networks."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbench.core.seeding import stream
from csbench.priors.generator import Generator, MLPGenerator, channels_last
from csbench.training.batches import prepared
from csbench.training.checkpoints import Progress, TrainingState
from csbench.training.convolutional import LEAK, NormedGenerator, downward, pyramid

FIRST_VARIANCE = 0.05  # of the Gaussian likelihood, before anything is learned


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

    def architecture(self, image_shape: tuple[int, int, int]) -> dict[str, Any]:
        """The shipped generator, as it stands on the card."""
        hidden = [self.hidden, self.hidden]
        return {"kind": "mlp", "latent_dim": self.latent_dim, "hidden": hidden, "n": math.prod(image_shape)}

    def build(self, image_shape: tuple[int, int, int]) -> VAE:
        return MLPVAE(math.prod(image_shape), self)


@dataclass(frozen=True)
class ConvVAERecipe:
    """How the convolutional VAE is trained: encoder and decoder are the critic and the generator of DCGAN.

    Attributes:
        width: base filters of both networks.
        likelihood: "bernoulli" for images that are nearly black and white, else "gaussian", with one variance that
            follows the mean squared error: its optimum (Rybkin, Daniilidis, Levine 2021).
    """

    latent_dim: int = 100
    width: int = 32
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    epochs: int = 30
    batch_size: int = 100
    learning_rate: float = 1e-3
    warmup_epochs: int = 4
    seed: int = 0

    def architecture(self, image_shape: tuple[int, int, int]) -> dict[str, Any]:
        """The shipped generator, as it stands on the card."""
        side, channels = pyramid(image_shape, self.width)
        return {"kind": "conv", "latent_dim": self.latent_dim, "side": side, "channels": channels}

    def build(self, image_shape: tuple[int, int, int]) -> VAE:
        return ConvVAE(image_shape, self)


def conv_vae(image_shape: tuple[int, int, int]) -> ConvVAERecipe:
    """The recipe for images of this shape."""
    if image_shape[0] == 1:
        return ConvVAERecipe()
    return ConvVAERecipe(latent_dim=256, likelihood="gaussian", batch_size=50)


class VAE(nn.Module, ABC):
    """q(z | x) = N(mean(x), diag(variance(x))) and p(x | z) around the decoder's image; z ~ N(0, I)."""

    @abstractmethod
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each of shape [batch, latent_dim], for x of shape [batch, c, h, w]."""

    @abstractmethod
    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) in nats, shape [batch]."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """The mean image, range [0, 1], n pixels in any shape."""

    @abstractmethod
    def generator(self) -> Generator:
        """`decode` for use in recovery."""

    def elbo_terms(self, x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Reconstruction log-likelihood and KL divergence in nats, each of shape [batch]; one sample of z."""
        mean, log_variance = self.encode(x)
        noise = torch.randn(mean.shape, generator=rng).to(x.device)
        z = mean + noise * (log_variance / 2).exp()
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
        return self.log_likelihood(x, z), kl


class MLPVAE(VAE):
    """Encoder n - hidden - hidden - 2 latent_dim, decoder latent_dim - hidden - hidden - n; Bernoulli pixels."""

    def __init__(self, n: int, recipe: VAERecipe):
        super().__init__()
        h, k = recipe.hidden, recipe.latent_dim
        self.encoder = nn.Sequential(nn.Linear(n, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 2 * k))
        self.decoder = MLPGenerator(k, (h, h), n)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.encoder(x.flatten(1)).chunk(2, dim=1)
        return mean, log_variance

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        return _bernoulli(self.decoder.logits(z), x)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def generator(self) -> Generator:
        return self.decoder


class ConvVAE(VAE):
    """Convolutional encoder and decoder with batch normalisation; Bernoulli or Gaussian pixels."""

    variance: Tensor

    def __init__(self, image_shape: tuple[int, int, int], recipe: ConvVAERecipe):
        super().__init__()
        side, channels = pyramid(image_shape, recipe.width)
        self.gaussian = recipe.likelihood == "gaussian"
        self.encoder = downward(
            channels[::-1], image_shape[1], 2 * recipe.latent_dim, partial(nn.LeakyReLU, LEAK), norm=nn.BatchNorm2d
        )
        self.decoder = NormedGenerator(recipe.latent_dim, side, channels)
        self.register_buffer("variance", torch.tensor(FIRST_VARIANCE))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        centred = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        mean, log_variance = self.encoder(centred).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 4)  # exp() of an untrained network must not overflow

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        logits = self.decoder.logits(z).float()
        if not self.gaussian:
            return _bernoulli(logits, x)
        squared = (torch.sigmoid(logits) - x).square().flatten(1).sum(1)
        n = x[0].numel()
        if self.training:
            self.variance.lerp_(squared.detach().mean() / n, 0.02)
        return -0.5 * (squared / self.variance + n * (2 * math.pi * self.variance).log())

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def generator(self) -> Generator:
        return self.decoder.folded()


@dataclass(frozen=True)
class TrainedVAE:
    """The network, the epochs that it has seen, and the seconds that they took over all resumed parts."""

    model: VAE
    epochs: int
    seconds: float


def train(
    pixels: Tensor,
    recipe: VAERecipe | ConvVAERecipe,
    checkpoint: Path,
    *,
    mirrored: bool = False,
    bf16: bool = False,
    resume: bool = False,
    report: Callable[[Progress, VAE], bool] = lambda progress, model: True,
) -> TrainedVAE:
    """Train on clean images; after every epoch the whole state is on disk, so a killed training goes on with `resume`.

    Args:
        pixels: uint8, or float32 in [0, 1], shape [images, c, h, w]; training runs on their device.
        mirrored: flip half of the images left to right.
        bf16: convolutions and matrix products in bfloat16, weights and sums in float32.
        checkpoint: a safetensors file for the state of the training.
        report: called after each epoch; training stops where it returns False.

    Returns:
        what is trained so far.

    Raises:
        CheckpointError: `resume`, and the checkpoint is of another recipe.
    """
    torch.manual_seed(recipe.seed)
    device = pixels.device
    model = recipe.build((pixels.shape[1], pixels.shape[2], pixels.shape[3]))
    model = channels_last(model.to(device))
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    state = TrainingState({"model": model}, {"adam": optimizer}, stream("train", "vae", recipe.seed))
    start, seconds = state.restore(checkpoint, recipe) if resume and checkpoint.exists() else (0, 0.0)
    began = time.monotonic() - seconds
    steps_per_epoch = math.ceil(len(pixels) / recipe.batch_size)
    total = recipe.epochs * steps_per_epoch
    epoch = start
    for epoch in range(start + 1, recipe.epochs + 1):
        order = torch.randperm(len(pixels), generator=state.rng)
        elbo_sum = torch.zeros((), device=device)
        for step, rows in enumerate(order.split(recipe.batch_size)):
            done = (epoch - 1) * steps_per_epoch + step
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done / total))
            beta = min(1.0, done / max(1, recipe.warmup_epochs * steps_per_epoch))
            x = prepared(pixels, rows, mirrored, state.rng)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                log_likelihood, kl = model.elbo_terms(x, state.rng)
            loss = (beta * kl - log_likelihood).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            elbo_sum += (log_likelihood - kl).detach().sum()
        seconds = time.monotonic() - began
        state.store(checkpoint, recipe, epoch, seconds)
        progress = Progress(epoch, recipe.epochs, f"ELBO {elbo_sum.item() / len(pixels):.1f} nats")
        if not report(progress, model):
            break
    return TrainedVAE(model.eval(), epoch, seconds)


@torch.no_grad()
def quality(model: VAE, x: Tensor) -> dict[str, float]:
    """Figures for the card, on validation images of shape [images, c, h, w].

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
        "validation_autoencoding_mse": round((model.generator()(mean) - x.flatten(1)).square().mean().item(), 6),
    }


def _bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    return -F.binary_cross_entropy_with_logits(logits.flatten(1), x.flatten(1), reduction="none").sum(1)
