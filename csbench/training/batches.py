"""Batches of training images."""

from __future__ import annotations

import torch
from torch import Tensor


def random_images(pixels: Tensor, size: int, mirrored: bool, rng: torch.Generator) -> Tensor:
    """`size` images drawn with replacement from uint8 pixels [images, c, h, w]; arguments and result as `prepared`."""
    return prepared(pixels, torch.randint(len(pixels), (size,), generator=rng), mirrored, rng)


def prepared(pixels: Tensor, rows: Tensor, mirrored: bool, rng: torch.Generator) -> Tensor:
    """Images as networks take them.

    Args:
        pixels: uint8, shape [images, c, h, w].
        rows: which of them, int64, shape [batch], on the CPU.
        mirrored: flip each left to right with probability 1/2.

    Returns:
        float32, shape [batch, c, h, w], range [0, 1], on the device of `pixels`.
    """
    x = pixels[rows.to(pixels.device)].float() / 255
    if mirrored:
        flipped = (torch.rand(len(rows), generator=rng) < 0.5).to(x.device)
        x = torch.where(flipped[:, None, None, None], x.flip(3), x)
    return x
