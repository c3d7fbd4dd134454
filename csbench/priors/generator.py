"""Generators G: R^k -> R^n, and how a trained one is loaded by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from csbench.core.decoding import Decoding
from csbench.core.errors import CheckpointError
from csbench.priors import checkpoint

M = TypeVar("M", bound=nn.Module)


class Generator(nn.Module):
    """G: R^k -> R^n, differentiable; an image is a row of n = c h w pixels.

    Attributes:
        latent_dim: k, the length of z.
        n: length of the flattened image.
    """

    latent_dim: int
    n: int


class MLPGenerator(Generator):
    """Fully connected ReLU network with a sigmoid output, so that images are in [0, 1].

    Args:
        latent_dim: k, the length of z.
        hidden: widths of the hidden layers.
        n: length of the flattened image.
    """

    def __init__(self, latent_dim: int, hidden: Sequence[int], n: int):
        super().__init__()
        self.latent_dim = latent_dim
        self.n = n
        widths = (latent_dim, *hidden, n)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def logits(self, z: Float[Tensor, "batch latent_dim"]) -> Float[Tensor, "batch n"]:
        """The images before the sigmoid, shape [batch, n]."""
        for layer in self.layers[:-1]:
            z = torch.relu(layer(z))
        return self.layers[-1](z)

    def forward(self, z: Float[Tensor, "batch latent_dim"]) -> Float[Tensor, "batch n"]:
        """Images, shape [batch, n], range [0, 1], for z of shape [batch, latent_dim]."""
        return torch.sigmoid(self.logits(z))


class ReLUGenerator(Generator):
    """ReLU after every layer and no biases, G(z) = relu(W_d ... relu(W_1 z)): the network of Hand and Voroninski 2018.

    With independent Gaussian weights and layers that grow by enough, recovery provably has no bad local minimum.
    Images are not negative, and have no upper bound.

    Args:
        latent_dim: k, the length of z.
        hidden: widths of the hidden layers, increasing.
        n: length of the flattened image.
    """

    def __init__(self, latent_dim: int, hidden: Sequence[int], n: int):
        super().__init__()
        self.latent_dim = latent_dim
        self.n = n
        widths = (latent_dim, *hidden, n)
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths))

    @classmethod
    def random(cls, latent_dim: int, hidden: Sequence[int], n: int, rng: torch.Generator) -> ReLUGenerator:
        """Weights N(0, 2 / rows), so that E||G(z)||^2 = ||z||^2: each ReLU halves what each product doubles."""
        generator = cls(latent_dim, hidden, n)
        with torch.no_grad():
            for weight in generator.parameters():
                weight.normal_(0, (2 / len(weight)) ** 0.5, generator=rng)
        return generator

    def forward(self, z: Float[Tensor, "batch latent_dim"]) -> Float[Tensor, "batch n"]:
        """Images, shape [batch, n], zero or more, for z of shape [batch, latent_dim]."""
        for layer in self.layers:
            z = torch.relu(layer(z))
        return z


class ConvGenerator(Generator):
    """The generator of DCGAN (Radford, Metz, Chintala 2016) as it is used: batch normalisation folded into the weights.

    A linear layer to channels[0] maps of side x side pixels, then one transposed convolution (4x4, stride 2) per
    doubling of the side, with ReLU between and a sigmoid at the end, so that images are in [0, 1].

    Args:
        latent_dim: k, the length of z.
        side: of the first feature maps.
        channels: of the feature maps, first to last; the last are the image's.
    """

    def __init__(self, latent_dim: int, side: int, channels: Sequence[int]):
        super().__init__()
        self.latent_dim = latent_dim
        self.side = side
        self.channels = tuple(channels)
        self.n = channels[-1] * (side * 2 ** (len(channels) - 1)) ** 2
        self.project = nn.Linear(latent_dim, channels[0] * side**2)
        self.layers = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in pairwise(channels))

    def forward(self, z: Float[Tensor, "batch latent_dim"]) -> Float[Tensor, "batch n"]:
        """Images, shape [batch, n], range [0, 1], for z of shape [batch, latent_dim]."""
        h = self.project(z).view(-1, self.channels[0], self.side, self.side)
        h = h.contiguous(memory_format=torch.channels_last)  # twice as fast as NCHW in these convolutions
        for layer in self.layers:
            h = layer(torch.relu(h))
        return torch.sigmoid(h).flatten(1)


def channels_last(network: M) -> M:
    """The network with the weights of its convolutions laid out for channels-last images."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


ARCHITECTURES: dict[str, type[Generator]] = {"mlp": MLPGenerator, "relu": ReLUGenerator, "conv": ConvGenerator}


@dataclass(frozen=True)
class Prior:
    """A trained generator with its card; z ~ N(0, I) before training and in recovery."""

    generator: Generator
    card: dict[str, Any]


def load_prior(name: str, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Prior:
    """The prior called `name`, its weights frozen.

    Raises:
        MissingWeights: nobody has trained it.
        CheckpointError: card and weights do not fit each other or this version of csbench.
    """
    checkpoint.LOADED.add(name)  # also where it is in memory already
    return _loaded(name, dtype, device)


@lru_cache(maxsize=4)
def _loaded(name: str, dtype: torch.dtype, device: str) -> Prior:
    tensors, card = checkpoint.load(name)
    architecture = dict(card.get("architecture", {}))
    kind = architecture.pop("kind", None)
    if kind not in list(ARCHITECTURES):  # what has no hash is in no dictionary either
        raise CheckpointError(f"{name}.json: architecture {kind!r} is not one of {', '.join(ARCHITECTURES)}")
    # no first weights: drawing them would move the global random numbers of the caller
    with Decoding(CheckpointError, f"{name}.json: architecture: "), torch.device("meta"):
        generator = ARCHITECTURES[kind](**architecture)
    try:
        generator.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"{name}.safetensors does not fit the architecture on its card: {' '.join(str(error).split())}"
        ) from error
    return Prior(channels_last(generator.to(device=device, dtype=dtype)).requires_grad_(False).eval(), card)
