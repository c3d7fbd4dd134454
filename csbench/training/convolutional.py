"""The convolutional networks that priors are trained with: DCGAN's (Radford, Metz, Chintala 2016)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn

from csbench.core.errors import UsageError
from csbench.priors.generator import ConvGenerator

LEAK = 0.2


def pyramid(image_shape: tuple[int, int, int], width: int) -> tuple[int, list[int]]:
    """Side of the smallest feature maps, 4 to 7, and the channels from there to the image.

    Args:
        image_shape: (c, h, w).
        width: channels of the largest feature maps; they double as the side halves.

    Raises:
        UsageError: the images are not square, or their side has too few factors of two.
    """
    c, h, w = image_shape
    side, doublings = h, 0
    while side > 7 and side % 2 == 0:
        side, doublings = side // 2, doublings + 1
    if h != w or side > 7 or not doublings:
        raise UsageError(f"images of {h}x{w} pixels do not fit: the side must be 4 to 7 times a power of two")
    return side, [*(width * 2**i for i in reversed(range(doublings))), c]


class NormedGenerator(nn.Module):
    """`ConvGenerator` with batch normalisation before every ReLU, as it is trained; `folded` gives what is shipped."""

    def __init__(self, latent_dim: int, side: int, channels: Sequence[int]):
        super().__init__()
        self.generator = ConvGenerator(latent_dim, side, channels)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels[:-1])
        for parameter in self.generator.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, 0, 0.02)
            else:
                nn.init.zeros_(parameter)

    @property
    def latent_dim(self) -> int:
        return self.generator.latent_dim

    def logits(self, z: Tensor) -> Tensor:
        """The images before the sigmoid, shape [batch, c, h, w]."""
        g = self.generator
        h = g.project(z).view(-1, g.channels[0], g.side, g.side).contiguous(memory_format=torch.channels_last)
        for norm, layer in zip(self.norms, g.layers, strict=True):
            h = layer(torch.relu(norm(h)))
        return h

    def forward(self, z: Tensor) -> Tensor:
        """Images, shape [batch, c, h, w], range [0, 1]."""
        return torch.sigmoid(self.logits(z).float())

    @torch.no_grad()
    def measure_norms(self, rng: torch.Generator, batches: int = 40, size: int = 256) -> None:
        """Take the statistics of batch normalisation anew from samples: those of averaged weights are no average."""
        for norm in self.norms:
            assert isinstance(norm, nn.BatchNorm2d)
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
        self.train()
        device = self.generator.project.weight.device
        for _ in range(batches):
            self(torch.randn(size, self.latent_dim, generator=rng).to(device))
        self.eval()

    @torch.no_grad()
    def folded(self) -> ConvGenerator:
        """The same function as in evaluation mode, without the normalisation layers."""
        plain = deepcopy(self.generator)
        for norm, layer in zip(self.norms, (plain.project, *plain.layers[:-1]), strict=True):
            assert isinstance(norm, nn.BatchNorm2d)
            assert isinstance(layer, nn.Linear | nn.ConvTranspose2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert layer.bias is not None
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            shift = norm.bias - norm.running_mean * scale
            if isinstance(layer, nn.Linear):  # each map has side^2 rows
                scale, shift = (v.repeat_interleave(plain.side**2) for v in (scale, shift))
                layer.weight.mul_(scale[:, None])
            else:
                layer.weight.mul_(scale[None, :, None, None])
            layer.bias.mul_(scale).add_(shift)
        return plain.eval()


def downward(
    channels: Sequence[int],
    side: int,
    outputs: int,
    activation: Callable[[], nn.Module],
    wrap: Callable[[nn.Module], nn.Module] = lambda layer: layer,
    norm: Callable[[int], nn.Module] | None = None,
) -> nn.Sequential:
    """Convolutions (4x4, stride 2) that halve the side, and a linear layer: a critic, or an encoder.

    Args:
        channels: first the image's, then of the feature maps.
        side: of the image; it is halved len(channels) - 1 times.
        wrap: applied to every layer with weights, spectral normalisation for instance.
        norm: makes the layer between a convolution after the first and its activation.
    """
    layers: list[nn.Module] = []
    for depth, (a, b) in enumerate(pairwise(channels)):
        layers.append(wrap(nn.Conv2d(a, b, 4, 2, 1)))
        if norm is not None and depth:
            layers.append(norm(b))
        layers.append(activation())
        side //= 2
    return nn.Sequential(*layers, nn.Flatten(), wrap(nn.Linear(channels[-1] * side**2, outputs)))
