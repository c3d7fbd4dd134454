import itertools
import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal

from csbench import get_dataset, get_method, stream
from csbench.catalogue.suites import load_suite
from csbench.core.dataset import Images
from csbench.core.errors import MissingWeights
from csbench.core.measurement import Measurement
from csbench.methods import manifold
from csbench.methods.manifold import _in_plane
from csbench.operators import Gaussian, from_matrix
from csbench.priors import checkpoint, mixture, pca
from csbench.priors.mixture import Mixture
from csbench.runner.problem import Problem
from csbench.studies.tune import tune
from csbench.training import pca as fitting
from csbench.training import recipes as training
from csbench.training.mixture import MixtureRecipe, fit

N = 10


@pytest.fixture(scope="module")
def toy() -> Mixture:
    rng = stream("toy mixture")
    return Mixture(
        torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
        torch.randn(3, N, generator=rng, dtype=torch.float64),
        torch.randn(3, N, 2, generator=rng, dtype=torch.float64),
        0.05 + 0.1 * torch.rand(3, N, generator=rng, dtype=torch.float64),
    )


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return get_dataset("mnist").images("train").signals()


def covariances(mixture: Mixture) -> np.ndarray:
    return (mixture.loadings @ mixture.loadings.mT + torch.diag_embed(mixture.noise)).numpy()


def samples(mixture: Mixture, count: int) -> torch.Tensor:
    rng = stream("samples of a mixture")
    c = torch.multinomial(mixture.weights, count, replacement=True, generator=rng)
    z = torch.randn(count, mixture.loadings.shape[2], generator=rng, dtype=torch.float64)
    noise = torch.randn(count, N, generator=rng, dtype=torch.float64) * mixture.noise[c].sqrt()
    return mixture.means[c] + (mixture.loadings[c] @ z[:, :, None])[:, :, 0] + noise


def measured(A, y, noise_std=0.0, image_shape=(1, 28, 28)) -> Measurement:
    return Measurement(A, y, noise_std, image_shape)


