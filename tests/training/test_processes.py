import math
import re

import numpy as np
import pytest
import torch
from scipy import ndimage

from csbench import get_dataset
from csbench.core.errors import UsageError
from csbench.training.processes import (
    PROCESSES,
    BlockPatch,
    BlockPixels,
    ConvolveNoise,
    ExtractPatch,
    GaussianProjection,
    KeepPatch,
    PadRotateProject,
    PadRotateProjectTheta,
    parse,
)

SHAPES = [(1, 28, 28), (3, 16, 16)]
EVERY = [parse(name) if "patch" not in name else parse(f"{name}:k=6") for name in PROCESSES]


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return torch.tensor(get_dataset("mnist").images("validation").pixels[:40]).float() / 255


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("process", EVERY, ids=lambda p: p.name)
def test_measurements_are_differentiable_and_finite(process, shape, rng):
    x = torch.rand(4, *shape, generator=rng, requires_grad=True)
    y = process.simulate(x, rng)
    assert len(y) == 4
    assert y.dtype == torch.float32
    assert y.isfinite().all()
    y.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("process", EVERY, ids=lambda p: p.name)
def test_theta_decides_everything(process, rng):
    x = torch.rand(3, 1, 28, 28, generator=rng)
    theta = process.draw(3, (1, 28, 28), rng)
    other = process.draw(3, (1, 28, 28), rng)
    assert process.measure(x, theta).equal(process.measure(x, theta))
    assert not process.measure(x, theta).equal(process.measure(x, other))
    again = process.draw(3, (1, 28, 28), torch.Generator().manual_seed(7))
    assert again.equal(process.draw(3, (1, 28, 28), torch.Generator().manual_seed(7)))


@pytest.mark.parametrize("process", EVERY, ids=lambda p: p.name)
def test_each_image_has_its_own_theta(process, rng):
    x = torch.rand(1, 1, 28, 28, generator=rng).expand(6, 1, 28, 28)
    y = process.simulate(x, rng).flatten(1)
    assert len(y.unique(dim=0)) > 1


