"""Operators that need the image's shape: properties of all, and each family beside an independent implementation."""

import inspect
import math
import pickle

import numpy as np
import pytest
import scipy.ndimage
import torch
from skimage.measure import block_reduce
from skimage.transform import radon

from csbench import load_results
from csbench.catalogue.registry import entries, get_operator, parse_operator
from csbench.core.errors import UsageError
from csbench.core.seeding import stream
from csbench.operators import (
    BlockAverage,
    CartesianFourier,
    CentreBlock,
    GaussianBlur,
    ImageOperator,
    MotionBlur,
    RadialFourier,
    Radon,
    RandomBlock,
    SinglePixel,
)
from csbench.runner.problem import check_operator, draw_operator

FAMILIES = [
    BlockAverage,
    CartesianFourier,
    CentreBlock,
    GaussianBlur,
    MotionBlur,
    RadialFourier,
    Radon,
    RandomBlock,
    SinglePixel,
]
SHAPES = [(1, 4, 4), (2, 6, 4), (3, 5, 7), (1, 8, 3)]
BAND = (3, 12, 8)


def some(family: type[ImageOperator], shape: tuple[int, int, int], at: float = 0.3) -> ImageOperator:
    """One of the family, in float64, `at` of the way from its least to its largest m that is no more than n."""
    ms = sorted(m for m in family.attainable(shape) if m <= math.prod(shape)) or sorted(family.attainable(shape))
    return family.draw_for(ms[int(at * (len(ms) - 1))], shape, stream("test", *shape)).to(torch.float64)


def images(shape: tuple[int, int, int], count: int = 2) -> torch.Tensor:
    return torch.rand(count, math.prod(shape), generator=stream("x", *shape), dtype=torch.float64)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_rows_are_orthogonal_where_the_frame_is_known(family, shape, at):
    A = some(family, shape, at)
    known = {BlockAverage, CartesianFourier, CentreBlock, RadialFourier, RandomBlock}
    assert (A.frame is not None) == (family in known)
    if A.frame is not None:
        matrix = A.matrix()
        torch.testing.assert_close(matrix @ matrix.T, A.frame * torch.eye(A.shape[0]).double(), atol=1e-12, rtol=0)


def test_every_image_operator_is_tested_here():
    found = {family for name in entries("operators") if issubclass(family := get_operator(name), ImageOperator)}
    assert found == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("at", [0, 0.5, 1])
