"""Denoisers of scikit-image, for batches of images with a noise level each.

Their output is clipped to [0, 1], where images are: that makes better denoisers, and stable iterations around them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from csbench.core.errors import UsageError

FAINTEST = 1e-4  # noise below this is removed as if it were this; their weights divide by it

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""From images, shape [batch, n], and the standard deviation of each one's noise, shape [batch], to images in [0, 1]."""


def nl_means(image_shape: tuple[int, int, int], strength: float) -> Denoiser:
    """Non-local means (Buades, Coll, Morel 2005) of 5 x 5 patches at most 6 pixels apart, of all channels together.

    Args:
        strength: the distance at which patches count less, in standard deviations of the noise.
    """
    denoise = _restoration().denoise_nl_means
    return _each(
        lambda image, sigma, axis: denoise(
            image, patch_size=5, patch_distance=6, h=strength * sigma, sigma=sigma, channel_axis=axis
        ),
        image_shape,
    )


def total_variation(image_shape: tuple[int, int, int], strength: float) -> Denoiser:
    """Least squares with total variation (Rudin, Osher, Fatemi 1992; Chambolle 2004), each channel on its own.

    Args:
        strength: the penalty, in standard deviations of the noise.
    """
    denoise = _restoration().denoise_tv_chambolle
    return _each(
        lambda image, sigma, axis: denoise(image, weight=strength * sigma, max_num_iter=100, channel_axis=axis),
        image_shape,
    )


def _each(one: Callable[[np.ndarray, float, int | None], np.ndarray], image_shape: tuple[int, int, int]) -> Denoiser:
    """A denoiser of batches from one of an image, its noise level and the axis of its channels, if it has one."""
    shape, axis = (image_shape[1:], None) if image_shape[0] == 1 else (image_shape, 0)

    def denoise(noisy: Tensor, sigma: Tensor) -> Tensor:
        images, levels = noisy.reshape(-1, *shape).cpu().numpy(), sigma.clamp_min(FAINTEST).tolist()
        clean = np.array([one(image, level, axis) for image, level in zip(images, levels, strict=True)])
        return torch.from_numpy(clean).to(noisy).reshape(noisy.shape).clamp(0, 1)

    return denoise


def _restoration():
    try:
        from skimage import restoration  # its import takes long, and only this needs it
    except ModuleNotFoundError:
        raise UsageError("denoisers need scikit-image: pip install scikit-image") from None
    return restoration
