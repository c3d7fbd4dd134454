"""Metrics with little to compare with: black images, exact answers, sides of a few pixels, enormous values."""

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from csbench.core import metrics


def all_of(x_hat: torch.Tensor, x: torch.Tensor, shape: tuple[int, int, int]) -> dict[str, torch.Tensor]:
    return {
        "mse": metrics.mse(x_hat, x),
        "relative_l2": metrics.relative_l2(x_hat, x),
        "psnr": metrics.psnr(x_hat, x),
        "ssim": metrics.ssim(x_hat, x, shape),
    }


def test_a_black_image_and_its_exact_reconstruction():
    black = torch.zeros(2, 64)
    black_and_grey = torch.stack([black[0], torch.full((64,), 0.5)])
    found = {name: value.tolist() for name, value in all_of(black_and_grey, black, (1, 8, 8)).items()}
    assert found["mse"] == [0, 0.25]
    assert found["relative_l2"] == [0, 4]  # the norm of the error itself, sqrt(64 / 4)
    assert found["psnr"] == pytest.approx([200, 10 * math.log10(4)])
    assert found["ssim"] == pytest.approx([1, 1e-4 / (0.25 + 1e-4)])  # luminance alone differs


@pytest.mark.parametrize("side", [3, 4, 5, 6, 7, 8, 13])
@pytest.mark.parametrize("other", [3, 5, 6, 9])
def test_ssim_of_small_images_is_that_of_scikit_image_with_a_window_that_fits(side, other):
    a, b = np.random.default_rng(side).random((2, 2, side, other))
    window = max(size for size in (3, 5, 7) if size <= min(side, other))
    wanted = structural_similarity(a, b, channel_axis=0, data_range=1, win_size=window)
    ours = metrics.ssim(torch.from_numpy(a.reshape(1, -1)), torch.from_numpy(b.reshape(1, -1)), (2, side, other))
    assert ours.item() == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 40), (3, 2, 2), (1, 40, 2)])
def test_ssim_of_single_pixels_compares_luminance(shape):
    a, b = torch.rand(2, 5, math.prod(shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = ((2 * a * b + 1e-4) / (a * a + b * b + 1e-4)).mean(1)
    torch.testing.assert_close(metrics.ssim(a, b, shape), wanted)


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
PIXELS = st.one_of(st.just(0.0), st.floats(0, 1, width=32), st.sampled_from([1e-45, 1e-38, 1.0]))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))
def test_every_metric_of_finite_images_is_finite(data, shape):
    n = math.prod(shape)
    x = torch.from_numpy(data.draw(arrays.arrays(np.float32, (1, n), elements=PIXELS)))
    x_hat = torch.from_numpy(data.draw(arrays.arrays(np.float32, (1, n), elements=FLOATS)))
    for name, value in all_of(x_hat, x, shape).items():
        assert torch.isfinite(value).all(), name
    assert metrics.psnr(x_hat, x) <= 200
    assert metrics.mse(x, x) == metrics.relative_l2(x, x) == 0
    assert metrics.ssim(x, x, shape).item() == pytest.approx(1)