@pytest.mark.parametrize(("m", "noise_std"), [(4, 0.3), (4, 0.0), (15, 0.3)])
def test_the_posterior_is_that_of_dense_gaussians(toy, m, noise_std):
    A = torch.randn(m, N, generator=stream("A"), dtype=torch.float64) / math.sqrt(m)
    y = torch.randn(6, m, generator=stream("y"), dtype=torch.float64)
    M, evidence, means = A.numpy(), [], []
    for weight, mean, S in zip(toy.weights, toy.means.numpy(), covariances(toy), strict=True):
        measured = M @ S @ M.T + noise_std**2 * np.eye(m)
        evidence.append(weight.log().item() + multivariate_normal(M @ mean, measured).logpdf(y.numpy()))
        means.append(mean + (y.numpy() - M @ mean) @ np.linalg.solve(measured, M @ S))
    expected = softmax(np.stack(evidence, 1), 1)
    x_hat, probabilities = toy.posterior_mean(A, y, noise_std)
    np.testing.assert_allclose(probabilities.numpy(), expected, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(x_hat.numpy(), np.einsum("bc,cbn->bn", expected, np.stack(means)), rtol=1e-5, atol=1e-7)


def test_the_posterior_mean_is_the_best_estimate_of_samples(toy):
    """The error of no function of y is uncorrelated with it but that of the posterior mean."""
    x = samples(toy, 20_000)
    A = torch.randn(4, N, generator=stream("A"), dtype=torch.float64) / 2
    y = x @ A.T + 0.1 * torch.randn(len(x), 4, generator=stream("noise"), dtype=torch.float64)
    error = toy.posterior_mean(A, y, 0.1)[0] - x
    for function in (y, y.square(), y.sin(), torch.ones(len(x), 1, dtype=torch.float64)):
        products = error[:, :, None] * function[:, None]
        standard_errors = products.mean(0).abs() / (products.std(0) / math.sqrt(len(x)))
        assert standard_errors.max() < 4.5


def test_the_likelihood_is_that_of_dense_gaussians(toy):
    x = samples(toy, 50)
    pairs = zip(toy.means.numpy(), covariances(toy), strict=True)
    densities = np.stack([multivariate_normal(mean, S).logpdf(x.numpy()) for mean, S in pairs], 1)
    expected = densities + toy.weights.log().numpy()
    np.testing.assert_allclose(toy.log_joint(x).numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(toy.log_joint(x.float()).numpy(), expected, rtol=1e-4)
    assert toy.log_likelihood(x) == pytest.approx(logsumexp(expected, 1).mean())


def likelihoods(x: torch.Tensor, recipe: MixtureRecipe, path) -> list[float]:
    """Log-likelihood before every iteration but the first, and at the end."""
    notes = []
    fitted, _, _ = fit(x, recipe, path, report=lambda p: notes.append(p.note) or True)
    return [*(float(note.split()[1]) for note in notes[1:]), fitted.log_likelihood(x)]


def test_every_iteration_raises_the_likelihood(tmp_path, digits):
    x = digits[:600].double()
    for floor in (1e-5, 1e-2):  # where the floor holds many pixels, too
        curve = likelihoods(x, MixtureRecipe(3, 4, floor, iterations=6, inner=2), tmp_path / "state")
        assert len(curve) == 6
        assert all(b >= a - 0.005 for a, b in itertools.pairwise(curve))  # notes have two digits
        assert curve[-1] > curve[0]


def test_parameters_of_a_mixture_are_found_again(tmp_path, toy):
    fitted, _, _ = fit(samples(toy, 10_000), MixtureRecipe(3, 2, iterations=30), tmp_path / "state")
    match = torch.cdist(toy.means, fitted.means).argmin(1)
    assert sorted(match.tolist()) == [0, 1, 2]
    torch.testing.assert_close(fitted.weights[match], toy.weights, atol=0.02, rtol=0)
    torch.testing.assert_close(fitted.means[match], toy.means, atol=0.1, rtol=0)
    torch.testing.assert_close(fitted.noise[match], toy.noise, atol=0.02, rtol=0.15)
    found, true = covariances(fitted)[match], covariances(toy)
    assert np.linalg.norm(found - true) < 0.05 * np.linalg.norm(true)


def test_held_out_digits_are_likelier_than_under_one_plane(tmp_path, digits):
    held_out = get_dataset("mnist").images("validation").signals(torch.float64)
    many, _, _ = fit(digits, MixtureRecipe(6, 8, 1e-3, iterations=4), tmp_path / "many")
    one, _, _ = fit(digits, MixtureRecipe(1, 48, 1e-3, iterations=4), tmp_path / "one")
    single = fitting.fit(digits, 48)
    covariance = single.components.T @ (single.components * (single.variances - single.residual)[:, None])
    covariance.diagonal().add_(single.residual)
    linear = multivariate_normal(single.mean.numpy(), covariance.numpy()).logpdf(held_out.numpy()).mean()
    assert many.log_likelihood(held_out) > one.log_likelihood(held_out) + 50
    assert many.log_likelihood(held_out) > linear + 50


def test_a_stopped_fit_goes_on_as_if_nothing_had_happened(tmp_path, digits):
    recipe = MixtureRecipe(3, 2, iterations=4)
    whole, done, _ = fit(digits[:300], recipe, tmp_path / "whole")
    assert done == 4
    _, done, _ = fit(digits[:300], recipe, tmp_path / "part", report=lambda p: p.done < 2)
    assert done == 2
    resumed, done, _ = fit(digits[:300], recipe, tmp_path / "part", resume=True)
    assert done == 4
    for a, b in zip(whole.tensors().values(), resumed.tensors().values(), strict=True):
        assert torch.equal(a, b)


def test_training_writes_weights_and_card(tmp_path, monkeypatch):
    monkeypatch.setattr(training.mixture, "MixtureRecipe", partial(MixtureRecipe, 3, 2, iterations=2))
    monkeypatch.setenv("CSBENCH_WEIGHTS", str(tmp_path))
    generated = get_dataset("generated")
    assert training.train(training.TrainingJob("mfa", generated, tmp_path, minutes=0)) is None
    path = training.train(training.TrainingJob("mfa", generated, tmp_path, resume=True))
    assert path == checkpoint.weights_path("mfa-generated")
    card = checkpoint.card("mfa-generated")
    assert card["quality"]["validation_log_likelihood"] == pytest.approx(
        mixture.load("mfa-generated").log_likelihood(generated.images("validation").signals(torch.float64)), rel=0.01
    )
    assert not list(tmp_path.glob("*.checkpoint.safetensors"))


def test_rounded_weights_are_as_good():
    """Those of the suites: what is stored in half precision still has the likelihood that its card states."""
    for dataset in ("mnist", "fashion-mnist"):
        x = get_dataset(dataset).images("validation").signals(torch.float64)
        told = checkpoint.card(f"mfa-{dataset}")["quality"]["validation_log_likelihood"]
        assert mixture.load(f"mfa-{dataset}").log_likelihood(x) == pytest.approx(told, abs=5)


def test_least_squares_in_the_subspace_is_optimal():
    given, _ = Problem("mnist", "gaussian", 60, 0.1, 0, 3).simulate()
    given = given.to(torch.float64)
    method = get_method("pca-subspace")(prior="pca-mnist", fraction=0.5, clip=False)
    x_hat = method.recover(given, stream("x")).x_hat
    prior = pca.load("pca-mnist")
    inside, outside = prior.components[:30], prior.components[30:]
    assert ((x_hat - prior.mean) @ outside.T).abs().max() < 1e-2  # the components are stored in half precision
    gradient = (given.A(x_hat) - given.y) @ given.A(inside).T
    assert gradient.abs().max() < 1e-9 * given.y.abs().max()


def test_an_image_in_the_subspace_is_recovered_exactly():
    prior = pca.load("pca-mnist")
    A = Gaussian.draw(40, 784, stream("A")).to(torch.float64)
    x = prior.mean + torch.randn(2, 16, generator=stream("z"), dtype=torch.float64) @ prior.components[:16]
    method = get_method("pca-subspace")(prior="pca-mnist", fraction=0.4, clip=False)
    torch.testing.assert_close(method.recover(measured(A, A(x)), stream("x")).x_hat, x, atol=1e-9, rtol=0)


def test_a_training_image_is_its_own_nearest():
    images = get_dataset("mnist").images("train").signals()[:5]
    A = Gaussian.draw(30, 784, stream("A"))
    x_hat = get_method("nearest-image")(dataset="mnist").recover(measured(A, A(images)), stream("x")).x_hat
    assert torch.equal(x_hat, images)


@pytest.mark.parametrize("passes", [1, 3])
def test_tangent_planes_of_a_flat_manifold_are_the_manifold(monkeypatch, passes):
    rng = stream("flat")
    plane = torch.randn(3, 64, generator=rng, dtype=torch.float64)
    points = 0.5 + 0.08 * torch.randn(400, 3, generator=rng, dtype=torch.float64) @ plane
    pixels = (255 * points).round().clamp(0, 255).to(torch.uint8).reshape(-1, 1, 8, 8).numpy()
    images = Images(np.arange(400), pixels, np.zeros(400, int))
    monkeypatch.setattr(manifold, "get_dataset", lambda name: SimpleNamespace(images=lambda split: images))
    method = get_method("local-tangent-plane")(dataset="flat", neighbours=40, dimension=3, passes=passes)
    A = from_matrix(torch.randn(12, 64, generator=rng, dtype=torch.float64) / 12**0.5)
    x = 0.5 + 0.08 * torch.randn(5, 3, generator=rng, dtype=torch.float64) @ plane
    x_hat = method.recover(measured(A, A(x), 0.0, (1, 8, 8)), stream("x")).x_hat
    assert (x_hat - x.clamp(0, 1)).square().mean() < 0.01 * (x - 0.5).square().mean()


def test_the_plane_is_the_posterior_mean_of_the_gaussian_of_the_neighbours():
    """With dimension above the number of neighbours nothing is left out, and the sample covariance is the prior's."""
    every = get_dataset("mnist").images("train").signals(torch.float64)
    images = every[:30]
    A = Gaussian.draw(20, 784, stream("A")).to(torch.float64)
    y = A(every[40])
    ours = _in_plane(images, A(images), y, 0.05, 30)
    S, M = np.cov(images.numpy().T, bias=True), A.matrix().numpy()
    mean = images.numpy().mean(0)
    expected = mean + S @ M.T @ np.linalg.solve(M @ S @ M.T + 0.05**2 * np.eye(20), y.numpy() - M @ mean)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-8)


@pytest.mark.parametrize("name", ["pca-subspace", "mfa"])
def test_missing_weights_say_how_to_make_them(name):
    method = get_method(name)().bind("no-such-dataset", "gaussian", 0.1)
    with pytest.raises(MissingWeights, match=f"csbench train {type(method).recipe} --dataset D"):
        method.data_files()
    assert method.prior == f"{type(method).recipe}-no-such-dataset"


def test_a_mixture_is_better_than_one_gaussian_on_digits_and_clothes():
    for dataset in ("mnist", "fashion-mnist"):
        given, truth = Problem(dataset, "gaussian", 100, 0.1, 0, 30, split="validation").simulate()
        error = {
            name: (get_method(name)().bind(dataset, "gaussian", 0.1).recover(given, stream("x")).x_hat - truth.x)
            .square()
            .mean()
            for name in ("mfa", "pca-gaussian")
        }
        assert error["mfa"] < 0.8 * error["pca-gaussian"]


def test_the_share_of_components_is_tuned():
    outcome = tune("pca-subspace", load_suite("quick").narrowed(m=(75, 200)), 5)
    assert outcome.field == "fraction"
    assert set(outcome.scores) == set(get_method("pca-subspace")().grid)
    assert outcome.scores[outcome.best] < min(outcome.scores[0.01], outcome.scores[0.7])
