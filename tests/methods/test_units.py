"""Every shipped method, on what users bring: other units, lost images, other dtypes, operators that see nothing."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse

from csbench import Measurement, Method, Problem, Recovery, get_method, stream
from csbench.catalogue.registry import entries
from csbench.core.errors import ShapeError
from csbench.operators import Gaussian, LinearOperator, SubsampledDCT, from_matrix, scaled

SHAPE = (1, 28, 28)
CHEAP = {"steps": 8, "restarts": 2, "candidates": 40, "max_iterations": 200, "max_iter": 200}
SLOW = ("lasso-cvxpy", "lasso-sklearn", "csgm-vae-fast", "csgm-wgan", "csgm-conv-vae", "csgm-dcgan-paper", "mfa")
# What rounding may grow to, where images come out wrong or a search is cut short
CHAOTIC = {"d-amp": 0.2, "csgm-vae-fast": 0.05}


def named() -> list:
    names = [name for name in sorted(entries("methods")) if not name.startswith(("csgm-ambient-", "csgm-ignore-"))]
    slow = [name for name in names if name in SLOW or name.startswith("csgm-unmeasure")]
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]


every = pytest.mark.parametrize("name", named())


def cheap(name: str) -> Method:
    method = get_method(name)().bind("mnist", "gaussian", 0.1)
    fields = {f.name for f in dataclasses.fields(method)}
    iterations = {"iterations": 6} if name in ("d-amp", "pnp-admm", "pnp-admm-tv") else {}
    return dataclasses.replace(method, **{k: v for k, v in (CHEAP | iterations).items() if k in fields})


def recover(name: str, A: LinearOperator, y: torch.Tensor, noise_std: float) -> Recovery:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peers that are stopped early
        return cheap(name).recover(Measurement(A, y, noise_std, SHAPE), stream("units"))


@pytest.fixture(scope="module")
def given() -> Measurement:
    return Problem("mnist", "gaussian", 200, 0.1, 0, 3, "validation").simulate()[0]


@pytest.fixture(scope="module")
def answers(given) -> dict[str, Recovery]:
    return {}


def plain(name: str, given: Measurement, answers: dict[str, Recovery]) -> Recovery:
    if name not in answers:
        answers[name] = recover(name, from_matrix(given.A.matrix()), given.y, given.noise_std)
    return answers[name]


@every
@pytest.mark.parametrize("s", [2.0**-27, 2.0**27, 1e-8, 1e-3, 1e8])
def test_units_of_the_user_do_not_matter(name, s, given, answers):
    expected = plain(name, given, answers)
    found = recover(name, from_matrix(s * given.A.matrix()), s * given.y, s * given.noise_std)
    if s in (2.0**-27, 2.0**27):  # by a power of two nothing is rounded
        assert torch.equal(found.x_hat, expected.x_hat)
        assert torch.equal(found.diagnostics["residual"], s * expected.diagnostics["residual"])
    else:
        torch.testing.assert_close(found.x_hat, expected.x_hat, atol=CHAOTIC.get(name, 1e-4), rtol=0)


@every
def test_nor_without_noise(name, given, answers):
    A = given.A.matrix()
    expected = recover(name, from_matrix(A), given.y, 0.0)
    found = recover(name, from_matrix(2.0**-27 * A), 2.0**-27 * given.y, 0.0)
    assert expected.x_hat.isfinite().all()
    assert torch.equal(found.x_hat, expected.x_hat)


@every
def test_an_image_that_is_lost_spoils_no_other(name, given, answers):
    expected = plain(name, given, answers)
    for bad in (torch.nan, torch.inf):
        y = given.y.clone()
        y[1, 7] = bad
        found = recover(name, from_matrix(given.A.matrix()), y, given.noise_std)
        assert found.x_hat[1].isnan().all()
        torch.testing.assert_close(found.x_hat[[0, 2]], expected.x_hat[[0, 2]], atol=CHAOTIC.get(name, 1e-4), rtol=0)
        for key, values in found.diagnostics.items():
            assert values[[0, 2]].double().isfinite().all(), key
            assert key != "converged" or not values[1]


@every
def test_kinds_of_tensors(name, given, answers):
    expected, A = plain(name, given, answers), given.A.matrix()
    view = A.T.contiguous().T
    strided = torch.stack([given.y, given.y], 2)[..., 0]
    assert not view.is_contiguous()
    assert not strided.is_contiguous()
    learned, wanted = view.clone().requires_grad_(), given.y.clone().requires_grad_()
    tolerance = CHAOTIC.get(name, 1e-4)
    for matrix, y in ((view, strided), (learned, wanted)):
        found = recover(name, from_matrix(matrix), y, given.noise_std)
        assert not found.x_hat.requires_grad
        torch.testing.assert_close(found.x_hat, expected.x_hat, atol=tolerance, rtol=0)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        found = recover(name, from_matrix(A.to(dtype)), given.y.to(dtype), given.noise_std)
        assert found.x_hat.dtype == dtype
        assert found.x_hat.isfinite().all()


@every
@pytest.mark.parametrize("m", [1, 6, 800])
@pytest.mark.parametrize("noise_std", [0.0, 0.1])
def test_an_operator_that_sees_nothing(name, m, noise_std):
    A = from_matrix(torch.zeros(m, 784))
    assert A.norm() == 0
    for y in (torch.zeros(2, m), 0.1 * torch.ones(2, m)):
        found = recover(name, A, y, noise_std)
        assert found.x_hat.isfinite().all()
        if name == "pca-gaussian":
            mean = recover("mean", A, y, noise_std).x_hat
            torch.testing.assert_close(found.x_hat, mean, atol=1e-2, rtol=0)


@every
@pytest.mark.parametrize("m", [1, 900])
def test_one_measurement_and_more_than_pixels(name, m):
    A = Gaussian.draw(m, 784, stream("A"))
    y = A(torch.rand(2, 784, generator=stream("x")))
    found = recover(name, from_matrix(A.matrix()), y, 0.01)
    assert found.x_hat.isfinite().all()


@every
def test_a_batch_of_none(name, given):
    found = recover(name, from_matrix(given.A.matrix()), given.y[:0], given.noise_std)
    assert found.x_hat.shape == (0, 784)


def test_penalties_are_those_of_the_problem_at_gain_one(given):
    """Explicitly: what the Lasso minimises for (s A, s y) is the problem with the penalty times the squared gain."""
    A, s = given.A.matrix(), 50.0
    alpha = cheap("lasso-dct").alpha
    gain = (s * A).norm().item() / 28
    from csbench.core.transforms import DCT2
    from csbench.solvers.lasso.path import solve_lasso

    psi = DCT2(SHAPE)
    direct = solve_lasso(psi(s * A.double()), s * given.y, alpha * gain**2)
    found = recover("lasso-dct", from_matrix(s * A), s * given.y, s * given.noise_std)
    torch.testing.assert_close(found.x_hat, psi.inverse(direct.theta).float().clamp(0, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.diagnostics["residual"], direct.residual, rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["lasso-dct", "tv", "iht-wavelet", "d-amp"])
def test_operators_without_a_matrix_in_other_units(name):
    A = SubsampledDCT.draw(300, 784, stream("A"))
    y = A(Problem("mnist", "gaussian", 10, 0.0, 0, 2, "validation").simulate()[1].x)
    expected = recover(name, A, y, 0.01)
    for s in (2.0**-20, 2.0**30):
        assert torch.equal(recover(name, scaled(A, s), s * y, s * 0.01).x_hat, expected.x_hat)


def test_what_from_matrix_takes():
    rows = np.random.default_rng(0).standard_normal((4, 6))
    expected = torch.from_numpy(rows)
    for matrix in (rows, rows[::-1][::-1], np.asfortranarray(rows), sparse.csr_array(rows), rows.tolist()):
        torch.testing.assert_close(from_matrix(matrix).matrix(), expected)
    torch.testing.assert_close(from_matrix(expected.to_sparse()).matrix(), expected)
    assert from_matrix(np.ones((2, 3), np.int16)).dtype == torch.float32
    assert from_matrix(torch.ones(2, 3, dtype=torch.int64)).dtype == torch.float32
    assert from_matrix(rows.astype(np.float16)).dtype == torch.float16
    for wrong in (rows * np.nan, rows + 1j, np.array([["a"]]), rows[0]):
        with pytest.raises(ShapeError):
            from_matrix(wrong)


def test_units_in_which_digits_are_lost_are_refused(given):
    s = 1e-38
    with pytest.raises(ShapeError, match="larger units"):
        recover("lasso-dct", from_matrix(s * given.A.matrix()), s * given.y, 0.0)
    with pytest.raises(ShapeError, match="infinite"):
        from_matrix(1e38 * 100 * given.A.matrix())
