"""The truth meets a reconstruction: every metric of a batch of images."""

from __future__ import annotations

import torch
from torch import Tensor

from csbench.core import metrics
from csbench.core.measurement import Measurement
from csbench.runner.problem import Truth


def finite(x_hat: Tensor) -> list[bool]:
    """Whether an image, a row of x_hat, is finite; one that is not has diverged and has no metrics."""
    return torch.isfinite(x_hat).all(1).tolist()


def metric_columns(x_hat: Tensor, given: Measurement, truth: Truth) -> dict[str, list[float]]:
    """Every metric in `store.METRICS` for each image of a batch."""
    values = {
        "mse": metrics.mse(x_hat, truth.x),
        "relative_l2": metrics.relative_l2(x_hat, truth.x),
        "psnr": metrics.psnr(x_hat, truth.x),
        "ssim": metrics.ssim(x_hat, truth.x, given.image_shape),
        "measurement_error": (given.A(x_hat) - given.y).double().norm(dim=1),
    }
    return {name: value.tolist() for name, value in values.items()}
