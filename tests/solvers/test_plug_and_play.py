"""Message passing and ADMM with denoisers: what the noise estimate promises, and denoisers for which all is known."""

import sys
from itertools import islice

import pytest
import torch
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle
from torch import Tensor

from csbench import NotApplicable, Problem, get_method, stream
from csbench.core.errors import UsageError
from csbench.core.measurement import Measurement
from csbench.core.method import Recovery
from csbench.operators import DenseMatrix, Gaussian, Identity, RandomPixelMask
from csbench.solvers import denoisers
from csbench.solvers.denoisers import nl_means, total_variation
from csbench.solvers.plug_and_play import Iterate, admm, least_noisy, message_passing


def soft_threshold(noisy: Tensor, sigma: Tensor) -> Tensor:
    return noisy.sign() * (noisy.abs() - 1.5 * sigma[:, None]).clamp_min(0)


def sparse_problem(m: int, n: int) -> tuple[Gaussian, Tensor]:
    rng = stream("sparse")
    A = Gaussian.draw(m, n, rng)
    return A, torch.randn(3, n, generator=rng) * (torch.rand(3, n, generator=rng) < 0.08)


def test_the_noise_estimate_is_that_of_the_iterates():
    """State evolution: within 8% at n = 2000, where fluctuations of a norm are of the order of sqrt(2/m) = 5%."""
    A, x = sparse_problem(1000, 2000)
    for iterate in islice(message_passing(A, A(x), soft_threshold, rng=stream("probes")), 8):
        actual = (iterate.noisy - x).square().mean(1).sqrt()
        torch.testing.assert_close(iterate.sigma, actual, rtol=0.08, atol=0)


def test_the_noise_estimate_of_digits_is_about_right():
    """With non-local means, far from any theory's assumptions: within 20% while there is noise to speak of."""
    given, truth = Problem("mnist", "gaussian", 400, 0.1, 0, 3).simulate()
    iterates = message_passing(given.A, given.y, nl_means(given.image_shape, 0.6), rng=stream("probes"))
    for iterate in islice(iterates, 5):
        actual = (iterate.noisy - truth.x).square().mean(1).sqrt()
        torch.testing.assert_close(iterate.sigma, actual, rtol=0.2, atol=0)


def test_with_soft_thresholding_it_is_message_passing_for_sparse_signals():
    """Up to the probe, the Onsager term is the share of entries that remain (Donoho, Maleki, Montanari 2009)."""
    A, x = sparse_problem(1000, 2000)
    y = A(x).double()
    matrix = A.matrix().double()
    theirs, z = torch.zeros_like(x, dtype=torch.float64), y
    for iterate in islice(message_passing(A, y, soft_threshold, rng=stream("probes")), 30):
        ours = iterate.x
        theirs = soft_threshold(theirs + z @ matrix, z.norm(dim=1) / 1000**0.5)
        z = y - theirs @ matrix.T + z * (theirs != 0).sum(1, keepdim=True) / 1000
    assert (theirs - x).norm() < 1e-3 * x.norm()
    assert (ours - x).norm() < 1e-3 * x.norm()


def test_the_least_noisy_iterate_of_each_image_is_taken():
    def iterate(x: float, sigmas: list[float]) -> Iterate:
        return Iterate(torch.empty(0), torch.empty(0), torch.full((2, 3), x), torch.tensor(sigmas))

    x, sigma = least_noisy([iterate(1, [3, 1]), iterate(2, [2, 4]), iterate(3, [5, 1])])
    assert sigma.tolist() == [2, 1]
    assert x[:, 0].tolist() == [2, 1]


