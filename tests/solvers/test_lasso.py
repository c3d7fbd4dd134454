"""The Lasso solver against cvxpy and scikit-learn, and on problems that break careless solvers."""

import cvxpy as cp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso, lars_path

from csbench import NotApplicable, Problem, get_method, load_suite, stream
from csbench.core.measurement import Measurement
from csbench.core.method import Method, Recovery
from csbench.core.transforms import DCT2
from csbench.operators import DenseMatrix
from csbench.solvers.lasso import path as lasso
from csbench.solvers.lasso import splitting
from csbench.solvers.lasso.path import basis_pursuit, duality_gap, lasso_path, solve_discrepancy, solve_lasso


def random_problem(m: int, n: int, batch: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = stream("lasso", seed)
    B = torch.randn(m, n, generator=rng, dtype=torch.float64) / m**0.5
    theta = torch.randn(batch, n, generator=rng, dtype=torch.float64)
    theta *= torch.rand(batch, n, generator=rng) < 0.2
    return B, theta @ B.T + 0.01 * torch.randn(batch, m, generator=rng, dtype=torch.float64)


def cvxpy_objective(B: torch.Tensor, y: torch.Tensor, alpha: float) -> float:
    theta = cp.Variable(B.shape[1])
    objective = 0.5 * cp.sum_squares(y.numpy() - B.numpy() @ theta) + alpha * cp.norm1(theta)
    problem = cp.Problem(cp.Minimize(objective))
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    assert isinstance(problem.value, float | np.floating)
    return float(problem.value)


@pytest.mark.parametrize(("m", "n"), [(10, 40), (40, 40), (60, 30)])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.001])
def test_objective_agrees_with_cvxpy(m, n, share):
    B, y = random_problem(m, n, 3, m)
    alpha = share * (y @ B).abs().max().item()
    solution = solve_lasso(B, y, alpha)
    for i in range(len(y)):
        assert solution.objective[i].item() == pytest.approx(cvxpy_objective(B, y[i], alpha), rel=1e-6)


def test_agrees_with_scikit_learn_on_digits():
    given, _ = Problem("mnist", "gaussian", 100, 0.1, 0, 4).simulate()
    B = DCT2((1, 28, 28))(given.A.matrix().double())
    for alpha in (0.3, 0.03):
        ours = solve_lasso(B, given.y, alpha)
        for i, y in enumerate(given.y.double().numpy()):
            # scikit-learn minimises 1/(2 m) ||y - B theta||^2 + alpha' ||theta||_1, so alpha' = alpha / m
            model = Lasso(alpha=alpha / 100, fit_intercept=False, tol=1e-10, max_iter=200_000).fit(B.numpy(), y)
            np.testing.assert_allclose(ours.theta[i].numpy(), model.coef_, atol=1e-5)


def test_path_agrees_with_scikit_learns_lars():
    B, y = random_problem(20, 50, 1, 7)
    alphas, _, coefficients = lars_path(B.numpy(), y[0].numpy(), method="lasso", alpha_min=1e-4)
    chosen = [float(a * 20) for a in alphas[1:-1:3]]
    for alpha, theirs, ours in zip(chosen, coefficients.T[1:-1:3], lasso_path(B, y, chosen), strict=True):
        np.testing.assert_allclose(ours.theta[0].numpy(), theirs, atol=1e-7, err_msg=f"alpha = {alpha}")


@given(st.integers(1, 25), st.integers(1, 40), st.integers(0, 10**6), st.floats(1e-4, 1.5))
@settings(deadline=None, max_examples=60)
def test_certified_on_random_problems(m, n, seed, share):
    B, y = random_problem(m, n, 2, seed)
    alpha = max(share * (y @ B).abs().max().item(), 1e-6)
    solution = solve_lasso(B, y, alpha)
    assert solution.gap.max() < 1e-9
    correlation = (y - solution.theta @ B.T) @ B
    assert correlation.abs().max() <= alpha * (1 + 1e-8)
    active = solution.theta != 0
    torch.testing.assert_close(correlation[active], alpha * solution.theta[active].sign(), rtol=1e-7, atol=1e-9)


def test_a_coordinate_may_leave_and_come_back_with_the_other_sign():
    """Nothing else happens between the two knots, so the second is in the segment that begins at the first."""
    B, y = random_problem(2, 2, 2, 2)
    alpha = 1e-4 * (y @ B).abs().max().item()
    path = lasso_path(B, y, [30 * alpha, alpha])
    assert path[0].theta[0, 1] == 0
    assert path[1].theta[0, 1] > 0
    assert lasso_path(B, y, [100 * alpha])[0].theta[0, 1] < 0
    assert path[1].gap.max() < 1e-9