def test_adjoint_matrix_and_norm_agree(family, shape, at):
    A = some(family, shape, at)
    m, n = A.shape
    assert n == math.prod(shape)
    x, y = torch.randn(2, 3, n, dtype=torch.float64), torch.randn(2, 3, m, dtype=torch.float64)
    left, right = (A(x) * y).sum(), (x * A.adjoint(y)).sum()
    assert abs(left - right) <= 1e-12 * (1 + A(x).norm() * y.norm())
    matrix = A.matrix()
    torch.testing.assert_close(A(x), x @ matrix.T)
    torch.testing.assert_close(A(torch.eye(n).double()).T, matrix)
    assert A.norm() == pytest.approx(torch.linalg.svdvals(matrix).max().item(), rel=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
def test_is_differentiable(family):
    A = some(family, (2, 3, 4))
    for function, length in ((A, A.shape[1]), (A.adjoint, A.shape[0])):
        v = torch.randn(2, length, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(function, v)
        assert torch.autograd.gradgradcheck(function, v)


@pytest.mark.parametrize("family", FAMILIES)
def test_survives_pickling_and_moves_between_dtypes(family, tmp_path):
    exact = some(family, BAND)
    x = images(BAND)
    A = exact.to(torch.float32)
    assert A.to(torch.float32)(x.float()).dtype == torch.float32
    torch.testing.assert_close(A(x.float()).double(), exact(x), rtol=1e-5, atol=1e-5)
    assert torch.equal(A.to(torch.float64)(x), exact(x)), "nothing is lost on the way through float32"
    low = A.to(torch.bfloat16)(x.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.double(), exact(x), rtol=0.02, atol=0.02 * exact(x).abs().max().item())
    torch.save(A, tmp_path / "A")  # as workers get it
    for again in (pickle.loads(pickle.dumps(A)), torch.load(tmp_path / "A", mmap=True, weights_only=False)):
        assert torch.equal(again(x.float()), A(x.float()))
        assert repr(again) == repr(A)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_attainable_m_is_attained_and_others_name_the_nearest(family):
    shape = (2, 6, 6)
    attainable = list(family.attainable(shape))
    for m in attainable[:: max(1, len(attainable) // 12)]:
        assert family.draw_for(m, shape, stream("m")).shape == (m, 72)
    nearest = max(attainable)
    with pytest.raises(UsageError, match=rf"{family.name} has no m = {nearest + 1} .*\(2, 6, 6\).*m = {nearest} "):
        family.draw_for(nearest + 1, shape, stream("m"))
    with pytest.raises(UsageError, match=r"needs the image's shape: .*draw_for\(9, "):
        family.draw(9, 72, stream("m"))


def test_images_without_any_m_are_refused():
    with pytest.raises(UsageError, match=r"centre-block: images of shape \(1, 1, 1\) are too small"):
        CentreBlock.draw_for(1, (1, 1, 1), stream("m"))


@pytest.mark.parametrize("family", FAMILIES)
def test_channels_are_measured_alike(family):
    shape = (3, 6, 6)
    A = some(family, shape)
    x = images(shape).reshape(2, 3, 36)
    y = A(x.flatten(1)).reshape(2, 3, -1)
    torch.testing.assert_close(A(x.flip(1).flatten(1)).reshape(2, 3, -1), y.flip(1))
    grey = A(x[:, :1].expand(2, 3, 36).flatten(1)).reshape(2, 3, -1)
    torch.testing.assert_close(grey, y[:, :1].expand_as(grey))


# --- inpainting and super-resolution


def test_hidden_blocks_are_hidden_and_nothing_else():
    shape = (2, 7, 6)
    x = images(shape)
    centre = CentreBlock.draw_for(2 * (42 - 9), shape, stream("centre")).to(torch.float64)
    image = x.reshape(2, 2, 7, 6).clone()
    image[:, :, 2:5, 1:4] = 0
    torch.testing.assert_close(centre.adjoint(centre(x)), image.flatten(1), atol=0, rtol=0)

    corners = set()
    for draw in range(200):
        hidden = RandomBlock.draw_for(2 * (42 - 9), shape, stream("block", draw))
        seen = hidden.adjoint(hidden(torch.ones(84))).reshape(2, 7, 6)
        rows, columns = np.nonzero(seen[0] == 0).T.tolist()
        assert (len(rows), max(rows) - min(rows), max(columns) - min(columns)) == (9, 2, 2)
        corners.add((min(rows), min(columns)))
    assert corners == {(i, j) for i in range(5) for j in range(4)}, "every place comes up"


def test_block_average_is_scikit_images():
    shape = (3, 12, 8)
    x = images(shape)
    for factor in (1, 2, 4):
        A = BlockAverage.draw_for(288 // factor**2, shape, stream("x")).to(torch.float64)
        expected = [block_reduce(image, (1, factor, factor), np.mean) for image in x.reshape(2, *shape).numpy()]
        np.testing.assert_allclose(A(x), np.stack(expected).reshape(2, -1), atol=1e-14)


# --- blur


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5, 6.0])
def test_gaussian_blur_is_scipys(sigma):
    """Also where the kernel is wider than the image."""
    shape = (2, 9, 12)
    A = draw_operator(f"gaussian-blur:sigma={sigma}", 216, shape, stream("x")).to(torch.float64)
    x = images(shape)
    expected = scipy.ndimage.gaussian_filter(
        x.reshape(2, *shape).numpy(), sigma, mode="wrap", truncate=4.0, axes=(2, 3)
    )
    np.testing.assert_allclose(A(x), expected.reshape(2, -1), atol=1e-13)


@pytest.mark.parametrize(("angle", "axis"), [(0, 3), (90, 2), (180, 3)])
@pytest.mark.parametrize("length", [1, 3, 7])
def test_motion_along_an_axis_is_scipys_moving_average(angle, axis, length):
    shape = (2, 9, 12)
    A = draw_operator(f"motion-blur:length={length},angle={angle}", 216, shape, stream("x")).to(torch.float64)
    x = images(shape)
    expected = scipy.ndimage.uniform_filter1d(x.reshape(2, *shape).numpy(), length, axis=axis, mode="wrap")
    np.testing.assert_allclose(A(x), expected.reshape(2, -1), atol=1e-13)


def test_motion_goes_the_way_of_its_angle():
    shape = (1, 31, 31)
    point = torch.zeros(1, 31, 31, dtype=torch.float64)
    point[0, 15, 15] = 1
    for angle in (30, 120):
        A = draw_operator(f"motion-blur:length=15,angle={angle}", 961, shape, stream("x")).to(torch.float64)
        streak = A(point.flatten()).reshape(31, 31)
        assert streak.sum().item() == pytest.approx(1)
        up, right = 15 - torch.arange(31)[:, None], torch.arange(31)[None] - 15
        spread = math.atan2((streak * up * right).sum() * 2, (streak * (right**2 - up**2)).sum()) / 2
        assert math.degrees(spread) % 180 == pytest.approx(angle, abs=0.5)


def test_the_angle_of_motion_is_drawn_uniformly():
    def horizontal(draw):  # share of motion along rows, cos^2 of the angle, 1/2 in the mean
        A = MotionBlur.draw_for(961, (1, 31, 31), stream("angle", draw), length=15)
        streak = A(torch.eye(961)[480]).reshape(31, 31)
        offset = (torch.arange(31) - 15).square()
        across, down = (streak.sum(0) * offset).sum(), (streak.sum(1) * offset).sum()
        return (across / (across + down)).item()

    shares = [horizontal(draw) for draw in range(60)]
    assert abs(np.mean(shares) - 0.5) < 0.15
    assert min(shares) < 0.1
    assert max(shares) > 0.9


# --- Fourier


@pytest.mark.parametrize("family", [CartesianFourier, RadialFourier])
@pytest.mark.parametrize("shape", [(2, 8, 6), (1, 9, 7), (1, 28, 28)])
def test_fourier_rows_are_orthonormal_parts_of_numpys_transform(family, shape):
    A = some(family, shape, 0.4)
    m, n = A.shape
    c = shape[0]
    matrix = A.matrix().numpy() * math.sqrt(m / n)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(m), atol=1e-12)
    x = images(shape).reshape(2, *shape).numpy()
    k_space = np.fft.fft2(x, norm="ortho")
    measured = np.abs(np.fft.fft2(matrix.reshape(c, m // c, *shape)[0, :, 0])).max(0) > 1e-9
    assert c * measured.sum() == m, "a pair of opposite points has two rows"
    seen = np.fft.ifft2(k_space * measured, norm="ortho").real.reshape(2, -1)
    np.testing.assert_allclose(A.adjoint(A(torch.from_numpy(x).flatten(1))) * m / n, seen, atol=1e-12)
    parts = np.concatenate([k_space.real, k_space.imag]).reshape(
        4, c, -1
    )  # every row is one of these, or sqrt(2) of it
    for value in A(torch.from_numpy(x).flatten(1)).numpy()[0] * math.sqrt(m / n):
        assert min(abs(parts - value).min(), abs(math.sqrt(2) * parts - value).min()) < 1e-12


def lines_of(A: ImageOperator) -> np.ndarray:
    """Which rows of k-space an operator measures, bool, shape [h]."""
    k_space = torch.fft.fft2(A.adjoint(torch.randn(A.shape[0], generator=stream("y"))).reshape(A.image_shape))
    power = k_space.abs()[0]
    assert torch.equal((power > 1e-5).all(1), (power > 1e-5).any(1)), "lines are whole"
    return (power > 1e-5).all(1).numpy()


def test_cartesian_lines_are_denser_towards_the_centre():
    shape, lines = (1, 40, 8), 8
    counts = np.zeros(40)
    for draw in range(150):
        measured = lines_of(CartesianFourier.draw_for((2 * lines - 1) * 8, shape, stream("lines", draw)))
        assert measured.sum() == 2 * lines - 1
        assert measured[[0, 1, 39]].all(), "0.08 of 40 lines around the centre"
        assert not measured[20]
        counts += measured
    np.testing.assert_array_equal(counts[1:], counts[:0:-1])
    near, middle, far = counts[2:6].mean(), counts[8:12].mean(), counts[15:20].mean()
    assert near > 1.5 * middle > 3 * far


def test_cartesian_parameters():
    m, shape = 7 * 8, (1, 40, 8)
    centred = draw_operator("cartesian-fourier:centre=1", m, shape, stream("x"))
    assert lines_of(centred).nonzero()[0].tolist() == [0, 1, 2, 3, 37, 38, 39]
    even = [lines_of(draw_operator("cartesian-fourier:centre=0,power=0", m, shape, stream("x", i))) for i in range(200)]
    share = np.mean(even, 0)[1:20]
    assert abs(share - 3 / 19).max() < 0.1


def test_radial_lines_go_through_the_centre():
    one, two = sorted(RadialFourier.attainable((1, 9, 9)))[:2]
    assert (one, two) == (9, 17)
    matrix = RadialFourier.draw_for(two, (1, 9, 9), stream("x")).matrix().reshape(two, 9, 9)
    measured = torch.fft.fft2(matrix).abs().amax(0) > 1e-5
    cross = torch.zeros(9, 9, dtype=torch.bool)
    cross[0], cross[:, 0] = True, True
    assert torch.equal(measured, cross)
    diagonals = RadialFourier.draw_for(33, (1, 9, 9), stream("x")).matrix().reshape(33, 9, 9)
    expected = cross | torch.eye(9, dtype=torch.bool) | torch.eye(9, dtype=torch.bool).flip(0).roll(1, 0)
    assert torch.equal(torch.fft.fft2(diagonals).abs().amax(0) > 1e-5, expected)


# --- tomography and the single-pixel camera


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 6), (1, 7, 11), (1, 28, 28)])
def test_radon_is_scikit_images(shape):
    angles = 7
    d = math.ceil(math.sqrt(2) * max(shape[1:]))
    A = Radon.draw_for(shape[0] * angles * d, shape, stream("x")).to(torch.float64)
    x = images(shape)
    theta = 180 * np.arange(angles) / angles
    expected = [
        [radon(channel, theta, circle=False, preserve_range=True).T for channel in image]
        for image in x.reshape(2, *shape).numpy()
    ]
    np.testing.assert_allclose(A(x), np.reshape(expected, (2, -1)), atol=1e-9)


def test_radon_sees_all_of_the_image_at_every_angle():
    A = some(Radon, (1, 16, 16))
    image = torch.zeros(1, 16, 16, dtype=torch.float64)
    image[0, 4:12, 5:11] = 1
    sums = A(image.flatten()).reshape(-1, 23).sum(1)
    torch.testing.assert_close(sums, torch.full_like(sums, 48.0), rtol=0.01, atol=0)


def walsh(side: int) -> np.ndarray:
    """Walsh functions on [0, 1) by their definition, products of Rademacher functions over a Gray code, at centres."""
    bits = math.ceil(math.log2(side))
    points = (np.arange(side) + 0.5) / side
    rademacher = [np.where(points * 2 ** (r + 1) % 2 < 1, 1, -1) for r in range(bits)]
    gray = (i ^ i >> 1 for i in range(side))
    factors = ([rademacher[r] for r in range(bits) if code >> r & 1] for code in gray)
    return np.array([np.prod([np.ones(side), *chosen], axis=0) for chosen in factors])


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 4, 8), (1, 6, 5)])
def test_single_pixel_patterns_are_walsh_functions(shape):
    c, h, w = shape
    p = h * w // 2
    matrix = SinglePixel.draw_for(c * p, shape, stream("x")).matrix().reshape(c, p, c, h, w)
    down, across = walsh(h), walsh(w)
    order = sorted(((i, j) for i in range(h) for j in range(w)), key=lambda ij: (sum(ij), ij[0]))
    for row, (i, j) in enumerate(order[:p]):
        pattern = (1 + np.outer(down[i], across[j])) / 2
        for channel in range(c):
            np.testing.assert_allclose(matrix[channel, row, channel], pattern, atol=1e-6)
    for other in range(1, c):
        assert not matrix[0, :, other].any()


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 9, 6), (1, 28, 12)])
def test_all_single_pixel_patterns_determine_the_image(shape):
    A = SinglePixel.draw_for(math.prod(shape), shape, stream("x")).to(torch.float64)
    x = images(shape)
    torch.testing.assert_close(torch.linalg.solve(A.matrix(), A(x).T).T, x)