@pytest.mark.parametrize("m", [20, 70])
def test_admm_with_a_linear_denoiser_finds_the_ridge_solution(m):
    """The proximal map of ||x||^2 / 2 at sigma^2 / noise_std^2 is division: a fixed point is known in closed form."""
    A = Gaussian.draw(m, 50, stream("A"))
    y = torch.randn(4, m, generator=stream("y"))
    noise_std, sigma = 0.3, 0.4
    weight = (noise_std / sigma) ** 2
    found = admm(A, y, lambda noisy, level: noisy * weight / (weight + 1), [sigma] * 400, noise_std=noise_std).x_hat
    matrix = A.matrix().double()
    expected = torch.linalg.solve(matrix.T @ matrix + torch.eye(50).double(), matrix.T @ y.double().T).T
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("image_shape", [(1, 9, 12), (3, 9, 12)])
def test_denoisers_are_those_of_scikit_image(image_shape):
    noisy = torch.rand(2, 108 * image_shape[0], generator=stream("noisy"), dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.3], dtype=torch.float64)
    for i, level in enumerate(sigma.tolist()):
        image, axis = noisy[i].view(image_shape).permute(1, 2, 0).numpy(), -1
        if image_shape[0] == 1:
            image, axis = image[..., 0], None
        means = denoise_nl_means(image, 5, 6, h=0.6 * level, sigma=level, channel_axis=axis)
        smooth = denoise_tv_chambolle(image, 0.8 * level, max_num_iter=100, channel_axis=axis)
        for ours, theirs in ((nl_means(image_shape, 0.6), means), (total_variation(image_shape, 0.8), smooth)):
            expected = torch.from_numpy(theirs.clip(0, 1)).reshape(9, 12, -1).permute(2, 0, 1).flatten()
            torch.testing.assert_close(ours(noisy, sigma)[i], expected)


@pytest.mark.parametrize("name", ["d-amp", "pnp-admm"])
def test_digits_are_recovered(name):
    given, truth = Problem("mnist", "gaussian", 300, 0.1, 0, 3).simulate()
    x_hat = get_method(name)().recover(given, stream("x")).x_hat
    least_norm = get_method("min-norm")().recover(given, stream("x")).x_hat
    assert (x_hat - truth.x).square().mean() < 0.1 * (least_norm - truth.x).square().mean()


@pytest.mark.parametrize("name", ["d-amp", "pnp-admm"])
@pytest.mark.parametrize("denoiser", ["nl-means", "tv"])
def test_colour_images_and_no_noise(name, denoiser):
    A = DenseMatrix(torch.randn(40, 75, generator=stream("A")) / 40**0.5)
    x = torch.full((2, 75), 0.5)
    given = Measurement(A, A(x), 0.0, (3, 5, 5))
    answer = get_method(name)(denoiser=denoiser, iterations=15).recover(given, stream("x"))
    assert isinstance(answer, Recovery)
    assert (answer.x_hat - x).square().mean() < 0.02
    black = Measurement(A, torch.zeros(1, 40), 0.0, (3, 5, 5))
    assert (get_method(name)(denoiser=denoiser, iterations=3).recover(black, stream("x")).x_hat == 0).all()


def test_the_order_of_images_does_not_matter_to_admm():
    given, _ = Problem("mnist", "gaussian", 100, 0.1, 0, 4).simulate()
    order = torch.tensor([2, 0, 3, 1])
    permuted = Measurement(given.A, given.y[order], given.noise_std, given.image_shape)
    whole, other = (get_method("pnp-admm")(iterations=8).recover(g, stream("x")).x_hat for g in (given, permuted))
    torch.testing.assert_close(other, whole[order], atol=1e-5, rtol=0)


def test_message_passing_refuses_operators_that_do_not_mix():
    for A in (RandomPixelMask.draw(30, 64, stream("mask")), Identity(64)):
        given = Measurement(A, torch.ones(1, A.shape[0]), 0.1, (1, 8, 8))
        with pytest.raises(NotApplicable, match=f"{A.name} does not mix"):
            get_method("d-amp")().recover(given, stream("x"))
        assert get_method("pnp-admm")(iterations=2).recover(given, stream("x")).x_hat.shape == (1, 64)


def test_unknown_and_missing_denoisers_are_named(monkeypatch):
    given, _ = Problem("mnist", "gaussian", 20, 0.1, 0, 1).simulate()
    with pytest.raises(UsageError, match="no denoiser 'bm3d'; there are nl-means, tv"):
        get_method("d-amp")(denoiser="bm3d").recover(given, stream("x"))
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(UsageError, match="pip install scikit-image"):
        denoisers.nl_means(given.image_shape, 0.6)
