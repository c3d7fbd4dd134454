"""ADMM with the active-set method, for the Lasso on large problems, against homotopy and scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from csbench import get_method, stream
from csbench.catalogue.suites import load_suite
from csbench.core.measurement import Measurement
from csbench.core.method import Recovery
from csbench.core.transforms import DCT2, PixelBasis, Wavelet2
from csbench.operators import from_matrix
from csbench.runner.problem import Truth
from csbench.solvers.lasso.active_set import ActiveSet
from csbench.solvers.lasso.admm import DEFAULT, Design, certify, lasso_path
from csbench.solvers.lasso.newton import newton_step, signs_after
from csbench.solvers.lasso.path import duality_gap, solve_lasso
from csbench.studies import tune as tuning


def problem(m: int, n: int, batch: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = stream("lasso-large", seed)
    A = torch.randn(m, n, generator=rng) / m**0.5
    theta = torch.randn(batch, n, generator=rng) * (torch.rand(batch, n, generator=rng) < 0.2)
    return A, theta @ A.T + 0.01 * torch.randn(batch, m, generator=rng)


def pixels(n: int) -> PixelBasis:
    return PixelBasis((1, 1, n))


def compressible(shape: tuple[int, int, int], batch: int, m: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A, y and images whose DCT coefficients fall off as those of photographs do."""
    rng = stream("lasso-compressible", m)
    c, h, w = shape
    decay = 1 + torch.arange(h)[:, None] ** 2 + torch.arange(w) ** 2
    x = DCT2(shape).inverse((torch.randn(batch, c, h, w, generator=rng) / decay).reshape(batch, -1))
    A = torch.randn(m, c * h * w, generator=rng) / m**0.5
    return A, x @ A.T + 0.1 / m**0.5 * torch.randn(batch, m, generator=rng), x


@pytest.mark.parametrize(("m", "n"), [(10, 40), (40, 40), (60, 30), (100, 300)])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_agrees_with_homotopy(m, n, share):
    A, y = problem(m, n, 3, m)
    alpha = share * (y @ A).abs().max().item()
    (ours,) = lasso_path(A, y, pixels(n), [alpha], tol=1e-9)
    exact = solve_lasso(A, y, alpha)
    assert ours.gap.max() <= 1e-9
    torch.testing.assert_close(ours.objective, exact.objective, rtol=1e-8, atol=0)
    torch.testing.assert_close(ours.theta, exact.theta, atol=1e-4, rtol=0)


@given(st.integers(1, 25), st.integers(1, 40), st.integers(0, 10**6), st.floats(1e-3, 1.5))
@settings(deadline=None, max_examples=40)
def test_certified_on_random_problems(m, n, seed, share):
    A, y = problem(m, n, 2, seed)
    alpha = max(share * (y @ A).abs().max().item(), 1e-6)
    (solution,) = lasso_path(A, y, pixels(n), [alpha], tol=1e-6)
    objective, gap, residual = duality_gap(A.double(), y.double(), alpha, solution.theta)
    assert gap.max() <= 1e-6
    torch.testing.assert_close(solution.objective, objective)
    torch.testing.assert_close(solution.residual, residual)


def test_agrees_with_scikit_learn():
    A, y, _ = compressible((1, 32, 32), 2, 200)
    psi = DCT2((1, 32, 32))
    (ours,) = lasso_path(A, y, psi, [0.01], tol=1e-9)
    B = psi(A.double())
    for theta, row in zip(ours.theta, y.double(), strict=True):
        model = Lasso(alpha=0.01 / 200, fit_intercept=False, tol=1e-10, max_iter=200_000).fit(B.numpy(), row.numpy())
        np.testing.assert_allclose(theta.numpy(), model.coef_, atol=1e-5)


@pytest.mark.parametrize("rounds", [0, 1, 6])
def test_active_set_finishes_from_any_start(rounds):
    A, y = problem(60, 200, 4, 1)
    alpha = 0.01 * (y @ A).abs().max().item()
    (solution,) = lasso_path(
        A, y, pixels(200), [alpha], tol=1e-10, options=replace(DEFAULT, rounds=rounds, iterations=20)
    )
    assert solution.gap.max() <= 1e-10


