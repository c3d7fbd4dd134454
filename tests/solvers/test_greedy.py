"""Greedy solvers against scikit-learn, literal loops and optimality conditions; tree projection against brute force."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import orthogonal_mp

from csbench import NotApplicable, Problem, get_method, load_suite, stream
from csbench.core import tuned
from csbench.core.measurement import Measurement
from csbench.core.transforms import DCT2, PixelBasis, Wavelet2
from csbench.operators import RandomPixelMask, from_matrix
from csbench.solvers.sparse.greedy import SparseSolution, cosamp, iht, largest, omp
from csbench.solvers.sparse.wavelet_trees import wavelet_trees
from csbench.studies.tune import tune


def threshold(B: torch.Tensor, y: torch.Tensor, k: int, noise_norm: float = 0.0, **fields) -> SparseSolution:
    """`iht` for a design."""
    return iht(from_matrix(B), y, PixelBasis((1, 1, B.shape[1])), k, noise_norm=noise_norm, **fields)


SOLVERS = {"omp": omp, "cosamp": cosamp, "iht": partial(threshold, iterations=1000, tol=1e-12)}
METHODS = ["omp-dct", "omp-wavelet", "cosamp-dct", "cosamp-wavelet", "model-cosamp-wavelet", "iht-wavelet"]
solvers = pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS.keys())


def sparse(m: int, n: int, k: int, batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A Gaussian design and signals with k normal entries each, float64."""
    rng = stream("greedy", seed)
    B = torch.randn(m, n, generator=rng, dtype=torch.float64) / m**0.5
    places = torch.rand(batch, n, generator=rng).topk(k, dim=1).indices
    values = torch.randn(batch, k, generator=rng, dtype=torch.float64)
    return B, torch.zeros(batch, n, dtype=torch.float64).scatter_(1, places, values)


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """The design of 100 Gaussian measurements in the DCT basis, and those of ten digits."""
    measured, _ = Problem("mnist", "gaussian", 100, 0.1, 0, 10, "validation").simulate()
    return DCT2((1, 28, 28))(measured.A.matrix().double()), measured.y.double()


@solvers
def test_sparse_signals_are_recovered_exactly(solve):
    B, theta = sparse(120, 300, 10, 20)
    found = solve(B, theta @ B.T, 10)
    torch.testing.assert_close(found.theta, theta, atol=1e-6, rtol=0)
    assert found.converged.all()
    assert (found.residual < 1e-5).all()


@solvers
def test_noise_is_not_amplified(solve):
    B, theta = sparse(120, 300, 10, 20)
    noise = 0.01 * torch.randn(20, 120, generator=stream("noise"), dtype=torch.float64) / 120**0.5
    error = (solve(B, theta @ B.T + noise, 10, noise_norm=0.01).theta - theta).norm(dim=1)
    assert (error < 0.05).all()


@pytest.mark.parametrize("name", ["omp-pixel", "cosamp-pixel", "iht-pixel"])
def test_a_known_k_is_used(name):
    B, x = sparse(60, 144, 5, 10)
    x = x.abs().clamp(max=1)
    measured = Measurement(from_matrix(B), x @ B.T, 0.0, (1, 12, 12))
    method = get_method(name)(k=5).bind("mnist", "gaussian", 0.1)
    assert method.params()["oversampling"] is None
    recovery = method.recover(measured, stream("x"))
    torch.testing.assert_close(recovery.x_hat, x, atol=1e-3, rtol=0)
    assert (recovery.diagnostics["support_size"] == 5).all()


def test_omp_agrees_with_scikit_learn(digits):
    B, y = digits
    X, Y = B.numpy(), y.numpy().T
    for k in (1, 7, 40):
        np.testing.assert_allclose(omp(B, y, k).theta, orthogonal_mp(X, Y, n_nonzero_coefs=k).T, atol=1e-9)
    found = omp(B, y, 100, noise_norm=0.5)
    np.testing.assert_allclose(found.theta, orthogonal_mp(X, Y, tol=0.25).T, atol=1e-9)
    assert (found.residual <= 0.5).all()
    assert found.iterations.unique().numel() > 1


