import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from csbench import get_dataset
from csbench.core import metrics


@pytest.fixture(scope="module")
def pair():
    x = get_dataset("mnist").images("test")[:8].signals()
    noise = 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    return (x + noise).clamp(0, 1), x


def test_agree_with_scikit_image(pair):
    x_hat, x = pair
    for i in range(len(x)):
        a, b = (v[i].double().numpy().reshape(28, 28) for v in (x, x_hat))
        assert metrics.mse(x_hat, x)[i].item() == pytest.approx(mean_squared_error(a, b), rel=1e-9)
        assert metrics.psnr(x_hat, x)[i].item() == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1), rel=1e-9)
        ours = metrics.ssim(x_hat, x, (1, 28, 28))[i].item()
        assert ours == pytest.approx(structural_similarity(a, b, data_range=1), abs=1e-9)


def test_ssim_of_colour_images_is_the_mean_over_channels():
    a, b = np.random.default_rng(0).random((2, 3, 20, 24))
    ours = metrics.ssim(torch.from_numpy(a.reshape(1, -1)), torch.from_numpy(b.reshape(1, -1)), (3, 20, 24)).item()
    assert ours == pytest.approx(structural_similarity(a, b, channel_axis=0, data_range=1), abs=1e-9)


def test_perfect_reconstruction(pair):
    _, x = pair
    assert metrics.mse(x, x).max() == 0
    assert metrics.relative_l2(x, x).max() == 0
    assert (metrics.psnr(x, x) == 200).all()
    torch.testing.assert_close(metrics.ssim(x, x, (1, 28, 28)), torch.ones(len(x), dtype=torch.float64))
