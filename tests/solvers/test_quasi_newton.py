from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from csbench import Problem, load_prior, stream
from csbench.operators import Gaussian, RandomPixelMask
from csbench.priors.generator import Generator
from csbench.solvers.latent.csgm import LatentSearch, search_latent
from csbench.solvers.latent.quasi_newton import DAMPING, FastSearch, _inverse_hessian, _Objective, search_latent_fast

EXACT = FastSearch(bf16=False)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return load_prior("vae-mnist").generator


@pytest.fixture(scope="module")
def double() -> Generator:
    return load_prior("vae-mnist", torch.float64).generator


class Deep(nn.Module):
    """Random weights with ReLU between and at the end."""

    def __init__(self, *widths: int):
        super().__init__()
        rng = stream("deep")
        self.latent_dim = widths[0]
        self.weights = [
            torch.randn(a, b, generator=rng, dtype=torch.float64) * (2 / a) ** 0.5 for a, b in pairwise(widths)
        ]

    def forward(self, z: Tensor) -> Tensor:
        for W in self.weights:
            z = torch.relu(z @ W.to(z))
        return z


def objective(generator, A, y, z, lmbd):
    return (A(generator(z)) - y).square().sum(1) + lmbd * z.square().sum(1)


def digits(m: int, images: int):
    return Problem("mnist", "gaussian", m, 0.1, 0, images, "validation").simulate()[0]


@pytest.mark.parametrize("m", [100, 500])
def test_recovers_what_is_in_the_range(double, m):
    x = double(torch.randn(8, 20, generator=stream("range"), dtype=torch.float64))
    A = Gaussian.draw(m, 784, stream("A")).to(torch.float64)
    fit = search_latent_fast(A, A(x), double, 1e-9, rng=stream("starts"))
    assert (fit.x_hat - x).square().mean(1).max() < 1e-7
    torch.testing.assert_close(double(fit.z), fit.x_hat)


def test_range_of_a_deep_relu_network():
    network = Deep(10, 80, 150, 300)
    x = network(torch.randn(8, 10, generator=stream("range"), dtype=torch.float64))
    A = Gaussian.draw(100, 300, stream("A")).to(torch.float64)
    fit = search_latent_fast(A, A(x), network, 0.0, rng=stream("starts"))
    assert ((fit.x_hat - x).norm(dim=1) / x.norm(dim=1)).max() < 1e-4


@pytest.mark.parametrize("bf16", [False, True])
def test_not_above_adam(generator, bf16):
    given = digits(100, 8)
    fast = search_latent_fast(given.A, given.y, generator, 0.1, rng=stream("x"), options=replace(EXACT, bf16=bf16))
    adam = search_latent(
        given.A,
        given.y,
        generator,
        0.1,
        rng=stream("x"),
        options=LatentSearch(restarts=10, steps=150, learning_rate=0.2),
    )
    ours, theirs = fast.objective, adam.objective
    assert (ours <= 1.005 * theirs).all()
    assert ours.mean() <= theirs.mean()


def test_diagnostics_describe_the_answer(generator):
    given = digits(50, 6)
    fit = search_latent_fast(given.A, given.y, generator, 0.1, rng=stream("x"), options=EXACT)
    told = fit.diagnostics()
    torch.testing.assert_close(told["objective"], objective(generator, given.A, given.y, fit.z, 0.1))
    torch.testing.assert_close(told["residual"], (given.A(fit.x_hat) - given.y).norm(dim=1))
    assert told["converged"].all()
    assert (told["late_decrease"] <= EXACT.flat).all()
    assert (told["iterations"] % EXACT.rung == 0).all()
    assert told["restart_spread"].min() > 0
    assert told["winning_restart"].max() < EXACT.restarts
    # the candidates, the starts, the answer; 10 + 5 + 3 + 2 starts for a rung of six steps each, then one
    expected = 1000 + 10 + 1 + 20 * 6 + (told["iterations"] - 4 * 6)
    torch.testing.assert_close(told["generator_evaluations"], expected)
    once = search_latent_fast(
        given.A, given.y, generator, 0.1, rng=stream("x"), options=replace(EXACT, rungs=1, rough=0)
    )
    assert not once.converged.any()


def test_the_gradient_vanishes_where_the_generator_is_smooth():
    network = nn.Sequential(nn.Linear(8, 60), nn.Softplus(), nn.Linear(60, 90), nn.Sigmoid()).double()
    network.latent_dim = 8
    for k, weights in enumerate(network.parameters()):
        weights.data = torch.randn(weights.shape, generator=stream("smooth", k), dtype=torch.float64)
    A = Gaussian.draw(30, 90, stream("A")).to(torch.float64)
    y = A(torch.rand(6, 90, generator=stream("outside"), dtype=torch.float64))
    fit = search_latent_fast(A, y, network, 0.1, rng=stream("x"), options=replace(EXACT, flat=1e-12))
    z = fit.z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(network, A, y, z, 0.1).sum(), z)
    assert fit.converged.all()
    assert gradient.norm(dim=1).max() < 1e-5