def test_omp_takes_columns_one_by_one_and_fits_on_them(digits):
    B, y = digits
    path = [omp(B, y, k) for k in (5, 6, 20)]
    for found in path:
        r = y - found.theta @ B.T
        assert ((r @ B)[found.theta != 0].abs() < 1e-12).all()
        torch.testing.assert_close(found.residual, r.norm(dim=1))
    supports = [found.theta != 0 for found in path]
    assert (supports[0] <= supports[1]).all()
    assert (supports[1] <= supports[2]).all()
    assert (path[0].residual > path[1].residual).all()


def literal_cosamp(B: np.ndarray, y: np.ndarray, k: int, iterations: int) -> np.ndarray:
    """One image, from the definition."""

    def fit(support: np.ndarray) -> np.ndarray:
        theta = np.zeros(B.shape[1])
        theta[support] = np.linalg.lstsq(B[:, support], y)[0]
        return theta

    theta = np.zeros(B.shape[1])
    for _ in range(iterations):
        proxy = B.T @ (y - B @ theta)
        merged = np.union1d(np.argsort(-np.abs(proxy))[: 2 * k], np.flatnonzero(theta))
        after = fit(np.argsort(-np.abs(fit(merged)))[:k])
        if np.linalg.norm(y - B @ after) >= np.linalg.norm(y - B @ theta) * (1 - 1e-6):
            break
        theta = after
    return theta


@pytest.mark.parametrize("k", [1, 12, 22])
def test_cosamp_is_the_literal_loop(digits, k):
    B, y = digits
    found = cosamp(B, y, k, iterations=6)
    for theta, row in zip(found.theta.numpy(), y.numpy(), strict=True):
        np.testing.assert_allclose(theta, literal_cosamp(B.numpy(), row, k, 6), atol=1e-8)
    assert (cosamp(B, y, k, iterations=7).residual <= found.residual + 1e-12).all()


def test_what_runs_out_of_iterations_is_flagged(digits):
    B, y = digits
    assert not cosamp(B, y, 20, iterations=1).converged.any()
    assert cosamp(B, y, 20).converged.all()
    assert not threshold(B, y, 20, iterations=3).converged.any()
    assert threshold(B, y, 20, iterations=3, noise_norm=100.0).converged.all()


@pytest.mark.parametrize("k", [1, 12, 30])
def test_iht_ends_at_a_fixed_point(digits, k):
    """At one, steps along the gradient change no entry on the support, and leave those outside below all of them."""
    B, y = digits
    found = threshold(B, y, k, iterations=5000, tol=1e-10)
    assert found.converged.all()
    g = (y - found.theta @ B.T) @ B
    support = found.theta != 0
    assert ((g * support).norm(dim=1) < 1e-6).all()
    step = 0.99 / torch.linalg.matrix_norm(B, 2).square()
    smallest = found.theta.abs().where(support, torch.inf).amin(1)
    assert (step * (g * ~support).abs().amax(1) <= smallest).all()


@pytest.mark.parametrize("k", [5, 30, 90])
def test_the_residual_of_iht_never_rises(digits, k):
    """Also where k is far beyond what theory allows."""
    B, y = digits
    residuals = torch.stack([threshold(B, y, k, iterations=i).residual for i in range(25)])
    assert (residuals.diff(dim=0) <= 1e-12).all()
    assert (residuals[-1] < residuals[0]).all()


@solvers
def test_the_batch_does_not_matter(digits, solve):
    B, y = digits
    order = torch.randperm(10, generator=stream("order"))
    found = solve(B, y, 15, noise_norm=0.1)
    torch.testing.assert_close(solve(B, y[order], 15, noise_norm=0.1).theta, found.theta[order], atol=1e-8, rtol=0)
    torch.testing.assert_close(solve(B, y[3:4], 15, noise_norm=0.1).theta, found.theta[3:4], atol=1e-8, rtol=0)