def test_active_set_mends_a_bad_guess():
    A, y = problem(20, 60, 1, 2)
    active = ActiveSet.of(A.T.contiguous().numpy(), np.linspace(1, 2, 60))
    assert active.size == 20
    theta = torch.from_numpy(active.theta)[None]
    for _ in range(3):
        found = certify(Design(A, pixels(60)), y.double(), 0.05, theta)
        active.move(found.correlation[0].numpy(), 0.05, 1000)
        theta = torch.from_numpy(active.theta)[None]
    torch.testing.assert_close(theta, solve_lasso(A, y, 0.05).theta, atol=1e-10, rtol=0)


def test_active_set_makes_room():
    A, y = problem(200, 400, 1, 6)
    (solution,) = lasso_path(A, y, pixels(400), [0.01], tol=1e-9, options=replace(DEFAULT, rounds=0, last_rounds=0))
    assert (solution.theta != 0).sum() > 64
    assert solution.gap.max() <= 1e-9


def test_dependent_columns_and_rows():
    A, y = problem(20, 60, 2, 2)
    exact = solve_lasso(A, y, 0.05)
    doubled = torch.cat([A, -A, torch.zeros(20, 5)], 1)
    (solution,) = lasso_path(doubled, y, pixels(125), [0.05], tol=1e-9, options=replace(DEFAULT, rounds=2))
    torch.testing.assert_close(solution.objective, exact.objective, rtol=2e-9, atol=0)
    (padded,) = lasso_path(
        torch.cat([A, torch.zeros(3, 60)]), torch.cat([y, y[:, :3]], 1), pixels(60), [0.05], tol=1e-9
    )
    torch.testing.assert_close(padded.theta, exact.theta, atol=1e-6, rtol=0)
    assert ActiveSet.of(doubled.T.contiguous().numpy(), np.ones(125)).size <= 20


def test_nothing_to_recover():
    A, y = problem(20, 60, 2, 3)
    largest = (y.double() @ A.double()).abs().max().item()
    for alpha in (largest, 2 * largest):
        (solution,) = lasso_path(A, y, pixels(60), [alpha], tol=1e-6)
        assert (solution.theta == 0).all()
        assert solution.gap.max() <= 1e-6
    (solution,) = lasso_path(A, torch.zeros_like(y), pixels(60), [0.1], tol=1e-6)
    assert (solution.theta == 0).all()
    assert (solution.gap == 0).all()


def test_path_equals_single_solutions_in_any_order():
    A, y = problem(40, 120, 3, 4)
    alphas = [0.02, 0.5, 0.1, 0.1]
    for alpha, solution in zip(alphas, lasso_path(A, y, pixels(120), alphas, tol=1e-9), strict=True):
        (single,) = lasso_path(A, y, pixels(120), [alpha], tol=1e-9)
        torch.testing.assert_close(solution.objective, single.objective, rtol=2e-9, atol=0)
        torch.testing.assert_close(solution.theta, single.theta, atol=1e-5, rtol=0)


def test_one_image_does_not_depend_on_the_others():
    A, y = problem(40, 120, 3, 5)
    (together,), (alone,) = (lasso_path(A, part, pixels(120), [0.05], tol=1e-10) for part in (y, y[1:2]))
    torch.testing.assert_close(alone.theta, together.theta[1:2], atol=1e-6, rtol=0)


def test_wrong_penalties_are_refused():
    A, y = problem(3, 5, 1, 1)
    with pytest.raises(ValueError, match="positive"):
        lasso_path(A, y, pixels(5), [0.0], tol=1e-6)


@pytest.mark.parametrize("basis", [DCT2, Wavelet2])
def test_design_is_exact(basis):
    psi = basis((3, 16, 16))
    A = torch.randn(300, 768)
    B = psi(A.double())
    design = Design(A, psi)
    theta, r = torch.randn(2, 768, dtype=torch.float64), torch.randn(2, 300, dtype=torch.float64)
    torch.testing.assert_close(design(theta), theta @ B.T)
    torch.testing.assert_close(design.adjoint(r), r @ B)
    torch.testing.assert_close(design.columns(), B.T.float(), atol=1e-6, rtol=0)


