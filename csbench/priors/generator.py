"""Generators G: R^k -> R^n, and how a trained one is loaded by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from csbench.errors import CheckpointError
from csbench.priors import checkpoint


class MLPGenerator(nn.Module):
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

    def logits(self, z: Tensor) -> Tensor:
        """The images before the sigmoid, shape [batch, n]."""
        for layer in self.layers[:-1]:
            z = torch.relu(layer(z))
        return self.layers[-1](z)

    def forward(self, z: Tensor) -> Tensor:
        """Images, shape [batch, n], range [0, 1], for z of shape [batch, latent_dim]."""
        return torch.sigmoid(self.logits(z))


ARCHITECTURES = {"mlp": MLPGenerator}


@dataclass(frozen=True)
class Prior:
    """A trained generator with its card; z ~ N(0, I) before training and in recovery."""

    generator: MLPGenerator
    card: dict[str, Any]


@lru_cache(maxsize=4)
def load_prior(name: str, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Prior:
    """The prior called `name`, its weights frozen.

    Raises:
        MissingWeights: nobody has trained it.
        CheckpointError: card and weights do not fit each other or this version of csbench.
    """
    tensors, card = checkpoint.load(name)
    architecture = dict(card.get("architecture", {}))
    kind = architecture.pop("kind", None)
    if kind not in ARCHITECTURES:
        raise CheckpointError(f"{name}.json: architecture {kind!r} is not one of {', '.join(ARCHITECTURES)}")
    generator = ARCHITECTURES[kind](**architecture)
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{name}.safetensors does not fit the architecture on its card: {error}") from error
    return Prior(generator.to(device=device, dtype=dtype).requires_grad_(False).eval(), card)
