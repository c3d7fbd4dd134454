import math
import pickle

import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csbench.catalogue.registry import entries, get_operator
from csbench.core.errors import ShapeError, UsageError
from csbench.core.seeding import stream
from csbench.operators import (
    DenseMatrix,
    Gaussian,
    Identity,
    ImageOperator,
    LinearOperator,
    PartialCirculant,
    Rademacher,
    RandomPixelMask,
    SparseRademacher,
    SubsampledDCT,
    SubsampledHadamard,
    from_matrix,
)

FAMILIES = [
    Gaussian,
    Rademacher,
    RandomPixelMask,
    Identity,
    SparseRademacher,
    SubsampledDCT,
    SubsampledHadamard,
    PartialCirculant,
]
shapes = st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10**6))


def draw(family: type[LinearOperator], shape: tuple[int, int, int]) -> LinearOperator:
    m, n, seed = shape
    m = n if family is Identity else min(m, n)
    return family.draw(m, n, stream("test", seed))


@pytest.mark.parametrize("family", FAMILIES)
@given(shapes)
@settings(deadline=None, max_examples=40)
def test_rows_are_orthogonal_where_the_frame_is_known(family, shape):
    A = draw(family, shape).to(torch.float64)
    if A.frame is not None:
        matrix = A.matrix()
        torch.testing.assert_close(matrix @ matrix.T, A.frame * torch.eye(A.shape[0]).double(), atol=1e-10, rtol=0)


def test_which_frames_are_known():
    """Those that are for every n: rows of an orthonormal transform, but not of one whose columns may be cut off."""
    frames = {family.__name__: draw(family, (4, 12, 0)).frame for family in FAMILIES}
    expected = {name: 3.0 for name in ("RandomPixelMask", "SubsampledDCT", "PartialCirculant")} | {"Identity": 1.0}
    assert {name: frame for name, frame in frames.items() if frame is not None} == expected


def test_every_operator_is_tested_here():
    """Those that need the image's shape are tested in test_image_operators.py."""
    plain = {family for name in entries("operators") if not issubclass(family := get_operator(name), ImageOperator)}
    assert plain == {*FAMILIES, DenseMatrix}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@given(shapes, st.lists(st.integers(1, 4), max_size=2))
@settings(deadline=None, max_examples=40)
def test_adjoint_dot_test(family, dtype, tol, shape, batch):
    A = draw(family, shape).to(dtype)
    m, n = A.shape
    x = torch.randn(*batch, n, dtype=dtype, generator=stream("x", shape[2]))
    y = torch.randn(*batch, m, dtype=dtype, generator=stream("y", shape[2]))
    assert A(x).shape == (*batch, m)
    assert A.adjoint(y).shape == (*batch, n)
    left, right = (A(x) * y).sum(), (x * A.adjoint(y)).sum()
    assert abs(left - right) <= tol * (1 + A(x).norm() * y.norm())


@pytest.mark.parametrize("family", FAMILIES)
@given(shapes)
@settings(deadline=None, max_examples=25)
def test_agrees_with_its_dense_matrix(family, shape):
    A = draw(family, shape).to(torch.float64)
    m, n = A.shape
    matrix = A.matrix()
    assert matrix.shape == (m, n)
    x, y = torch.randn(3, n, dtype=torch.float64), torch.randn(3, m, dtype=torch.float64)
    torch.testing.assert_close(A(x), x @ matrix.T)
    torch.testing.assert_close(A.adjoint(y), y @ matrix)
    assert A.norm() == pytest.approx(torch.linalg.svdvals(matrix).max().item(), rel=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
def test_is_differentiable(family):
    A = draw(family, (4, 7, 1)).to(torch.float64)
    m, n = A.shape
    x = torch.randn(2, n, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, m, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(A, x)
    assert torch.autograd.gradcheck(A.adjoint, y)


@pytest.mark.parametrize("family", FAMILIES)
def test_keeps_the_mean_energy_of_a_signal(family):
    n = 64
    x = torch.randn(n, generator=stream("energy"))
    energies = [draw(family, (16, n, seed))(x).square().sum().item() for seed in range(400)]
    ratio = torch.tensor(energies).mean() / x.square().sum()
    assert abs(ratio - 1) < 0.08


def test_gaussian_entries_have_variance_one_over_m():
    matrix = Gaussian.draw(200, 500, stream("variance")).matrix()
    assert matrix.var().item() == pytest.approx(1 / 200, rel=0.02)
    assert abs(matrix.mean().item()) < 5 / math.sqrt(200 * 200 * 500)


def test_blocks_do_not_change_the_draw():
    few, many = Gaussian.draw(70, 9, stream("b")).matrix(), Gaussian.draw(140, 9, stream("b")).matrix()
    torch.testing.assert_close(few[:64] * math.sqrt(70), many[:64] * math.sqrt(140))


@pytest.mark.parametrize("family", FAMILIES)
def test_survives_pickling_and_moves_between_dtypes(family):
    A = draw(family, (4, 7, 3))
    again = pickle.loads(pickle.dumps(A))
    x = torch.randn(2, A.shape[1])
    assert torch.equal(again(x), A(x))
    assert A.to(torch.float64)(x.double()).dtype == torch.float64
    assert A.to(torch.float32).dtype == torch.float32


def test_wrong_shapes_name_both():
    A = from_matrix(torch.zeros(3, 5))
    with pytest.raises(ShapeError, match=r"\(3, 5\).*must be 5.*\(2, 4\)"):
        A(torch.zeros(2, 4))
    with pytest.raises(ShapeError, match=r"\(3, 5\).*must be 3.*\(5,\)"):
        A.adjoint(torch.zeros(5))
    with pytest.raises(ShapeError, match="float64"):
        A(torch.zeros(5, dtype=torch.float64))
    with pytest.raises(ShapeError, match="two axes"):
        from_matrix(torch.zeros(3))


def test_impossible_draws_are_refused():
    with pytest.raises(ShapeError, match="m = 8 of n = 7"):
        RandomPixelMask.draw(8, 7, stream("x"))
    with pytest.raises(ShapeError, match="m = n = 7"):
        Identity.draw(6, 7, stream("x"))
    with pytest.raises(UsageError, match="subsampled-dct has 1 to 7 rows here, not m = 8; the nearest is m = 7"):
        SubsampledDCT.draw(8, 7, stream("x"))
    with pytest.raises(UsageError, match="subsampled-hadamard has 1 to 8 rows here, not m = 9"):
        SubsampledHadamard.draw(9, 7, stream("x"))
    with pytest.raises(UsageError, match="cannot be drawn"):
        DenseMatrix.draw(6, 7, stream("x"))
    with pytest.raises(ShapeError, match="distinct"):
        RandomPixelMask(torch.tensor([1, 1]), 5)


@pytest.mark.parametrize("family", [SubsampledDCT, SubsampledHadamard, PartialCirculant])
def test_fast_operators_keep_what_half_precision_can_hold(family):
    A = family.draw(20, 60, stream("half"))
    x = torch.rand(3, 60)
    low = A.to(torch.bfloat16)(x.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), A(x), atol=0.03, rtol=0.02)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 49, 60])
