"""Generative adversarial networks: DCGAN (Radford, Metz, Chintala 2016) and WGAN-GP (Gulrajani et al. 2017).

The DCGAN has what keeps it stable on a few thousand images: spectral normalisation of the critic and the hinge loss
(Miyato, Kataoka, Koyama, Yoshida 2018), mirrored images where the data allows, and an exponential moving average of the
generator's weights (Yazici et al. 2019), which is what is shipped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from csbench.core.seeding import stream
from csbench.priors.generator import channels_last
from csbench.training.batches import random_images
from csbench.training.checkpoints import Progress, TrainingState
from csbench.training.convolutional import LEAK, NormedGenerator, downward, pyramid

REPORT_EVERY = 50
STORE_EVERY = 250


@dataclass(frozen=True)
class GANRecipe:
    """How a GAN is trained.

    Attributes:
        width: base filters of the generator; each doubling of the side halves the maps, down to this many.
        critic_width: base filters of the critic, which mirrors the generator.
        loss: "hinge" with a spectrally normalised critic, or "wasserstein" with a gradient penalty.
        critic_steps: of the critic for each of the generator.
        gradient_penalty: weight of (||grad critic|| - 1)^2 at points between real and generated images.
        contrast: of clean images, see `CleanExamples`.
        critic: "convolutional", which mirrors the generator, or "dense": three layers, for inputs whose neighbouring
            pixels are seldom there together, and for those that are no image.
        average: decay of the moving average of the generator's weights.
        measurement: what real and generated images are measured with before the critic sees them, for the record.
    """

    latent_dim: int = 100
    width: int = 64
    critic_width: int = 32
    loss: Literal["hinge", "wasserstein"] = "hinge"
    critic_steps: int = 1
    gradient_penalty: float = 0.0
    steps: int = 8000
    batch_size: int = 64
    learning_rate: float = 4e-4
    critic_learning_rate: float = 8e-4
    betas: tuple[float, float] = (0.5, 0.99)
    contrast: float = 1.0
    average: float = 0.999
    seed: int = 0
    critic: Literal["convolutional", "dense"] = "convolutional"
    measurement: str = "none"

    def architecture(self, image_shape: tuple[int, int, int]) -> dict[str, Any]:
        """The shipped generator, as it stands on the card."""
        side, channels = pyramid(image_shape, self.width)
        return {"kind": "conv", "latent_dim": self.latent_dim, "side": side, "channels": channels}


def dcgan(image_shape: tuple[int, int, int]) -> GANRecipe:
    """The recipe for images of this shape: small images have smaller networks and larger steps."""
    if image_shape[1] <= 32:
        return GANRecipe(
            latent_dim=64, steps=6000, learning_rate=5e-4, critic_learning_rate=1e-3, contrast=2.0, betas=(0.5, 0.999)
        )
    return GANRecipe()


def wgan(image_shape: tuple[int, int, int]) -> GANRecipe:
    """WGAN-GP with the penalty, momenta and critic steps of Gulrajani et al. 2017, algorithm 1."""
    return GANRecipe(
        latent_dim=64 if image_shape[1] <= 32 else 100,
        loss="wasserstein",
        critic_steps=5,
        gradient_penalty=10.0,
        steps=3000,
        learning_rate=5e-4,
        critic_learning_rate=5e-4,
        betas=(0.0, 0.9),
        average=0.995,
    )


class Examples(Protocol):
    """Where a GAN's examples come from, and what its critic sees of a generated image.

    Attributes:
        image_shape: (c, h, w) of what is generated.
        device: of the training.
    """

    @property
    def image_shape(self) -> tuple[int, int, int]: ...

    @property
    def device(self) -> torch.device: ...

    def real(self, size: int, rng: torch.Generator) -> Tensor:
        """Random real inputs of the critic, shape [size, ...]."""
        ...

    def seen(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Inputs of the critic for generated images [batch, c, h, w] in [0, 1]."""
        ...


