import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from csbench import get_dataset, get_method, stream
from csbench.operators import Gaussian
from csbench.priors import pca
from csbench.priors.pca import GaussianPrior, load
from csbench.training.pca import fit, fit_mirrored


@pytest.fixture(scope="module")
def toy() -> GaussianPrior:
    basis = torch.linalg.qr(torch.randn(12, 5, generator=stream("basis"), dtype=torch.float64)).Q.T
    variances = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.25], dtype=torch.float64)
    return GaussianPrior(torch.ones(12, dtype=torch.float64), basis.contiguous(), variances, 0.1)


def covariance(prior: GaussianPrior) -> torch.Tensor:
    V = prior.components.T
    return V @ torch.diag(prior.variances - prior.residual) @ V.T + prior.residual * torch.eye(len(V)).double()


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_posterior_mean_is_that_of_a_joint_gaussian(toy, noise_std):
    A = Gaussian.draw(6, 12, stream("A")).matrix().double()
    y = torch.randn(4, 6, generator=stream("y"), dtype=torch.float64)
    S = covariance(toy).numpy()
    M = A.numpy()
    precision = np.linalg.inv(M @ S @ M.T + noise_std**2 * np.eye(6))
    expected = 1 + (S @ M.T @ precision @ (y.numpy() - M.sum(1)).T).T
    np.testing.assert_allclose(toy.posterior_mean(A, y, noise_std).numpy(), expected, rtol=1e-6)


def test_the_size_of_the_blocks_does_not_matter(toy, monkeypatch):
    A = Gaussian.draw(9, 12, stream("A")).matrix().double()
    y = torch.randn(4, 9, generator=stream("y"), dtype=torch.float64)
    whole = toy.posterior_mean(A, y, 0.1)
    monkeypatch.setattr(pca, "SOLVED_ROWS", 4)
    torch.testing.assert_close(toy.posterior_mean(A, y, 0.1), whole)


def test_mirrored_fit_is_that_of_images_and_their_mirror_images():
    """On images with a spectrum that falls fast, where a randomised decomposition is exact."""
    rng = stream("faces")
    basis = torch.randn(12, 3 * 6 * 8, generator=rng) * 0.6 ** torch.arange(12.0)[:, None]
    images = (torch.randn(300, 12, generator=rng) @ basis + 1).reshape(-1, 3, 6, 8)
    ours = fit_mirrored(images, 10)
    theirs = fit(torch.cat([images, images.flip(3)]).flatten(1), 10)
    torch.testing.assert_close(ours.mean, theirs.mean, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(ours.variances, theirs.variances, rtol=1e-3, atol=1e-6)
    assert ours.residual == pytest.approx(theirs.residual, rel=1e-3)
    alignment = (ours.components * theirs.components).sum(1).abs()
    torch.testing.assert_close(alignment, torch.ones_like(alignment), atol=1e-3, rtol=0)


def test_no_linear_estimate_is_better_on_samples_of_the_prior(toy):
    rng = stream("samples")
    root = torch.linalg.cholesky(covariance(toy))
    x = 1 + torch.randn(20_000, 12, generator=rng, dtype=torch.float64) @ root.T
    A = Gaussian.draw(6, 12, stream("A")).matrix().double()
    y = x @ A.T + 0.3 * torch.randn(20_000, 6, generator=rng, dtype=torch.float64)
    ours = (toy.posterior_mean(A, y, 0.3) - x).square().mean()
    design = torch.cat([y, torch.ones(20_000, 1, dtype=y.dtype)], 1)
    best = (design @ torch.linalg.lstsq(design, x).solution - x).square().mean()
    assert best <= ours <= 1.005 * best


def test_fit_agrees_with_scikit_learn():
    x = get_dataset("mnist").images("train")[:500].signals()
    ours, theirs = fit(x, 20), PCA(20, svd_solver="full").fit(x.double().numpy())
    np.testing.assert_allclose(ours.mean.numpy(), theirs.mean_, atol=1e-12)
    np.testing.assert_allclose(ours.variances.numpy(), theirs.explained_variance_ * 499 / 500, rtol=1e-9)
    alignment = np.abs((ours.components.numpy() * theirs.components_).sum(1))
    np.testing.assert_allclose(alignment, 1, atol=1e-9)
    rest = (x.double() - ours.mean).square().sum(1).mean() - ours.variances.sum()
    assert ours.residual == pytest.approx(rest.item() / (784 - 20), rel=1e-9)


def test_truncation_keeps_the_total_variance():
    prior = load("pca-mnist")
    for k in (1, 100, 784):
        cut = prior.truncated(k)
        total = cut.variances.sum().item() + cut.residual * (784 - k)
        assert total == pytest.approx(prior.variances.sum().item(), rel=1e-6)
    with pytest.raises(ValueError, match="k is 1 to 784"):
        prior.truncated(785)


def test_k_is_a_field():
    assert get_method("pca-gaussian")(k=50).bind("mnist", "gaussian", 0.1).params()["k"] == 50
