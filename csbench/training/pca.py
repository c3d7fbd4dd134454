"""Fits probabilistic PCA to images (Tipping and Bishop 1999)."""

from __future__ import annotations

import torch
from torch import Tensor

from csbench.priors.pca import GaussianPrior


def fit(x: Tensor, k: int) -> GaussianPrior:
    """Fit to images of shape [images, n] by the eigenvectors of their covariance, in float64."""
    mean = x.double().mean(0)
    centred = x.double() - mean
    variances, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    variances, vectors = variances.flip(0).clamp_min(0), vectors.flip(1)
    rest = variances[k:]
    return GaussianPrior(mean, vectors[:, :k].T.contiguous(), variances[:k], rest.mean().item() if len(rest) else 0.0)


def fit_mirrored(images: Tensor, k: int) -> GaussianPrior:
    """Fit to images and their mirror images, for images so large that their covariance is not formed.

    With mirror images the covariance has no entries between the even and the odd parts of an image, so each part, half
    as long, has principal components of its own, found by a randomised decomposition in float32 (Halko, Martinsson,
    Tropp 2011).

    Args:
        images: shape [images, c, h, w], w even, float32.
    """
    n = images[0].numel()
    half = images.shape[3] // 2
    mean = (images.mean(0) + images.mean(0).flip(2)) / 2
    variances, components = [], []
    total = 0.0
    torch.manual_seed(0)  # svd_lowrank draws from the global generator
    for sign in (1, -1):
        part = images[..., :half] + sign * images[..., half:].flip(3)
        part = (part / 2**0.5).flatten(1)
        if sign == 1:
            part -= 2**0.5 * mean[..., :half].flatten()
        total += part.double().square().sum().item() / len(images)
        _, singular, vectors = torch.svd_lowrank(part, q=min(k, n // 2), niter=4)
        left = (vectors.T / 2**0.5).reshape(-1, *images.shape[1:3], half)
        variances.append(singular.double().square() / len(images))
        components.append(torch.cat([left, sign * left.flip(3)], 3).flatten(1).double())
    every = torch.cat(variances)
    order = every.argsort(descending=True)[:k]
    rest = (total - every[order].sum().item()) / (n - k)
    return GaussianPrior(mean.double().flatten(), torch.cat(components)[order], every[order], rest)
