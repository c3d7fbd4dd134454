"""Total variation against cvxpy, its certificate, and what the penalty is for."""

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csbench import Problem, get_method, stream
from csbench.core.measurement import Measurement
from csbench.core.method import Recovery
from csbench.operators import DenseMatrix, Gaussian, Identity, LinearOperator, RandomPixelMask, from_matrix
from csbench.solvers.total_variation import gradient, gradient_adjoint, tv_path

Shape = tuple[int, int, int]


def piecewise_constant(image_shape: Shape, batch: int) -> torch.Tensor:
    """Rectangles on a dark ground, shape [batch, n]."""
    c, h, w = image_shape
    x = torch.zeros(batch, c, h, w)
    for i in range(batch):
        x[i, :, h // 4 : h // 2 + i, w // 4 : -w // 4] = 0.8
        x[i, 0, -h // 4 :, : w // 3] = 0.4
    return x.flatten(1)


def problem(image_shape: Shape, m: int, seed: int = 0) -> tuple[LinearOperator, torch.Tensor]:
    n = int(np.prod(image_shape))
    A = Gaussian.draw(m, n, stream("tv", seed)).to(torch.float64)
    x = piecewise_constant(image_shape, 2).double()
    return A, A(x) + 0.02 * torch.randn(2, m, generator=stream("noise", seed), dtype=torch.float64)


def differences(image_shape: Shape) -> list[sp.csr_matrix]:
    """Down and right, as sparse matrices that know nothing of ours."""
    _, h, w = image_shape

    def along(k: int) -> sp.csr_matrix:
        return sp.diags([np.r_[-np.ones(k - 1), 0.0], np.ones(k - 1)], [0, 1], shape=(k, k), format="csr")

    eyes = [sp.identity(k) for k in image_shape]
    return [sp.kron(sp.kron(eyes[0], along(h)), eyes[2]).tocsr(), sp.kron(sp.kron(eyes[0], eyes[1]), along(w)).tocsr()]


def cvxpy_objective(A: LinearOperator, y: torch.Tensor, image_shape: Shape, alpha: float, box: bool) -> float:
    x = cp.Variable(A.shape[1])
    pixels = A.shape[1] // image_shape[0]
    rows = cp.vstack([cp.reshape(D @ x, (image_shape[0], pixels), order="C") for D in differences(image_shape)])
    objective = 0.5 * cp.sum_squares(A.matrix().numpy() @ x - y.numpy()) + alpha * cp.sum(cp.norm(rows, 2, axis=0))
    found = cp.Problem(cp.Minimize(objective), [x >= 0, x <= 1] if box else [])
    return float(found.solve(solver=cp.CLARABEL))  # type: ignore[arg-type]


@pytest.mark.parametrize(("image_shape", "m"), [((1, 8, 10), 30), ((3, 6, 5), 40), ((1, 5, 6), 40)])
@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 0.3])
@pytest.mark.parametrize("box", [False, True])
def test_objective_agrees_with_cvxpy(image_shape, m, alpha, box):
    A, y = problem(image_shape, m)
    solution = tv_path(A, y, image_shape, [alpha], tol=1e-5, iterations=20_000, box=box)[0]
    assert solution.gap.max() <= 1e-5
    for i in range(len(y)):
        expected = cvxpy_objective(A, y[i], image_shape, alpha, box)
        assert solution.objective[i].item() == pytest.approx(expected, rel=1e-4)
    if box:
        assert solution.x_hat.min() >= 0
        assert solution.x_hat.max() <= 1


@given(st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)), st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_adjoint_of_the_gradient(image_shape, seed):
    rng = stream("gradient", seed)
    x = torch.randn(2, *image_shape, generator=rng, dtype=torch.float64)
    p = torch.randn(2, 2, *image_shape, generator=rng, dtype=torch.float64)
    torch.testing.assert_close((gradient(x) * p).sum(), (x * gradient_adjoint(p)).sum())
    ours, theirs = gradient(x)[0].flatten(1), [D @ x[0].flatten().numpy() for D in differences(image_shape)]
    np.testing.assert_allclose(ours.numpy(), np.stack(theirs), atol=1e-12)


@pytest.mark.parametrize("box", [False, True])
def test_the_gap_bounds_how_far_the_objective_is_from_its_least(box):
    """Also after too few iterations, where the gap is far from small."""
    A, y = problem((1, 8, 10), 30)
    best = tv_path(A, y, (1, 8, 10), [0.01], box=box, tol=1e-8, iterations=50_000)[0]
    assert best.gap.max() <= 1e-8
    for iterations in (20, 40, 100):
        rough = tv_path(A, y, (1, 8, 10), [0.01], box=box, tol=1e-8, iterations=iterations)[0]
        assert (rough.iterations == iterations).all()
        assert (rough.gap > 1e-6).all()
        assert (rough.objective * (1 - rough.gap) <= best.objective * (1 + 1e-12)).all()


def test_piecewise_constant_images_are_recovered_from_few_measurements():
    image_shape, m = (1, 28, 28), 160
    x = piecewise_constant(image_shape, 3)
    A = Gaussian.draw(m, 784, stream("exact"))
    given = Measurement(A, A(x), 0.0, image_shape)
    recovery = recovered(given, alpha=1e-6)
    assert (recovery.x_hat - x).square().mean(1).max() < 1e-5
    least_norm = A(x) @ torch.linalg.pinv(A.matrix()).T
    assert (least_norm - x).square().mean(1).min() > 1e-2