def test_nothing_is_left_to_gain_where_relus_bend_the_objective(double):
    """The minima lie on kinks, where the gradient does not vanish; so _descend from there with ever smaller steps."""
    given = digits(100, 8).to(torch.float64)
    fit = search_latent_fast(given.A, given.y, double, 0.1, rng=stream("x"), options=replace(EXACT, flat=1e-8))
    z, best = fit.z.clone().requires_grad_(), fit.objective
    for learning_rate in (1e-3, 1e-4, 1e-5):
        adam = torch.optim.Adam([z], lr=learning_rate)
        for _ in range(200):
            values = objective(double, given.A, given.y, z, 0.1)
            best = torch.minimum(best, values.detach())
            (z.grad,) = torch.autograd.grad(values.sum(), z)
            adam.step()
    assert (best > (1 - 1e-4) * fit.objective).all()


@pytest.mark.parametrize("chunk", [100e6, 1e6])
def test_an_image_does_not_depend_on_the_others(double, monkeypatch, chunk):
    """Neither where all images move together nor where there is memory for one at a time."""
    monkeypatch.setattr("csbench.solvers.latent.quasi_newton.CHUNK_BYTES", chunk)
    given = digits(100, 5).to(torch.float64)
    together = search_latent_fast(given.A, given.y, double, 0.1, rng=stream("x"), options=replace(EXACT, rungs=6))
    alone = search_latent_fast(given.A, given.y[2:3], double, 0.1, rng=stream("x"), options=replace(EXACT, rungs=6))
    torch.testing.assert_close(together.z[2:3], alone.z, rtol=1e-6, atol=1e-6)
    for name, values in alone.diagnostics().items():
        torch.testing.assert_close(together.diagnostics()[name][2:3], values, rtol=1e-5, atol=1e-6)


def test_the_same_stream_gives_the_same_answer(generator):
    given = digits(50, 3)
    one, two = (search_latent_fast(given.A, given.y, generator, 0.1, rng=stream("x")) for _ in range(2))
    assert torch.equal(one.z, two.z)


def test_a_mask_serves_as_well_as_a_matrix(generator):
    x = generator(torch.randn(4, 20, generator=stream("range")))
    A = RandomPixelMask.draw(200, 784, stream("A"))
    fit = search_latent_fast(A, A(x), generator, 1e-6, rng=stream("starts"))
    assert fit.x_hat.dtype == torch.float32
    assert (fit.x_hat - x).square().mean(1).max() < 1e-4


def test_where_the_generator_is_not_finite_no_row_goes():
    class Holed(Deep):
        def forward(self, z: Tensor) -> Tensor:
            return torch.where(z[:, :1] > 0.3, torch.nan, 1.0) * super().forward(z)

    network = Holed(5, 40, 60)
    y = Deep.forward(network, torch.randn(6, 5, generator=stream("range")))
    A = Gaussian.draw(30, 60, stream("A"))
    fit = search_latent_fast(A, A(y), network, 0.1, rng=stream("starts"), options=FastSearch(bf16=False))
    assert fit.x_hat.isfinite().all()
    assert fit.objective.isfinite().all()


def test_the_first_hessian_is_the_mean_gauss_newton_matrix():
    network, A = Deep(4, 20, 30), Gaussian.draw(10, 30, stream("A")).to(torch.float64)
    z = torch.randn(20, 4, generator=stream("z"), dtype=torch.float64)
    step = 1e-6 * torch.eye(4, dtype=torch.float64)
    J = torch.stack([A(network(z + s) - network(z - s)) / 2e-6 for s in step], 2)
    gram = (J.mT @ J).mean(0)
    ridge = 0.1 + DAMPING * gram.trace() / 4
    _, pulled = _Objective(network, A, 0.1).measured_and_pulled_back(z.repeat(2000, 1), stream("v"))
    hessian = torch.linalg.inv(_inverse_hessian(pulled, 0.1))
    expected = 2 * (gram + ridge * torch.eye(4))
    assert (hessian - expected).norm() < 0.03 * expected.norm()


@pytest.mark.parametrize(
    "wrong",
    [
        {"flat": -1.0},
        {"restarts": 0},
        {"rung": 0},
        {"rungs": 0},
        {"candidates": 9},
        {"rough": -1},
        {"rough": 40},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="needed"):
        FastSearch(**wrong)


@pytest.mark.parametrize("lmbd", [-1.0, float("nan")])
def test_impossible_penalties_are_refused(generator, lmbd):
    given = digits(20, 1)
    with pytest.raises(ValueError, match="zero or more"):
        search_latent_fast(given.A, given.y, generator, lmbd, rng=stream("x"))
