"""Batches of training images; the only place where stored pixels become what networks take."""

from __future__ import annotations

import torch
from torch import Tensor


def as_floats(pixels: Tensor) -> Tensor:
    """Pixels as a dataset stores them, uint8 or float32 in [0, 1], as float32 in [0, 1]; shape and device are kept."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()


def random_images(pixels: Tensor, size: int, mirrored: bool, rng: torch.Generator) -> Tensor:
    """`size` images drawn with replacement from pixels [images, c, h, w]; arguments and result as `prepared`."""
    return prepared(pixels, torch.randint(len(pixels), (size,), generator=rng), mirrored, rng)


def prepared(pixels: Tensor, rows: Tensor, mirrored: bool, rng: torch.Generator) -> Tensor:
    """Images as networks take them.

    Args:
        pixels: uint8, or float32 in [0, 1], shape [images, c, h, w].
        rows: which of them, int64, shape [batch], on the CPU.
        mirrored: flip each left to right with probability 1/2.

    Returns:
        float32, shape [batch, c, h, w], range [0, 1], on the device of `pixels`.
    """
    x = as_floats(pixels[rows.to(pixels.device)])
    if mirrored:
        flipped = (torch.rand(len(rows), generator=rng) < 0.5).to(x.device)
        x = torch.where(flipped[:, None, None, None], x.flip(3), x)
    return x
