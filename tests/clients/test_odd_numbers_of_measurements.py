"""One measurement, and more of them than pixels, of pictures that are not square and have colours."""

import pytest
import torch

from csbench import Measurement, get_operator, stream
from csbench.operators import from_matrix
from tests.clients import error, every_method

SHAPE = (3, 9, 7)


@pytest.mark.parametrize("family", ["gaussian", "subsampled-hadamard", "random-pixel-mask"])
@pytest.mark.parametrize("m", [1, 189])
def test_one_measurement_and_all(family, m):
    x = torch.rand(2, 189, generator=stream("x"))
    A = get_operator(family).draw(m, 189, stream("A"))
    every_method(Measurement(A, A(x), 0.0, SHAPE), iterations=10, max_iterations=200)


def test_more_measurements_than_pixels():
    x = torch.rand(2, 189, generator=stream("x"))
    A = from_matrix(torch.randn(400, 189, generator=stream("A")))
    answers = every_method(Measurement(A, A(x), 0.0, SHAPE))
    for name in ("min-norm", "lasso-dct", "basis-pursuit-dct", "tv"):
        assert error(answers[name], x) < 1e-3
