"""Faces of 25x25 pixels, a side that no power of two divides, and a matrix of one's own."""

import numpy as np
import skimage.data
import torch

from csbench import Measurement, stream
from csbench.operators import from_matrix
from tests.clients import error, every_method


def test_faces():
    x = torch.from_numpy(skimage.data.lfw_subset()[:2].astype(np.float32)).flatten(1)
    A = from_matrix(torch.randn(250, 625, generator=stream("A")))
    y = A(x) + 0.1 * torch.randn(2, 250, generator=stream("noise"))
    answers = every_method(Measurement(A, y, 0.1, (1, 25, 25)))
    assert min(error(x_hat, x) for x_hat in answers.values()) < 0.003
    # Priors of digits are of other pictures
    assert answers.keys() == every_method(Measurement(A, y, 0.1, (1, 25, 25)), dataset="mnist", iterations=2).keys()