@dataclass(frozen=True, eq=False)
class CleanExamples:
    """Clean images; critics see contrast * (2 x - 1), for a spectrally normalised critic cannot scale its input itself.

    Attributes:
        pixels: uint8, or float32 in [0, 1], shape [images, c, h, w], on the device of the training.
        mirrored: flip half of the images left to right.
    """

    pixels: Tensor
    mirrored: bool = False
    contrast: float = 1.0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (self.pixels.shape[1], self.pixels.shape[2], self.pixels.shape[3])

    @property
    def device(self) -> torch.device:
        return self.pixels.device

    def real(self, size: int, rng: torch.Generator) -> Tensor:
        return self.seen(random_images(self.pixels, size, self.mirrored, rng), rng)

    def seen(self, x: Tensor, rng: torch.Generator) -> Tensor:
        return self.contrast * (2 * x - 1)


@dataclass(frozen=True)
class TrainedGAN:
    """The averaged generator with measured norms, its steps, and the seconds that they took over all resumed parts."""

    generator: NormedGenerator
    steps: int
    seconds: float


def train(
    examples: Examples,
    recipe: GANRecipe,
    checkpoint: Path,
    *,
    bf16: bool = False,
    resume: bool = False,
    report: Callable[[Progress, NormedGenerator], bool] = lambda progress, generator: True,
) -> TrainedGAN:
    """Train; the whole state is on disk every few steps, so a killed training goes on with `resume`.

    Args:
        examples: clean images, or measurements of them.
        bf16: convolutions and matrix products in bfloat16, weights and sums in float32.
        checkpoint: a safetensors file for the state of the training.
        report: called every few steps with the averaged generator; training stops where it returns False.

    Raises:
        CheckpointError: `resume`, and the checkpoint is of another recipe.
    """
    torch.manual_seed(recipe.seed)
    game = _Game.of(examples, recipe, bf16)
    state = game.state
    start, seconds = state.restore(checkpoint, recipe) if resume and checkpoint.exists() else (0, 0.0)
    began = time.monotonic() - seconds
    step = start
    for step in range(start + 1, recipe.steps + 1):
        game.set_rates(step)
        critic_loss, fake = game.train_critic()
        generator_loss = game.train_generator(fake)
        game.update_average(step)
        if step % STORE_EVERY == 0 or step == recipe.steps:
            seconds = time.monotonic() - began
            state.store(checkpoint, recipe, step, seconds)
        if step % REPORT_EVERY == 0 or step == recipe.steps:
            note = f"critic {critic_loss.item():.3f}, generator {generator_loss.item():.3f}"
            if not report(Progress(step, recipe.steps, note), game.average):
                seconds = time.monotonic() - began
                state.store(checkpoint, recipe, step, seconds)
                break
    game.average.measure_norms(stream("norms", recipe.seed))
    return TrainedGAN(game.average, step, seconds)


