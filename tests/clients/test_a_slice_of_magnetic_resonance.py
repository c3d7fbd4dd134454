"""A slice of a head in half of its lines of k-space: `skimage.data.brain` where it was fetched, or else raw k-space."""

import os
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from skimage.io import imread
from skimage.transform import resize

from csbench import Measurement, stream
from csbench.runner.problem import draw_operator
from tests.clients import error, every_method


@pytest.fixture
def magnitude() -> np.ndarray:
    fetched = sorted(Path(pooch.os_cache("scikit-image")).glob("*/data/brain.tiff"))
    measured = Path(os.environ.get("CSBENCH_DATA", "nowhere"), "mri", "cartesian_ksp.npy")
    if fetched:
        return imread(fetched[0])[5].astype(np.float64)
    if measured.is_file():
        coils = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(np.load(measured), (1, 2))), (1, 2))
        return np.sqrt((np.abs(coils) ** 2).sum(0))
    pytest.skip("scikit-image has not fetched its brain, and CSBENCH_DATA holds no mri/cartesian_ksp.npy")


def test_a_slice_of_magnetic_resonance(magnitude):
    x = torch.from_numpy(resize(magnitude / magnitude.max(), (28, 22))).float().flatten()[None]
    A = draw_operator("cartesian-fourier", 22 * 13, (1, 28, 22), stream("slice"))
    answers = every_method(Measurement(A, A(x), 0.0, (1, 28, 22)))
    assert error(answers["tv"], x) <= error(answers["zeros"], x) / 10
