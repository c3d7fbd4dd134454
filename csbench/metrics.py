"""Reconstruction metrics, under the name that scripts know."""

from csbench.core.metrics import mse, psnr, relative_l2, ssim

__all__ = ["mse", "psnr", "relative_l2", "ssim"]