@dataclass(frozen=True, eq=False)
class _Game:
    """The two networks that play against each other, and what one step of the training does to them.

    Attributes:
        average: the generator with the moving average of its weights.
        state: all of these and the random numbers, as a checkpoint keeps them.
        bf16: see `train`.
    """

    examples: Examples
    recipe: GANRecipe
    generator: NormedGenerator
    critic: nn.Module
    average: NormedGenerator
    generator_adam: torch.optim.Adam
    critic_adam: torch.optim.Adam
    state: TrainingState
    bf16: bool

    @classmethod
    def of(cls, examples: Examples, recipe: GANRecipe, bf16: bool) -> _Game:
        """As it stands before the first step; weights are drawn from torch's global random numbers."""
        device = examples.device
        side, channels = pyramid(examples.image_shape, recipe.width)
        generator = channels_last(NormedGenerator(recipe.latent_dim, side, channels).to(device))
        seen_shape = tuple(examples.real(1, torch.Generator().manual_seed(0)).shape[1:])
        critic = channels_last(_critic(recipe, seen_shape).to(device))
        average = deepcopy(generator).requires_grad_(False)
        adam = partial(torch.optim.Adam, betas=recipe.betas)
        generator_adam = adam(generator.parameters(), recipe.learning_rate)
        critic_adam = adam(critic.parameters(), recipe.critic_learning_rate)
        state = TrainingState(
            {"generator": generator, "critic": critic, "average": average},
            {"generator_adam": generator_adam, "critic_adam": critic_adam},
            stream("train", "gan", recipe.loss, recipe.seed),
        )
        return cls(examples, recipe, generator, critic, average, generator_adam, critic_adam, state, bf16)

    def set_rates(self, step: int) -> None:
        """Learning rates of a step."""
        recipe = self.recipe
        decay = min(1.0, 2 * (1 - step / (recipe.steps + 1)))  # falls to zero over the second half
        for optimizer, rate in (
            (self.generator_adam, recipe.learning_rate),
            (self.critic_adam, recipe.critic_learning_rate),
        ):
            optimizer.param_groups[0]["lr"] = rate * decay

    def train_critic(self) -> tuple[Tensor, Tensor]:
        """The critic's steps; its last loss, and the generated inputs [batch, ...] that it was on, with gradients."""
        recipe, rng = self.recipe, self.state.rng
        self.critic.requires_grad_(True)
        for _ in range(recipe.critic_steps):
            real = self.examples.real(recipe.batch_size, rng)
            with self._autocast():
                images = self.generator(self._noise())
            fake = self.examples.seen(images, rng)
            critic_loss = self._critic_loss(real, fake.detach())
            self.critic_adam.zero_grad(set_to_none=True)
            critic_loss.backward()
            self.critic_adam.step()
        self.critic.requires_grad_(False)
        return critic_loss, fake

    def train_generator(self, fake: Tensor) -> Tensor:
        """The generator's step, on the images of the critic's last step; its loss."""
        generator_loss = -self._judge(fake).mean()
        self.generator_adam.zero_grad(set_to_none=True)
        generator_loss.backward()
        self.generator_adam.step()
        return generator_loss

    def update_average(self, step: int) -> None:
        """The moving average forgets faster at the start."""
        keep = min(self.recipe.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)

    def _critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        on_real, on_fake = self._judge(torch.cat([real, fake])).chunk(2)
        if self.recipe.loss == "hinge":
            return F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()
        critic_loss = on_fake.mean() - on_real.mean()
        return critic_loss + self.recipe.gradient_penalty * _penalty(self.critic, real, fake, self.state.rng)

    def _noise(self) -> Tensor:
        """z ~ N(0, I), shape [batch, latent_dim]."""
        recipe = self.recipe
        return torch.randn(recipe.batch_size, recipe.latent_dim, generator=self.state.rng).to(self.examples.device)

    def _judge(self, x: Tensor) -> Tensor:
        """What the critic says of inputs [batch, ...], float32, shape [batch, 1]."""
        with self._autocast():
            return self.critic(x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x).float()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.examples.device.type, torch.bfloat16, enabled=self.bf16)


def _critic(recipe: GANRecipe, shape: tuple[int, ...]) -> nn.Sequential:
    """For inputs of this shape: [c, h, w] of an image, or anything."""
    wrap = spectral_norm if recipe.loss == "hinge" else lambda layer: layer
    activation = partial(nn.LeakyReLU, LEAK)
    if recipe.critic == "convolutional" and len(shape) == 3:
        image_shape = (shape[0], shape[1], shape[2])
        _, channels = pyramid(image_shape, recipe.critic_width)
        return downward(channels[::-1], image_shape[1], 1, activation, wrap=wrap)
    widths = (math.prod(shape), 16 * recipe.critic_width, 16 * recipe.critic_width)
    hidden = [layer for a, b in pairwise(widths) for layer in (wrap(nn.Linear(a, b)), activation())]
    return nn.Sequential(nn.Flatten(), *hidden, wrap(nn.Linear(widths[-1], 1)))


def _penalty(critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """E (||grad critic|| - 1)^2 at random points on the segments between real and generated inputs."""
    t = torch.rand(len(real), *[1] * (real.ndim - 1), generator=rng).to(real.device)
    between = torch.lerp(real, fake, t).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