# --- how suites name operators


def test_what_is_listed_is_what_is_imported():
    for name, entry in entries("operators").items():
        family = get_operator(name)
        assert all(entry.facts[fact] for fact in ("rows", "adjoint_by", "cost")), name
        if issubclass(family, ImageOperator):
            assert entry.facts["rows"] == family.rows
            arguments = inspect.signature(family.draw_for).parameters.values()
            parameters = {a.name: a.default for a in arguments if a.kind is inspect.Parameter.KEYWORD_ONLY}
            assert {k: eval(v, {}) for k, v in entry.fields.items()} == parameters


def test_specs_are_parsed():
    entry, parameters = parse_operator("motion-blur:length=3,angle=45")
    assert (entry.name, parameters) == ("motion-blur", {"length": 3, "angle": 45.0})
    assert parse_operator("gaussian")[1] == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gausian-blur:sigma=2", "Did you mean 'gaussian-blur'"),
        ("gaussian-blur:width=2", "gaussian-blur has no parameter 'width'; its parameters: sigma=1.0"),
        ("gaussian:sigma=2", "gaussian has no parameter 'sigma'; its parameters: none"),
        ("gaussian-blur:sigma", "parameter sigma of gaussian-blur must be a number, got ''"),
        ("gaussian-blur:sigma=inf", "must be a number, got 'inf'"),
        ("motion-blur:length=2.5", "parameter length of motion-blur must be an integer, got '2.5'"),
        ("gaussian-blur:sigma=0", "gaussian-blur: sigma must be more than 0, got 0"),
        ("motion-blur:length=0", "length must be 1 or more, got 0"),
        ("cartesian-fourier:centre=2", r"centre must be in \[0, 1\], got 2"),
        ("cartesian-fourier:power=-1", "power must be 0 or more, got -1"),
    ],
)
def test_wrong_specs_are_refused(spec, message):
    m = {"cartesian-fourier": 28}.get(spec.partition(":")[0], 784)
    with pytest.raises(UsageError, match=message):
        check_operator(spec, [m], (1, 28, 28))
    with pytest.raises(UsageError, match=message):
        draw_operator(spec, m, (1, 28, 28), stream("x"))