def test_path_equals_single_solutions_in_any_order():
    B, y = random_problem(15, 40, 5, 3)
    alphas = [0.02, 0.5, 0.1, 0.1]
    for alpha, solution in zip(alphas, lasso_path(B, y, alphas), strict=True):
        torch.testing.assert_close(solution.theta, solve_lasso(B, y, alpha).theta, atol=1e-12, rtol=0)


def test_degenerate_problems():
    B, y = random_problem(12, 30, 4, 5)
    alpha = 0.05 * (y @ B).abs().max().item()
    duplicated = torch.cat([B, B[:, :10], -B[:, 5:15]], 1)
    assert solve_lasso(duplicated, y, alpha).gap.max() < 1e-9
    torch.testing.assert_close(solve_lasso(duplicated, y, alpha).objective, solve_lasso(B, y, alpha).objective)
    zero_rows = torch.cat([B, torch.zeros(3, 30, dtype=B.dtype)])
    padded = torch.cat([y, torch.zeros(4, 3, dtype=y.dtype)], 1)
    torch.testing.assert_close(solve_lasso(zero_rows, padded, alpha).theta, solve_lasso(B, y, alpha).theta)
    zero_columns = torch.cat([B, torch.zeros(12, 2, dtype=B.dtype)], 1)
    torch.testing.assert_close(solve_lasso(zero_columns, y, alpha).theta[:, :30], solve_lasso(B, y, alpha).theta)
    assert (solve_lasso(B, torch.zeros_like(y), alpha).theta == 0).all()
    largest = (y[:1] @ B).abs().max().item()
    assert (solve_lasso(B, y[:1], largest).theta == 0).all()
    assert solve_lasso(B, y[:1], largest).gap.max() < 1e-12
    square = torch.eye(6, dtype=torch.float64)  # every knot is a tie: y has equal entries
    soft = solve_lasso(square, torch.full((1, 6), 2.0, dtype=torch.float64), 0.5)
    torch.testing.assert_close(soft.theta, torch.full((1, 6), 1.5, dtype=torch.float64))


def recovered(method: Method, given: Measurement) -> Recovery:
    answer = method.recover(given, stream("x"))
    assert isinstance(answer, Recovery)
    return answer


def adversarial() -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
    """Designs, right-hand sides and penalties, as shares of alpha_max, that break careless solvers."""
    B, y = random_problem(12, 30, 3, 5)
    columns = torch.cat([B, B[:, :10], -B[:, 5:15]], 1)
    sums = torch.cat([B, B[:, :10] + B[:, 10:20], B[:, :5] - 2 * B[:, 5:10]], 1)
    rows = torch.cat([B, torch.zeros(3, 30, dtype=B.dtype), B[:4]])
    tall, of_tall = random_problem(60, 20, 3, 6)
    cube = torch.tensor([[float(i >> k & 1) * 2 - 1 for i in range(16)] for k in range(4)], dtype=torch.float64)
    rounded = (4 * B).round() / 4  # ties among correlations
    many, of_many = random_problem(10, 30, 1000, 8)
    strided = torch.stack([B, B], 2)[:, :, 0]
    frozen = torch.from_numpy(np.frombuffer(y.numpy().tobytes()).reshape(y.shape).copy())
    frozen.numpy().flags.writeable = False
    return {
        "duplicate and opposite columns": (columns, y, 0.05),
        "columns that are sums of others": (sums, y, 0.01),
        "rows that are zero or repeated": (rows, torch.cat([y, torch.zeros(3, 3, dtype=y.dtype), y[:, :4]], 1), 0.05),
        "m >= n": (tall, of_tall, 0.001),
        "a square orthogonal matrix": (torch.linalg.qr(tall[:20])[0], of_tall[:, :20], 0.1),
        "vertices of a cube": (cube, cube[:, :3].T.contiguous() + cube[:, 5], 0.2),
        "few distinct values": (rounded, (2 * y).round(), 0.02),
        "y = 0": (B, torch.zeros_like(y), 0.1),
        "alpha = alpha_max": (B, y, 1.0),
        "alpha > alpha_max": (B, y, 1.5),
        "a tiny penalty": (B, y, 1e-7),
        "one image": (B, y[:1], 0.1),
        "one measurement": (B[:1], y[:, :1], 0.1),
        "one thousand images": (many, of_many, 0.1),
        "views": (strided, y.T.contiguous().T, 0.1),
        "read-only memory": (B, frozen, 0.1),
        "one column": (B[:, :1], y, 0.5),
        "badly scaled columns": (B * 10 ** torch.linspace(-3, 3, 30, dtype=torch.float64), y, 0.01),
    }


