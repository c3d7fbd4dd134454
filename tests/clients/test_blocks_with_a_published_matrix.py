"""The protocol of the literature on block compressed sensing: 33x33 blocks of Set11, the matrix a file of MATLAB."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat

from csbench import Measurement
from csbench.operators import from_matrix
from tests.clients import error, every_method


@pytest.fixture
def set11(full_data: Path) -> Path:
    folder = full_data / "set11"
    if not (folder / "phi").is_dir():
        pytest.skip("CSBENCH_DATA holds no set11 with the published matrices in phi")
    return folder


@pytest.mark.parametrize("percent", [1, 10, pytest.param(25, marks=pytest.mark.slow)])
def test_blocks_with_a_published_matrix(set11, percent):
    A = from_matrix(loadmat(set11 / "phi" / f"phi_0_{percent}_1089.mat")["phi"])
    picture = np.asarray(Image.open(set11 / "house.tif").convert("L"), np.float64) / 255
    blocks = np.stack([picture[99:132, 99:132], picture[132:165, 66:99]])
    x = torch.from_numpy(blocks).flatten(1)
    answers = every_method(Measurement(A, A(x), 0.0, (1, 33, 33)))
    assert answers["lasso-dct"].dtype == torch.float64
    best = min(error(answers["lasso-dct"], x), error(answers["tv"], x))
    assert best < (0.02 if percent > 1 else error(answers["zeros"], x))
