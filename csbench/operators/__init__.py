"""Measurement operators A: R^n -> R^m, batched on the last axis, one family per file.

>>> import torch
>>> A = from_matrix(torch.eye(3)[:2])
>>> A(torch.tensor([1.0, 2.0, 3.0]))
tensor([1., 2.])
"""

from csbench.core.operator import LinearOperator
from csbench.operators.block import CentreBlock, RandomBlock
from csbench.operators.blur import GaussianBlur, MotionBlur
from csbench.operators.dense import DenseMatrix
from csbench.operators.fourier import CartesianFourier, RadialFourier
from csbench.operators.free import MatrixFree
from csbench.operators.image import ImageOperator
from csbench.operators.own import from_matrix, scaled
from csbench.operators.random import Gaussian, Rademacher
from csbench.operators.resolution import BlockAverage
from csbench.operators.selection import Identity, RandomPixelMask
from csbench.operators.single_pixel import SinglePixel
from csbench.operators.sparse import SparseRademacher
from csbench.operators.subsampled import PartialCirculant, SubsampledDCT, SubsampledHadamard
from csbench.operators.tomography import Radon

__all__ = [
    "BlockAverage",
    "CartesianFourier",
    "CentreBlock",
    "DenseMatrix",
    "Gaussian",
    "GaussianBlur",
    "Identity",
    "ImageOperator",
    "LinearOperator",
    "MatrixFree",
    "MotionBlur",
    "PartialCirculant",
    "Rademacher",
    "RadialFourier",
    "Radon",
    "RandomBlock",
    "RandomPixelMask",
    "SinglePixel",
    "SparseRademacher",
    "SubsampledDCT",
    "SubsampledHadamard",
    "from_matrix",
    "scaled",
]
