"""y depends on dataset, image, operator, m and draw, and on nothing else."""

import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from csbench import Measurement, Problem, get_dataset, get_method, stream
from csbench.core.errors import ShapeError, UsageError
from csbench.operators import from_matrix
from csbench.runner.problem import digest

BASE = Problem("mnist", "gaussian", 25, 0.1, 0, 4)


def test_y_is_pinned():
    """A change of these digests makes every earlier result incomparable: raise the suites' versions."""
    found = {
        operator: digest(Problem(dataset, operator, m, 0.1, 1, 5).simulate()[0].y)[:16]
        for dataset, operator, m in [
            ("mnist", "gaussian", 100),
            ("fashion-mnist", "rademacher", 50),
            ("mnist", "random-pixel-mask", 75),
            ("mnist", "identity", 784),
            ("mnist", "subsampled-dct", 100),
            ("mnist", "subsampled-hadamard", 100),
            ("mnist", "partial-circulant", 100),
            ("mnist", "sparse-rademacher", 100),
            ("mnist", "cartesian-fourier", 140),
            ("mnist", "radial-fourier", 105),
            ("mnist", "centre-block", 588),
            ("mnist", "random-block", 588),
            ("mnist", "block-average", 49),
            ("mnist", "gaussian-blur:sigma=2", 784),
            ("mnist", "motion-blur", 784),
            ("mnist", "radon", 200),
            ("mnist", "single-pixel", 100),
        ]
    }
    assert found == {
        "gaussian": "a79a461e611ae598",
        "rademacher": "a215a7bdd02eb112",
        "random-pixel-mask": "cba07711e68e8017",
        "identity": "72d3f79fb6ac6c51",
        "subsampled-dct": "a66225da2555b095",
        "subsampled-hadamard": "d0a0811f5a35265a",
        "partial-circulant": "db4ee8841d5e57c4",
        "sparse-rademacher": "a923f74f427dc090",
        "cartesian-fourier": "d0992f1a843940f9",
        "radial-fourier": "4707a1b30a9c3b4f",
        "centre-block": "23b2c1eed5fde204",
        "random-block": "6aa3f70a1c6e449c",
        "block-average": "b6282f7f44e16107",
        "gaussian-blur:sigma=2": "47af16f7dee8d5bc",
        "motion-blur": "e6c86df73024f645",
        "radon": "f0af717198dbbf01",
        "single-pixel": "e0f54bbdc44aeec5",
    }


def test_y_of_an_image_does_not_depend_on_the_batch():
    many, one = replace(BASE, images=100).simulate()[0], replace(BASE, images=1).simulate()[0]
    assert torch.equal(many.y[:1], one.y)
    assert torch.equal(many.A.matrix(), one.A.matrix())


def test_y_is_the_same_in_another_process_and_with_more_threads():
    code = (
        "import sys, torch; torch.set_num_threads(int(sys.argv[1])); from csbench import Problem; "
        "from csbench.runner.problem import digest; torch.randn(3); "
        "print(digest(Problem('mnist', 'gaussian', 25, 0.1, 0, 4).simulate()[0].y))"
    )
    expected = digest(BASE.simulate()[0].y)
    for threads in ("1", "2"):
        out = subprocess.run([sys.executable, "-c", code, threads], capture_output=True, text=True, check=True).stdout
        assert out.strip() == expected


@pytest.mark.parametrize(
    "change",
    [{"draw": 1}, {"m": 26}, {"operator": "rademacher"}, {"dataset": "fashion-mnist"}, {"split": "validation"}],
)
def test_every_coordinate_has_its_own_randomness(change):
    a, b = BASE.simulate()[0], replace(BASE, **change).simulate()[0]
    k = min(a.m, b.m)
    correlation = torch.corrcoef(torch.stack([a.A.matrix()[:k].flatten(), b.A.matrix()[:k].flatten()]))[0, 1]
    assert abs(correlation) < 0.05


def test_noise_has_the_stated_norm_and_scales():
    loud = replace(BASE, images=200, m=300, noise_norm=2.0)
    given, truth = loud.simulate()
    noise = given.y - given.A(truth.x)
    assert noise.square().sum(1).mean().sqrt().item() == pytest.approx(2.0, rel=0.01)
    assert given.noise_norm == pytest.approx(2.0)
    quiet, _ = replace(loud, noise_norm=1.0).simulate()
    torch.testing.assert_close(quiet.y - given.A(truth.x), noise / 2, atol=1e-5, rtol=0)


def test_no_noise_is_exact():
    given, truth = replace(BASE, noise_norm=0.0).simulate()
    torch.testing.assert_close(given.y.double(), truth.x.double() @ given.A.matrix().double().T, atol=1e-6, rtol=0)


def test_methods_leave_y_and_each_other_alone():
    given, _ = BASE.simulate()
    before = digest(given.y)
    for name in ("min-norm", "lasso-dct", "zeros"):
        get_method(name)().bind("mnist", "gaussian", 0.1).recover(given, stream("x"))
    assert digest(given.y) == before == digest(BASE.simulate()[0].y)


def test_a_measurement_holds_no_truth():
    given, truth = BASE.simulate()
    data = pickle.dumps(given)
    assert set(vars(given)) == {"A", "y", "noise_std", "image_shape"}
    assert truth.x[0].numpy().tobytes() not in data
    assert get_dataset("mnist").images("test").pixels[0].tobytes() not in data


def test_too_many_images_are_refused():
    with pytest.raises(UsageError, match="501 test images asked for, mnist has 500"):
        replace(BASE, images=501).simulate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": torch.zeros(2, 4)}, r"\[batch, 3\].*\(2, 4\)"),
        ({"y": torch.zeros(2, 3, dtype=torch.float64)}, "float64 and A is torch.float32"),
        ({"image_shape": (1, 2, 3)}, "n = 4"),
        ({"noise_std": -1.0}, "zero or more"),
    ],
)
def test_measurements_check_their_parts(changes, message):
    good = Measurement(from_matrix(torch.zeros(3, 4)), torch.zeros(2, 3), 0.1, (1, 2, 2))
    with pytest.raises(ShapeError, match=message):
        replace(good, **changes)
