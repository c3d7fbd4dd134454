"""Whole numbers, halves, doubles, views and layouts of NumPy: one matrix, one answer."""

import numpy as np
import pytest
import torch

from csbench import Measurement
from csbench.operators import from_matrix
from tests.clients import every_method

WHOLE = np.random.default_rng(0).integers(-9, 10, (40, 100))
PICTURE = torch.zeros(1, 100)
PICTURE[0, ::17] = torch.arange(1, 7) / 8  # y is exact in half precision

KINDS = {
    "whole numbers": WHOLE,
    "bytes": WHOLE.astype(np.int8),
    "float16": WHOLE.astype(np.float16),
    "float64": WHOLE.astype(np.float64),
    "transposed view": np.ascontiguousarray(WHOLE.T).astype(np.float32).T,
    "Fortran order": np.asfortranarray(WHOLE.astype(np.float32)),
    "every other row and column": np.repeat(np.repeat(WHOLE, 2, 0), 2, 1)[::2, ::2].astype(np.float32),
    "backwards": WHOLE[::-1, ::-1].copy().astype(np.float32)[::-1, ::-1],
    "the other order of bytes": WHOLE.astype(np.dtype("f4").newbyteorder()),
    "long double": WHOLE.astype(np.longdouble),
    "read only": np.broadcast_to(WHOLE.astype(np.float32), WHOLE.shape),
}


def answers_for(matrix: np.ndarray) -> dict[str, torch.Tensor]:
    A = from_matrix(matrix)
    return dict(every_method(Measurement(A, A(PICTURE.to(A.dtype)), 0.0, (1, 10, 10)), iterations=20))


@pytest.fixture(scope="module")
def expected() -> dict[str, torch.Tensor]:
    return answers_for(WHOLE.astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_from_numpy(kind, expected):
    found = answers_for(KINDS[kind])
    assert found.keys() == expected.keys()
    for name, x_hat in found.items():
        torch.testing.assert_close(x_hat.float(), expected[name], atol=2e-2, rtol=0, msg=lambda m, n=name: f"{n}: {m}")