@pytest.mark.parametrize("solve", [omp, cosamp, partial(threshold, iterations=50)])
@given(st.integers(1, 12), st.integers(1, 20), st.integers(1, 25), st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_degenerate_problems(solve, m, n, k, seed):
    rng = stream("degenerate", seed)
    B = torch.randn(m, n, generator=rng, dtype=torch.float64)
    B = torch.cat([B, B[:, : n // 2], torch.zeros(m, 2, dtype=B.dtype)], 1)  # columns that are equal, or zero
    y = torch.randn(3, m, generator=rng, dtype=torch.float64)
    y[1] = 0
    found = solve(B, y, k)
    assert torch.isfinite(found.theta).all()
    assert (found.theta[1] == 0).all()
    assert ((found.theta != 0).sum(1) <= k).all()
    assert (found.residual <= y.norm(dim=1) * (1 + 1e-9)).all()
    torch.testing.assert_close(found.residual, (y - found.theta @ B.T).norm(dim=1), atol=1e-6, rtol=1e-6)


def parents(image_shape: tuple[int, int, int], level: int) -> np.ndarray:
    """The parent of each coefficient, by where it is in the transform; -1 for roots."""
    c, h, w = image_shape
    top, left = h >> level, w >> level
    parent = np.full((c, h, w), -1)
    for channel, i, j in np.ndindex(c, h, w):
        if i >= 2 * top or j >= 2 * left:
            parent[channel, i, j] = (channel * h + i // 2) * w + j // 2
        elif i >= top or j >= left:
            parent[channel, i, j] = (channel * h + i % top) * w + j % left
    return parent.ravel()


@pytest.mark.parametrize(
    ("image_shape", "level"), [((1, 4, 4), 2), ((1, 4, 4), 1), ((1, 4, 4), 0), ((2, 2, 4), 1), ((3, 2, 2), 1)]
)
def test_tree_projection_is_the_best_of_all_rooted_subtrees(image_shape, level):
    parent = parents(image_shape, level)
    n = len(parent)
    members = (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1
    rooted = members[(~members | members[:, parent] | (parent < 0)).all(1)]
    sizes = rooted.sum(1)
    v = torch.randn(12, n, generator=stream("trees", n, level), dtype=torch.float64).numpy() ** 3
    energies = np.square(v) @ rooted.T
    trees = wavelet_trees(image_shape, level)
    for k in range(n + 2):
        chosen = trees.project(v, k)
        assert (chosen.sum(1) <= k).all()
        assert (~chosen | chosen[:, parent] | (parent < 0)).all()
        np.testing.assert_allclose((np.square(v) * chosen).sum(1), energies[:, sizes <= k].max(1), rtol=1e-12)


def test_a_child_is_where_its_parent_is():
    """With Haar's wavelet, whose functions on a level do not overlap, a child's support is within its parent's."""
    shape = (1, 16, 16)
    psi = Wavelet2(shape, "haar", 3)
    where = psi.inverse(torch.eye(256)).abs() > 1e-6
    trees = wavelet_trees(shape, 3)
    parent = parents(shape, 3)
    for child, root in enumerate(parent):
        chosen = trees.project(np.eye(256)[[child]], 4)[0]
        assert chosen[child]
        if root >= 0:
            assert chosen[root]
            assert (where[child] <= where[root]).all()


@given(st.integers(0, 10**6), st.integers(1, 60))
@settings(deadline=None, max_examples=20)
def test_more_coefficients_hold_more_energy(seed, k):
    v = torch.randn(2, 784, generator=stream("energy", seed), dtype=torch.float64).numpy()
    trees = wavelet_trees((1, 28, 28), 2)
    less, more, most = trees.project(v, k), trees.project(v, k + 1), largest(v, k)
    energy = [(np.square(v) * chosen).sum(1) for chosen in (less, more, most)]
    assert (energy[0] <= energy[1]).all()
    assert (energy[0] <= energy[2] + 1e-12).all()
    assert (less.sum(1) == k).all()
    without_trees = wavelet_trees((1, 28, 28), 0).project(v, k)
    np.testing.assert_array_equal(without_trees, most)


def test_the_tree_model_helps():
    """Baraniuk et al. 2010, on digits: the support is rooted, and the error well below that of any k coefficients."""
    measured, truth = Problem("mnist", "gaussian", 100, 0.1, 0, 20, "validation").simulate()
    psi = Wavelet2((1, 28, 28))
    errors = {}
    for name in ("cosamp-wavelet", "model-cosamp-wavelet"):
        method = get_method(name)(clip=False, k=15)
        x_hat = method.recover(measured, stream("x")).x_hat
        errors[name] = (x_hat.clamp(0, 1) - truth.x).square().mean()
        support = (psi(x_hat).abs() > 1e-5).numpy()
        assert (support.sum(1) <= 15).all()
        parent = parents((1, 28, 28), 2)
        assert (~support | support[:, parent] | (parent < 0)).all() == (name == "model-cosamp-wavelet")
    assert errors["model-cosamp-wavelet"] < 0.85 * errors["cosamp-wavelet"]


@pytest.mark.parametrize("name", METHODS)
def test_methods_serve_masks_and_ignore_the_order_of_images(name):
    A = RandomPixelMask.draw(150, 784, stream("mask"))
    _, truth = Problem("mnist", "gaussian", 10, 0.1, 0, 3, "validation").simulate()
    method = get_method(name)(k=10)
    first = method.recover(Measurement(A, A(truth.x), 0.02, (1, 28, 28)), stream("x"))
    again = method.recover(Measurement(A, A(truth.x.flip(0)), 0.02, (1, 28, 28)), stream("x"))
    torch.testing.assert_close(again.x_hat.flip(0), first.x_hat, atol=1e-4, rtol=0)
    assert {"iterations", "residual", "support_size", "converged"} == set(first.diagnostics)


def test_oversampling_is_tuned_and_found_again(monkeypatch, tmp_path):
    suite = load_suite("mnist-gaussian").narrowed(m=(25, 50))
    calls = []
    outcome = tune("omp-wavelet", suite, 3, calls.append)
    assert calls == [25, 50]
    cls = type(get_method("omp-wavelet")())
    assert tuple(outcome.scores) == cls.grid
    entry = outcome.entry()
    assert entry["oversampling"] == outcome.best == min(outcome.scores, key=outcome.scores.__getitem__)
    errors = []
    for m in (25, 50):
        measured, truth = Problem("mnist", "gaussian", m, 0.1, 0, 3, "validation").simulate()
        x_hat = replace(cls(), oversampling=2.5).recover(measured, stream("x")).x_hat
        errors.append((x_hat - truth.x).square().mean().item())
    assert outcome.scores[2.5] == pytest.approx(np.prod(errors) ** 0.5, rel=1e-5)

    path = tmp_path / "tuned.json"
    path.write_text(json.dumps({tuned.key("omp-wavelet", "mnist", "gaussian", 0.1): entry}))
    monkeypatch.setattr(tuned, "TUNED", path)
    assert cls().bind("mnist", "gaussian", 0.1).oversampling == entry["oversampling"]
    assert cls(oversampling=0.5).bind("mnist", "gaussian", 0.1).oversampling == 0.5
    assert cls().bind("mnist", "gaussian", 0.2).oversampling is None


@pytest.mark.parametrize("name", METHODS)
def test_faces_are_served_or_refused(name):
    """IHT forms no matrix; the others keep one of all products of columns."""
    A = RandomPixelMask.draw(2000, 12288, stream("mask"))
    x = torch.rand(2, 12288, generator=stream("faces"))
    measured = Measurement(A, A(x), 0.1, (3, 64, 64))
    method = get_method(name)(k=5)
    if name == "iht-wavelet":
        assert (method.recover(measured, stream("x")).diagnostics["support_size"] == 5).all()
    else:
        with pytest.raises(NotApplicable, match="12288"):
            method.recover(measured, stream("x"))


@pytest.mark.parametrize("name", METHODS)
def test_the_suite_of_digits_is_tuned(name):
    assert get_method(name)().bind("mnist", "gaussian", 0.1).params()["oversampling"] is not None


@pytest.mark.parametrize(("shape", "level"), [((1, 27, 31), 2), ((1, 33, 33), 3), ((3, 13, 22), 2), ((1, 1, 9), 2)])
def test_trees_of_odd_sides_hold_every_coefficient_once(shape, level):
    trees = wavelet_trees(shape, level)
    n = int(np.prod(shape))
    assert sorted(trees.order) == list(range(n))
    assert (trees.after > np.arange(n)).all()
    chosen = trees.project(np.ones((1, n)), 10)[0]
    roots = [p for p in range(n) if not any(q < p < trees.after[q] for q in range(p))]
    assert chosen.sum() == min(10, n)
    parents = {p: max((q for q in range(p) if p < trees.after[q]), default=None) for p in range(n)}
    for p in range(n):
        if chosen[trees.order[p]] and p not in roots:
            assert chosen[trees.order[parents[p]]], "a chosen coefficient has its parent"