@pytest.mark.parametrize("process", [p for p in EVERY if p.linear], ids=lambda p: p.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_linear_processes_are_measurement_operators(process, shape, rng):
    theta = process.draw(1, shape, rng)[0]
    A = process.operator(theta, shape).to(torch.float64)
    m, n = A.shape
    x, y = torch.randn(3, n, generator=rng).double(), torch.randn(3, m, generator=rng).double()
    torch.testing.assert_close((A(x) * y).sum(), (x * A.adjoint(y)).sum())
    torch.testing.assert_close(A(2 * x[:1] - x[1:2]), 2 * A(x[:1]) - A(x[1:2]))
    measured = process.measure(x.float().view(-1, *shape), theta.expand(3, *theta.shape)).flatten(1)
    torch.testing.assert_close(A(x).float(), measured, rtol=1e-4, atol=1e-4)
    torch.autograd.gradcheck(A, (x[:1].requires_grad_(),), fast_mode=True)


def test_a_noisy_process_is_no_operator(rng):
    process = ConvolveNoise()
    with pytest.raises(UsageError, match="not linear"):
        process.operator(process.draw(1, (1, 8, 8), rng)[0], (1, 8, 8))


@pytest.mark.parametrize("p", [0.0, 0.5, 0.95])
def test_block_pixels_drops_the_share_p_in_all_channels_at_once(p, rng):
    x = torch.rand(50, 3, 20, 20, generator=rng) + 0.01
    process = BlockPixels(p)
    theta = process.draw(50, (3, 20, 20), rng)
    y = process.measure(x, theta)
    seen = y != 0
    assert seen.double().mean().item() == pytest.approx(1 - p, abs=0.02)
    assert y[seen].equal(x[seen])
    assert seen[:, 0].equal(seen[:, 2])
    unbiased = BlockPixels(p, unbiased=True)
    torch.testing.assert_close(unbiased.measure(x, theta) * (1 - p), y)


def test_blur_is_that_of_scipy(digits):
    blurred = ConvolveNoise(radius=1.3).blur(digits)
    expected = [ndimage.gaussian_filter(d.double().numpy(), 1.3, mode="constant", radius=6) for d in digits[:, 0]]
    np.testing.assert_allclose(blurred[:, 0].numpy(), np.stack(expected), atol=1e-6)


def test_noise_has_its_standard_deviation(rng):
    process = ConvolveNoise(radius=1, sigma=0.5)
    x = torch.rand(50, 1, 28, 28, generator=rng)
    noise = process.simulate(x, rng) - process.blur(x)
    assert noise.std().item() == pytest.approx(0.5, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("kind", [BlockPatch, KeepPatch, ExtractPatch])
@pytest.mark.parametrize(("k", "side"), [(3, 5), (1, 4), (5, 5)])
def test_every_offset_of_a_patch_occurs_equally_often(kind, k, side, rng):
    theta = kind(k).draw(2000, (1, side, side), rng)
    offsets, counts = theta.unique(dim=0, return_counts=True)
    positions = (side - k + 1) ** 2
    assert len(offsets) == positions
    assert offsets.min() == 0
    assert offsets.max() == side - k
    assert counts.min() > 0.6 * 2000 / positions


def test_patches_hide_keep_and_extract_the_same_square(digits, rng):
    hide, keep, extract = BlockPatch(9), KeepPatch(9), ExtractPatch(9)
    theta = hide.draw(len(digits), (1, 28, 28), rng)
    assert (hide.measure(digits, theta) + keep.measure(digits, theta)).equal(digits)
    patches = extract.measure(digits, theta)
    assert patches.shape == (len(digits), 1, 9, 9)
    for image, (row, column), patch in zip(digits, theta.tolist(), patches, strict=True):
        assert image[:, row : row + 9, column : column + 9].equal(patch)


def test_a_patch_must_fit(rng):
    with pytest.raises(UsageError, match=r"field k must be at most 28"):
        BlockPatch(29).draw(1, (1, 28, 28), rng)


@pytest.mark.parametrize("degrees", [0, 37, 90, 200])
def test_projections_are_sums_over_the_image_that_scipy_rotates(digits, degrees):
    y = PadRotateProject().measure(digits, torch.full((len(digits),), math.radians(degrees)))[:, 0]
    padded = np.pad(digits[:, 0].double().numpy(), ((0, 0), (6, 6), (6, 6)))
    expected = ndimage.rotate(padded, degrees, axes=(2, 1), reshape=False, order=1).sum(1)
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-3)


def test_projections_keep_the_total(digits, rng):
    y = PadRotateProject().simulate(digits, rng)
    torch.testing.assert_close(y.sum((1, 2)), digits.sum((1, 2, 3)), rtol=0.02, atol=0.1)


def test_back_projections_are_the_adjoint_up_to_interpolation(digits, rng):
    process = PadRotateProjectTheta()
    theta = process.draw(1, (1, 28, 28), rng)
    y = process.measure(digits[:1], theta)
    adjoint = process.operator(theta[0], (1, 28, 28)).adjoint(y.flatten(1)).view(28, 28)
    smeared = process.view(y, theta, (1, 28, 28))[0, 0] * y.shape[2]
    inner = (slice(2, -2), slice(2, -2))
    assert (smeared - adjoint)[inner].norm() < 0.15 * adjoint[inner].norm()


def test_gaussian_projections_without_a_matrix_have_the_law_of_those_with_one(digits, rng):
    process = GaussianProjection(m=20)
    shape = (1, 28, 28)
    x = digits[:1].expand(4000, *shape)
    explicit = []
    for part in x.split(500):
        theta = process.draw(len(part), shape, rng)
        explicit.append(process.view(process.measure(part, theta), theta, shape))
    a, b = torch.cat(explicit).flatten(1), process.simulate(x, rng).flatten(1)
    flat = digits[0].flatten()
    directions = torch.stack([flat / flat.norm(), torch.eye(784)[0], torch.randn(784, generator=rng) / 28])
    for along_a, along_b in zip((a @ directions.T).T, (b @ directions.T).T, strict=True):
        scale = along_a.std() / math.sqrt(4000)
        assert (along_a.mean() - along_b.mean()).abs() < 6 * scale
        torch.testing.assert_close(along_a.std(), along_b.std(), rtol=0.08, atol=0)
        quantiles = torch.tensor([0.05, 0.25, 0.75, 0.95])
        difference = along_a.quantile(quantiles) - along_b.quantile(quantiles)
        assert difference.abs().max() < 0.12 * along_a.std()
    torch.testing.assert_close(a.norm(dim=1).mean(), b.norm(dim=1).mean(), rtol=0.02, atol=0)


@pytest.mark.parametrize("process", EVERY, ids=lambda p: p.name)
def test_descriptions_read_back(process):
    assert parse(process.spec) == process
    assert re.fullmatch(r"[a-z0-9.-]+", process.slug)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("blur", "no measurement process is called 'blur'; there is block-pixels"),
        ("block-pixels:q=0.5", "block-pixels has no field 'q'; its fields: p, unbiased"),
        ("block-pixels:p=half", "field p must be a number, got 'half'"),
        ("block-pixels:p=1", "block-pixels: field p must be a probability below 1, got 1.0"),
        ("block-pixels:unbiased=yes", "field unbiased must be true or false"),
        ("block-patch:k=2.5", "field k must be an integer"),
        ("convolve-noise:sigma=-1", "field sigma must be 0 or more"),
        ("convolve-noise:radius=0", "field radius must be more than 0"),
        ("pad-rotate-project:k=3", "its fields: none"),
        ("gaussian-projection:m=0", "field m must be 1 or more"),
    ],
)
def test_a_wrong_description_says_what_to_change(spec, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        parse(spec)
