"""A matrix and measurements of torch that require gradients, as those of a learned sensing matrix do."""

import torch

from csbench import Measurement, stream
from csbench.operators import from_matrix
from tests.clients import every_method


def test_a_matrix_that_is_learned():
    matrix = torch.nn.Parameter(torch.randn(40, 100, generator=stream("A")))
    x = torch.rand(2, 100, generator=stream("x"))
    A = from_matrix(matrix)
    every_method(Measurement(A, A(x), 0.0, (1, 10, 10)), iterations=20)
    assert matrix.grad is None
    A(x).square().sum().backward()  # the operator itself still learns
    assert matrix.grad is not None
