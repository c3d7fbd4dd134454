"""A sparse matrix of SciPy, of which some pixels are in no measurement."""

import torch
from scipy import sparse

from csbench import Measurement
from csbench.operators import from_matrix
from tests.clients import every_method


def test_a_matrix_from_scipy():
    matrix = sparse.random_array((50, 120), density=0.05, format="csr", dtype="float32", rng=0)
    assert (matrix.sum(0) == 0).any()
    x = torch.linspace(0, 1, 120).expand(2, -1).contiguous()
    A = from_matrix(matrix)
    given = Measurement(A, A(x), 0.0, (3, 5, 8))
    dense = Measurement(from_matrix(torch.from_numpy(matrix.toarray())), A(x), 0.0, (3, 5, 8))
    found, expected = every_method(given, iterations=20), every_method(dense, iterations=20)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