def test_denoising_a_constant_keeps_it_and_its_mean_survives_any_penalty():
    image_shape = (3, 6, 7)
    A = Identity(126, torch.float64)
    noisy = 0.5 + 0.1 * torch.randn(2, 126, generator=stream("flat"), dtype=torch.float64)
    flat = tv_path(A, noisy, image_shape, [100.0])[0].x_hat.view(2, 3, 42)
    torch.testing.assert_close(flat, noisy.view(2, 3, 42).mean(2, keepdim=True).expand_as(flat), atol=1e-3, rtol=0)


def recovered(given: Measurement, **fields: float) -> Recovery:
    answer = get_method("tv")(**fields).recover(given, stream("x"))
    assert isinstance(answer, Recovery)
    return answer


def test_neither_order_nor_company_matters():
    given, _ = Problem("mnist", "gaussian", 60, 0.1, 0, 6).simulate()
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    whole = recovered(given, alpha=0.01)
    permuted = recovered(Measurement(given.A, given.y[order], given.noise_std, given.image_shape), alpha=0.01)
    alone = recovered(Measurement(given.A, given.y[3:4], given.noise_std, given.image_shape), alpha=0.01)
    torch.testing.assert_close(permuted.x_hat, whole.x_hat[order], atol=1e-6, rtol=0)
    torch.testing.assert_close(alone.x_hat, whole.x_hat[3:4], atol=1e-6, rtol=0)
    assert torch.equal(permuted.diagnostics["iterations"], whole.diagnostics["iterations"][order])


def test_a_path_ends_where_single_penalties_do():
    given, _ = Problem("mnist", "gaussian", 60, 0.1, 0, 3).simulate()
    alphas = [1e-3, 0.1, 1e-2]
    method = get_method("tv")(tol=1e-5)
    for alpha, on_path in zip(alphas, method.recover_path(given, alphas), strict=True):  # type: ignore[attr-defined]
        single = recovered(given, alpha=alpha, tol=1e-5)
        torch.testing.assert_close(on_path.diagnostics["objective"], single.diagnostics["objective"], rtol=2e-5, atol=0)
        assert on_path.diagnostics["converged"].all()


def test_the_units_of_y_do_not_matter():
    given, _ = Problem("mnist", "gaussian", 60, 0.1, 0, 2).simulate()
    bright = Measurement(given.A, 1000 * given.y, 1000 * given.noise_std, given.image_shape)
    ours, theirs = recovered(given, alpha=0.01, clip=False), recovered(bright, alpha=10.0, clip=False)
    torch.testing.assert_close(theirs.x_hat, 1000 * ours.x_hat, atol=1e-2, rtol=1e-4)


def test_operators_that_see_no_constant_or_some_pixels_only():
    x = piecewise_constant((1, 12, 12), 2)
    matrix = torch.randn(60, 144, generator=stream("rows"))
    blind = DenseMatrix(matrix - matrix.mean(1, keepdim=True))
    for A in (blind, RandomPixelMask.draw(70, 144, stream("mask"))):
        solution = tv_path(A, A(x), (1, 12, 12), [1e-3])[0]
        assert solution.gap.max() <= 1e-4
    black = tv_path(blind, torch.zeros(1, 60), (1, 12, 12), [1e-3])[0]
    assert (black.x_hat == 0).all()
    assert (black.gap == 0).all()


def test_wrong_penalties_are_refused():
    A, y = problem((1, 4, 4), 5)
    with pytest.raises(ValueError, match="positive"):
        tv_path(A, y, (1, 4, 4), [0.1, 0.0])


def test_penalty_rules():
    given, _ = Problem("mnist", "gaussian", 50, 0.1, 0, 2).simulate()
    assert get_method("tv")().bind("mnist", "gaussian", 0.1).params()["alpha"] is not None
    assert get_method("tv")().bind("mnist", "gaussian", 0.7).params()["alpha"] is None
    assert recovered(given).diagnostics["alpha"][0].item() == pytest.approx(given.noise_std)
    silent = Measurement(given.A, given.y, 0.0, given.image_shape)
    assert 0 < recovered(silent).diagnostics["alpha"][0] < 0.1


@pytest.mark.parametrize("box", [False, True])
def test_equal_columns_end_with_a_certificate_or_a_flag(box):
    A = torch.randn(30, 144, generator=stream("A"), dtype=torch.float64) / 30**0.5
    A[:, 1::2] = A[:, ::2]
    y = torch.rand(2, 144, generator=stream("x"), dtype=torch.float64) @ A.T
    for alpha in (1e-2, 1e-6):
        done, cut = (
            tv_path(from_matrix(A), y, (1, 12, 12), [alpha], box=box, iterations=most)[0] for most in (4000, 20)
        )
        assert torch.equal(done.converged, done.gap <= 1e-4)
        assert (done.iterations <= 4000).all()
        assert not cut.converged.any()
        assert done.x_hat.isfinite().all()
