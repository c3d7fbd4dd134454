"""Reconstruction metrics: pure functions of (x_hat, x), one value per image.

x_hat and x have shape [batch, n] and range [0, 1]; the result has shape [batch] and dtype float64. It is finite for all
finite images, black ones and exact reconstructions included.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

EXACT = 1e-20  # the mean squared error below which a reconstruction counts as exact: float32 does not resolve it


def mse(x_hat: Float[Tensor, "batch n"], x: Float[Tensor, "batch n"]) -> Float64[Tensor, " batch"]:
    """Mean squared error per pixel, the reconstruction error in the figures of Bora et al. 2017."""
    return (x_hat.double() - x.double()).square().mean(-1)


def relative_l2(x_hat: Float[Tensor, "batch n"], x: Float[Tensor, "batch n"]) -> Float64[Tensor, " batch"]:
    """||x_hat - x|| / ||x||; of a black image, which has no norm to compare with, ||x_hat - x|| itself."""
    norm = x.double().norm(dim=-1)
    return (x_hat.double() - x.double()).norm(dim=-1) / (norm + (norm == 0))


def psnr(x_hat: Float[Tensor, "batch n"], x: Float[Tensor, "batch n"]) -> Float64[Tensor, " batch"]:
    """Peak signal-to-noise ratio in dB for a peak of 1; at most 200, which it is where x_hat = x."""
    return -10 * torch.log10(mse(x_hat, x).clamp_min(EXACT))


def ssim(
    x_hat: Float[Tensor, "batch n"], x: Float[Tensor, "batch n"], image_shape: tuple[int, int, int]
) -> Float64[Tensor, " batch"]:
    """Mean structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004), 7x7 uniform window, peak 1, mean of channels.

    The same as `skimage.metrics.structural_similarity(..., data_range=1)` with its defaults. On images with a side
    below 7 the window is the largest odd square that fits, skimage's `win_size`; that of one pixel compares luminance.
    """
    k1, k2 = 0.01, 0.03
    window = min(7, *((side - 1) // 2 * 2 + 1 for side in image_shape[1:]))
    a, b = (v.double().reshape(-1, *image_shape) for v in (x_hat, x))
    bessel = window**2 / max(window**2 - 1, 1)

    def local_mean(v: Tensor) -> Tensor:
        return F.avg_pool2d(v, window, stride=1)

    mean_a, mean_b = local_mean(a), local_mean(b)
    var_a = bessel * (local_mean(a * a) - mean_a**2)
    var_b = bessel * (local_mean(b * b) - mean_b**2)
    covariance = bessel * (local_mean(a * b) - mean_a * mean_b)
    c1, c2 = k1**2, k2**2
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (numerator / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean((1, 2, 3))
