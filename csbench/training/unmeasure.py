"""Estimates of images from lossy measurements, each image on its own: what `unmeasure` trains a generator on.

The restorations are those that Bora, Price and Dimakis 2018 compare AmbientGAN with.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from csbench.core.errors import UsageError
from csbench.training.processes import BlockPatch, BlockPixels, ConvolveNoise, MeasurementProcess, shape_of

TELEA_RADIUS = 3  # pixels; of the neighbourhood that Telea's method looks at


def restore(process: MeasurementProcess, y: Tensor, theta: Tensor) -> Tensor:
    """Estimates of the images, float32, shape [batch, c, h, w], range [0, 1].

    Dropped pixels: local means of the pixels that are seen. A hidden square: Telea's inpainting (2004). Blur and noise:
    Wiener deconvolution.

    Args:
        process: one of BlockPixels, BlockPatch, ConvolveNoise.
        y, theta: of a batch, as the process gives them.

    Raises:
        UsageError: no restoration is known for this process, or a library is missing.
    """
    match process:
        case BlockPixels():
            return _local_means(process, y, theta)
        case BlockPatch():
            return _inpaint(y, process.inside(theta, shape_of(y)))
        case ConvolveNoise():
            return _deconvolve(process, y)
    raise UsageError(
        f"no restoration is known for {process.name}; unmeasure takes block-pixels, block-patch or convolve-noise"
    )


def _local_means(process: BlockPixels, y: Tensor, seen: Tensor) -> Tensor:
    """Normalised convolution (Knutsson and Westin 1993) with a Gaussian that covers about three seen pixels."""
    blur = ConvolveNoise(radius=0.5 / math.sqrt(1 - process.p), sigma=0).blur
    x = y * (1 - process.p) if process.unbiased else y
    return (blur(x) / blur(seen).clamp_min(1e-6)).clamp(0, 1)


def _inpaint(y: Tensor, hidden: Tensor) -> Tensor:
    try:
        import cv2  # its import takes long, and only this needs it
    except ModuleNotFoundError:
        raise UsageError("inpainting needs OpenCV: pip install 'csbench[unmeasure]'") from None
    images = (y.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    masks = hidden[:, 0].byte().numpy()
    filled = [
        cv2.inpaint(np.ascontiguousarray(image), mask, TELEA_RADIUS, cv2.INPAINT_TELEA)
        for image, mask in zip(images, masks, strict=True)
    ]
    return torch.from_numpy(np.stack(filled)).float().div(255).reshape(images.shape).permute(0, 3, 1, 2).contiguous()


def _deconvolve(process: ConvolveNoise, y: Tensor) -> Tensor:
    matrix = _wiener_matrix(process, y.shape[2], y.shape[3]).to(y)
    return (y.flatten(2) @ matrix).view_as(y).clamp(0, 1)


@lru_cache(maxsize=1)
def _wiener_matrix(process: ConvolveNoise, h: int, w: int) -> Tensor:
    """The Wiener-Hunt filter of scikit-image; the weight of its Laplacian prior is the noise's variance.

    It takes 20 ms an image, and is linear: its values on the unit images, one in each row, give it for all images.
    """
    from skimage.restoration import wiener  # its import takes long, and only this needs it

    kernel = process.kernel().numpy()
    blur = np.outer(kernel, kernel)
    units = np.eye(h * w).reshape(-1, h, w)
    rows = [np.asarray(wiener(unit, blur, balance=process.sigma**2, clip=False)).ravel() for unit in units]
    return torch.from_numpy(np.stack(rows)).float()
