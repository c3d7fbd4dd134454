"""Measurement operators A: R^n -> R^m, batched on the last axis, one family per file.

>>> import torch
>>> A = from_matrix(torch.eye(3)[:2])
>>> A(torch.tensor([1.0, 2.0, 3.0]))
tensor([1., 2.])
"""

from csbench.operators.base import DenseMatrix, LinearOperator, from_matrix
from csbench.operators.random import Gaussian, Rademacher
from csbench.operators.selection import Identity, RandomPixelMask

__all__ = ["DenseMatrix", "Gaussian", "Identity", "LinearOperator", "Rademacher", "RandomPixelMask", "from_matrix"]