def test_subsampled_dct_is_scipys(n):
    A = SubsampledDCT.draw(max(1, n // 2), n, stream("dct", n)).to(torch.float64)
    x = torch.randn(4, n, generator=stream("x"), dtype=torch.float64)
    transformed = scipy.fft.dctn((A.signs * x).numpy(), axes=[1], norm="ortho")
    np.testing.assert_allclose(A(x), math.sqrt(n / A.shape[0]) * transformed[:, A.kept.numpy()], atol=1e-12)
    assert A.signs.abs().eq(1).all()


@pytest.mark.parametrize("n", [1, 2, 16, 20, 33])
def test_subsampled_hadamard_is_scipys_padded_to_a_power_of_two(n):
    A = SubsampledHadamard.draw(max(1, n // 2), n, stream("hadamard", n)).to(torch.float64)
    matrix = scipy.linalg.hadamard(2 ** math.ceil(math.log2(n)))[A.kept.numpy(), :n] * A.signs.numpy()
    np.testing.assert_allclose(A.matrix(), matrix / math.sqrt(A.shape[0]), atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 15, 16])
def test_partial_circulant_is_rows_of_an_orthonormal_circulant_matrix(n):
    A = PartialCirculant.draw(n, n, stream("circulant", n)).to(torch.float64)
    matrix = A.matrix().numpy()
    np.testing.assert_allclose(matrix, scipy.linalg.circulant(matrix[:, 0]), atol=1e-12)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(n), atol=1e-12)
    part = PartialCirculant(A.spectrum, torch.arange(0, n, 2), n).to(torch.float64)
    np.testing.assert_allclose(part.matrix() * math.sqrt(len(part.kept) / n), matrix[::2], atol=1e-12)


def test_sparse_rademacher_has_a_third_of_its_entries():
    matrix = SparseRademacher.draw(300, 1000, stream("sparse")).matrix() * math.sqrt(300 / 3)
    for value, share in ((1.0, 1 / 6), (0.0, 2 / 3), (-1.0, 1 / 6)):
        assert abs(torch.isclose(matrix, torch.tensor(value)).float().mean().item() - share) < 0.004


@pytest.mark.parametrize("family", [SubsampledDCT, SubsampledHadamard, PartialCirculant])
def test_a_sparse_image_comes_back_from_few_fast_measurements(family):
    """What the operators are for: the least l1 norm finds 5 spikes in 128 from 50 rows (Candes, Romberg, Tao 2006)."""
    from scipy.optimize import linprog

    A = family.draw(50, 128, stream("sparse recovery")).to(torch.float64)
    x = torch.zeros(128, dtype=torch.float64)
    x[torch.randperm(128, generator=stream("support"))[:5]] = torch.randn(5, generator=stream("values")).double()
    matrix = A.matrix().numpy()
    found = linprog(np.ones(256), A_eq=np.hstack([matrix, -matrix]), b_eq=A(x).numpy(), bounds=(0, None)).x
    np.testing.assert_allclose(found[:128] - found[128:], x, atol=1e-6)