def test_certified_on_colour_images():
    shape = (3, 32, 32)
    A, y, x = compressible(shape, 2, 1536)
    (solution,) = lasso_path(A, y, Wavelet2(shape), [0.03], tol=1e-6)
    assert solution.gap.max() <= 1e-6
    assert ((Wavelet2(shape).inverse(solution.theta) - x) ** 2).sum() < 0.1 * (x**2).sum()


@pytest.mark.parametrize("name", ["lasso-dct", "lasso-wavelet", "lasso-pixel"])
def test_methods_on_faces(name):
    shape = (3, 64, 64)
    A, y, _ = compressible(shape, 2, 30)
    measured = Measurement(from_matrix(A), y, 0.1 / 30**0.5, shape)
    method = get_method(name)(alpha=0.01)
    recovery = method.recover(measured, stream("x"))
    names = {"iterations", "objective", "residual", "duality_gap", "support_size", "converged", "alpha"}
    assert set(recovery.diagnostics) == names
    assert recovery.diagnostics["converged"].all()
    assert recovery.x_hat.dtype == torch.float32
    first, last = method.recover_path(measured, [0.01, 0.1])
    torch.testing.assert_close(first.x_hat, recovery.x_hat, atol=1e-3, rtol=0)
    torch.testing.assert_close(last.diagnostics["alpha"], torch.full((2,), 0.1, dtype=torch.float64))


def test_tuning_takes_a_shorter_grid_and_a_looser_gap(monkeypatch):
    seen = []

    class Simulated:
        def __init__(self, *coordinates, **where):
            pass

        def simulate(self):
            A, y, x = compressible((3, 64, 64), 2, 20)
            return Measurement(from_matrix(A), y, 0.1 / 20**0.5, (3, 64, 64)), Truth(x, np.arange(2))

    def remember(self, measured, alphas):
        seen.append((self.tol, alphas))
        return [Recovery(torch.full_like(x_hat, alpha)) for alpha in alphas]

    x_hat = torch.zeros(2, 12288)
    monkeypatch.setattr(tuning, "Problem", Simulated)
    monkeypatch.setattr(get_method("lasso-dct"), "recover_path", remember)
    outcome = tuning.tune("lasso-dct", load_suite("celeba-gaussian").narrowed(m=[20]), 2)
    assert seen == [(tuning.LARGE_TOL, list(tuning.LARGE_GRID))]
    assert list(outcome.scores) == [0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316, 1.0, 3.16, 10.0]


def test_newtons_method_mends_a_support_that_is_nearly_right():
    rng = stream("newton")
    B = torch.randn(60, 200, generator=rng, dtype=torch.float64) / 60**0.5
    y = (torch.randn(200, generator=rng, dtype=torch.float64) * (torch.rand(200, generator=rng) < 0.1)) @ B.T
    alpha = 0.1 * (y @ B).abs().max().item()
    exact = solve_lasso(B, y[None], alpha).theta[0].numpy()
    columns, theta, sign = B.T.float().contiguous().numpy(), exact.copy(), np.sign(exact)
    support, others = np.flatnonzero(exact), np.flatnonzero(exact == 0)
    theta[support[:3]] = sign[support[:3]] = 0.0
    theta[others[:2]], sign[others[:2]] = 0.05, 1.0
    correlation = ((y - torch.from_numpy(theta) @ B.T) @ B).numpy()
    for _ in range(8):
        moved = newton_step(columns, theta, sign, correlation, alpha)
        assert moved is not None
        theta, correlation = moved, ((y - torch.from_numpy(moved) @ B.T) @ B).numpy()
        sign = signs_after(theta, sign, correlation, alpha)
    np.testing.assert_allclose(theta, exact, atol=1e-9)


def test_newtons_method_refuses_dependent_columns():
    columns = np.ones((5, 3), dtype=np.float32)
    assert newton_step(columns, np.zeros(5), np.array([1.0, 1.0, 0, 0, 0]), np.ones(5), 0.1) is None
    assert newton_step(columns, np.zeros(5), np.ones(5), np.ones(5), 0.1) is None
    assert (newton_step(columns, np.ones(5), np.zeros(5), np.ones(5), 0.1) == 0).all()