def test_a_suite_runs_on_an_operator_with_parameters(csbench, tmp_path, tiny_suite):
    text = tiny_suite.read_text().replace("m = [10, 25]", "m = [784]").replace("reference_m = 25", "reference_m = 784")
    tiny_suite.write_text(text.replace('"gaussian"', '"gaussian-blur:sigma=2"'))
    done = csbench("run", tiny_suite, "--methods", "zeros,pca-gaussian")
    assert done.returncode == 0, done.stderr
    rows = load_results("tiny", tmp_path / "results")
    assert set(rows["operator"]) == {"gaussian-blur:sigma=2"}
    assert rows[rows["method"] == "pca-gaussian"]["mse"].mean() < rows[rows["method"] == "zeros"]["mse"].mean()


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        ("block-average", "block-average has no m = 10 for images of shape (1, 28, 28); the nearest is m = 16"),
        ("cartesian-fourier:power=-1", "cartesian-fourier has no m = 10"),
    ],
)
def test_a_suite_with_an_m_that_cannot_be_is_refused_before_anything_runs(
    csbench, tmp_path, tiny_suite, operator, message
):
    tiny_suite.write_text(tiny_suite.read_text().replace('"gaussian"', f'"{operator}"'))
    done = csbench("run", tiny_suite, "--methods", "zeros")
    assert done.returncode == 2
    assert f"suite tiny: fields 'operator' and 'm': {message}" in done.stderr
    assert not list((tmp_path / "results").glob("suite=*"))