@pytest.mark.parametrize("name", adversarial())
def test_adversarial_problems_agree_with_cvxpy(name):
    B, y, share = adversarial()[name]
    alpha = max(share * (y @ B).abs().max().item(), 1e-6)
    solution = solve_lasso(B, y, alpha)
    assert solution.gap.max() < 1e-9
    for i in range(min(len(y), 3)):
        expected = cvxpy_objective(B, y[i], alpha)
        assert solution.objective[i].item() == pytest.approx(expected, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("m", [200, 300, 500, 750])
def test_all_ways_lead_to_one_minimiser(m, monkeypatch):
    """ADMM with Newton's method and paths in float32 and float64, where nearly m coefficients are active."""
    given, _ = Problem("mnist", "gaussian", m, 0.1, 0, 9).simulate()
    B, y = DCT2((1, 28, 28))(given.A.matrix().double()), given.y.double()
    alpha = (y @ B).abs().max().item() / 50
    problem = lasso._Problem.of(B, y)
    target = np.array([alpha])
    exact = lasso._homotopy(problem, target, np.float64)
    assert problem.gaps(exact).max() < 1e-10
    monkeypatch.setattr(splitting, "ITERATIONS", 80)
    for path in (lasso._homotopy(problem, target, np.float32), lasso._split(problem, target)):
        solved = ~problem.inexact(problem.solutions(path))
        assert solved.mean() > 0.8
        np.testing.assert_allclose(path.theta[solved], exact.theta[solved], atol=1e-9)
    torch.testing.assert_close(solve_lasso(B, y, alpha).theta, torch.from_numpy(exact.theta[:, 0]), atol=1e-9, rtol=0)


def test_a_lost_path_is_found_by_coordinate_descent(monkeypatch):
    B, y = random_problem(12, 30, 4, 5)
    expected = solve_lasso(B, y, 0.1)

    def nowhere(problem, targets, dtype, residual=None):
        batch, n = problem.correlation.shape
        return lasso._Paths(np.zeros((batch, 1, n)), np.full((batch, 1), targets[0]), np.zeros((batch, 1), np.int64))

    monkeypatch.setattr(lasso, "_homotopy", nowhere)
    found = solve_lasso(B, y, 0.1)
    assert found.gap.max() < 1e-9
    torch.testing.assert_close(found.theta, expected.theta, atol=1e-5, rtol=0)


def test_threads_change_nothing():
    B, y = random_problem(20, 60, 9, 3)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = solve_lasso(B, y, 0.02)
        torch.set_num_threads(4)
        assert torch.equal(solve_lasso(B, y, 0.02).theta, alone.theta)
    finally:
        torch.set_num_threads(threads)


@given(st.integers(2, 20), st.integers(1, 30), st.integers(0, 10**6), st.floats(0.01, 1.2))
@settings(deadline=None, max_examples=40)
def test_discrepancy_meets_the_residual(m, extra, seed, share):
    """Underdetermined, so that every residual can be met; the solution is the Lasso's at its penalty."""
    B, y = random_problem(m, m + extra, 3, seed)
    delta = share * y.norm(dim=1).min().item()
    found = solve_discrepancy(B, y, delta)
    expected = torch.minimum(torch.full_like(found.residual, delta), y.norm(dim=1))
    torch.testing.assert_close(found.residual, expected, rtol=1e-6, atol=1e-12)
    assert found.gap.max() < 1e-8
    for i in range(3):
        again = solve_lasso(B, y[i : i + 1], found.alpha[i].item())
        torch.testing.assert_close(again.objective[0], found.objective[i], rtol=1e-9, atol=1e-12)


def test_discrepancy_where_the_residual_cannot_be_met():
    B, y = random_problem(60, 20, 2, 4)
    found = solve_discrepancy(B, y, 1e-9)
    least = torch.linalg.lstsq(B, y.T).solution.T
    torch.testing.assert_close(found.theta, least, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("m", "n", "seed"), [(10, 40, 0), (20, 30, 1), (30, 31, 2), (1, 5, 3), (5, 700, 4)])
def test_basis_pursuit_agrees_with_cvxpy(m, n, seed):
    B, y = random_problem(m, n, 3, seed)
    found = basis_pursuit(B, y)
    assert found.residual.max() < 1e-9
    assert found.gap.max() < 1e-8
    for i in range(3):
        theta = cp.Variable(n)
        problem = cp.Problem(cp.Minimize(cp.norm1(theta)), [B.numpy() @ theta == y[i].numpy()])
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
        assert found.objective[i].item() == pytest.approx(problem.value, rel=1e-8)


def test_basis_pursuit_that_is_given_up_is_not_certified(monkeypatch):
    B, y = random_problem(10, 40, 2, 0)
    lost = lasso._Paths(np.zeros((2, 1, 40)), np.zeros((2, 1)), np.zeros((2, 1), np.int64))
    monkeypatch.setattr(lasso, "_homotopy", lambda *arguments: lost)
    assert (basis_pursuit(B, y).gap == 1).all()


def test_layout_does_not_matter():
    B, y = random_problem(10, 20, 6, 9)
    expected = solve_lasso(B, y, 0.05).theta
    strided = torch.stack([B, B], 2)[:, :, 0]
    assert not strided.is_contiguous()
    torch.testing.assert_close(solve_lasso(strided, y, 0.05).theta, expected)
    torch.testing.assert_close(solve_lasso(B.float().double(), y[::2], 0.05).theta, expected[::2], atol=1e-5, rtol=1e-4)


def test_wrong_penalties_are_refused():
    B, y = random_problem(3, 5, 1, 1)
    with pytest.raises(ValueError, match="positive"):
        solve_lasso(B, y, 0.0)


def test_gap_is_zero_only_at_the_minimiser():
    B, y = random_problem(10, 30, 2, 2)
    theta = solve_lasso(B, y, 0.1).theta
    _, gap, residual = duality_gap(B, y, 0.1, theta + 0.01)
    assert gap.min() > 1e-4
    torch.testing.assert_close(residual, (y - (theta + 0.01) @ B.T).norm(dim=1))


@pytest.mark.parametrize("name", ["lasso-sklearn", "lasso-cvxpy"])
def test_peers_find_the_same_images(name):
    given, _ = Problem("mnist", "gaussian", 60, 0.1, 0, 2).simulate()
    ours, theirs = (recovered(get_method(n)(alpha=0.02), given) for n in ("lasso-dct", name))
    assert theirs.diagnostics["converged"].all()
    torch.testing.assert_close(theirs.x_hat, ours.x_hat, atol=1e-3, rtol=0)
    torch.testing.assert_close(theirs.diagnostics["objective"], ours.diagnostics["objective"], rtol=1e-6, atol=0)


def test_peers_run_only_where_they_are_named():
    suite = load_suite("quick")
    assert not {"lasso-sklearn", "lasso-cvxpy"} & set(suite.narrowed().methods)
    assert suite.narrowed(methods=("lasso-cvxpy",)).methods == ("lasso-cvxpy",)
    tuned = [get_method(name)().bind("mnist", "gaussian", 0.1).params() for name in ("lasso-cvxpy", "lasso-dct")]
    assert tuned[0]["alpha"] == tuned[1]["alpha"]


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_points_of_the_path_that_need_no_tuning(dataset):
    given, _ = Problem(dataset, "gaussian", 100, 0.1, 0, 5).simulate()
    stopped = recovered(get_method("lasso-dct-discrepancy")(), given)
    assert stopped.diagnostics["converged"].all()
    torch.testing.assert_close(stopped.diagnostics["residual"], torch.full((5,), 0.1, dtype=torch.float64))
    pursued = recovered(get_method("basis-pursuit-dct")(), given)
    assert pursued.diagnostics["converged"].all()
    assert pursued.diagnostics["residual"].max() < 1e-9


def test_faces_are_too_large_for_a_path():
    n = 3 * 40 * 40
    given = Measurement(DenseMatrix(torch.zeros(2, n)), torch.zeros(1, 2), 0.1, (3, 40, 40))
    with pytest.raises(NotApplicable, match="at most 4096 pixels"):
        get_method("basis-pursuit-dct")().recover(given, stream("x"))


def test_penalty_rules():
    given, _ = Problem("mnist", "gaussian", 50, 0.1, 0, 2).simulate()
    tuned = get_method("lasso-dct")().bind("mnist", "gaussian", 0.1)
    assert tuned.params()["alpha"] is not None
    unknown = get_method("lasso-dct")().bind("mnist", "gaussian", 0.7)
    assert unknown.params()["alpha"] is None
    diagnostics = unknown.recover(given, stream("x")).diagnostics
    assert diagnostics["alpha"][0].item() == pytest.approx(given.noise_std * (2 * np.log(784)) ** 0.5)
    paper = get_method("lasso-dct-paper")().bind("mnist", "gaussian", 0.1).recover(given, stream("x"))
    assert paper.diagnostics["alpha"][0].item() == pytest.approx(0.1)


def test_paper_setting_is_the_objective_of_the_papers_code():
    """scikit-learn with its alpha = 0.1 on A' = sqrt(m) A and y' = sqrt(m) y, as the authors' code calls it."""
    m = 40
    given, _ = Problem("mnist", "gaussian", m, 0.1, 0, 2).simulate()
    x_hat = get_method("lasso-dct-paper")(clip=False).recover(given, stream("x")).x_hat
    psi = DCT2((1, 28, 28))
    unscaled = m**0.5 * psi(given.A.matrix().double())
    for i, y in enumerate(m**0.5 * given.y.double()):
        model = Lasso(alpha=0.1, fit_intercept=False, tol=1e-10, max_iter=200_000).fit(unscaled.numpy(), y.numpy())
        np.testing.assert_allclose(psi(x_hat[i].double()).numpy(), model.coef_, atol=1e-5)
