import numpy as np
import pytest

from csbench import load_suite
from csbench.catalogue.registry import entries
from csbench.report.gallery import MEASUREMENTS, TRUTH, picture, read_gallery
from csbench.runner.plan import make_cells
from csbench.studies.pictures import measurement_pictures


def pixels(rows) -> np.ndarray:
    return np.stack([picture(row) for row in rows.itertuples()]) / 255


def test_pictures_are_kept_and_not_made_again(csbench, tmp_path):
    call = ("gallery", "mnist-inpainting", "--methods", "zeros,tv-box", "--m", "100,300", "--images", "3")
    done = csbench(*call)
    assert done.returncode == 0, done.stderr
    assert "4 pictures made; 4 files" in done.stdout
    found = read_gallery(tmp_path / "results", "mnist-inpainting")
    assert found.keys() == {TRUTH, MEASUREMENTS, "zeros", "tv-box"}
    truth = pixels(found[TRUTH])
    recovered = found["tv-box"]
    assert recovered["level"].tolist() == [100] * 3 + [300] * 3
    error = ((pixels(recovered).reshape(2, 3, -1) - truth.reshape(3, -1)) ** 2).mean(-1).ravel()
    np.testing.assert_allclose(error, recovered["mse"], atol=1e-3, err_msg="up to rounding to bytes")
    assert (recovered["mse"] > 0).all()
    again = csbench(*call)
    assert "0 pictures made" in again.stdout
    fewer = csbench("gallery", "mnist-inpainting", "--methods", "zeros", "--m", "100", "--images", "2")
    assert "1 pictures made" in fewer.stdout
    found = read_gallery(tmp_path / "results", "mnist-inpainting")
    assert len(found[TRUTH]) == 3, "other methods have three images"
    assert (found[MEASUREMENTS]["level"] == 100).sum() == 3
    assert (found["zeros"]["level"] == 100).sum() == 2
    assert "1 pictures made" in csbench(*call).stdout
    more = csbench(*call[:-3], "100,200", *call[-2:])
    assert "2 pictures made" in more.stdout
    assert sorted(set(read_gallery(tmp_path / "results", "mnist-inpainting")["zeros"]["level"])) == [100, 200, 300]


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_a_figure_is_drawn(csbench, tmp_path, suffix):
    call = (
        "gallery",
        "quick",
        "--m",
        "25",
        "--methods",
        "zeros,pca-gaussian",
        "--images",
        "2",
        "--style",
        "paper",
        "-o",
    )
    done = csbench(*call, tmp_path / f"rows{suffix}")
    assert done.returncode == 0, done.stderr
    written = (tmp_path / f"rows{suffix}").read_bytes()
    assert len(written) > 2000
    if suffix == ".pdf":
        assert b"/FontFile2" in written, "fonts are in the file"
    if suffix == ".svg":
        assert b"<text" not in written, "text is drawn"
    assert not (tmp_path / "results").exists()


def test_what_cannot_be_done_is_refused_at_once(csbench, tmp_path):
    refused = csbench("gallery", "quick", "-o", tmp_path / "rows.gif")
    assert refused.returncode == 2
    assert "use .svg, .png, .pdf" in refused.stderr
    faces = csbench("gallery", "celeba-gaussian")
    assert faces.returncode == 2
    assert "must not be passed on" in faces.stderr


@pytest.mark.parametrize(
    ("suite", "m"), [("mnist-inpainting", 300), ("mnist-superres", 196), ("mnist-deblur", 784), ("mnist-fourier", 252)]
)
def test_measurements_are_shown_as_images_like_the_truth(suite, m):
    """The picture of the measurements is nearer to its own image than to any other."""
    problem = make_cells(load_suite(suite).narrowed(m=(m,), methods=("zeros",), images=5))[0].problem
    given, truth = problem.simulate()
    shown = measurement_pictures(given)
    assert shown is not None
    x = truth.x.numpy()
    distance = ((shown.reshape(5, 1, -1) - x[None]) ** 2).sum(-1)
    assert (distance.argmin(1) == np.arange(5)).all()
    assert shown.shape == (5, 1, 28, 28)


def test_gaussian_measurements_are_no_picture():
    given, _ = make_cells(load_suite("quick").narrowed(methods=("zeros",), images=1))[0].problem.simulate()
    assert measurement_pictures(given) is None


@pytest.mark.parametrize(
    ("picture", "families"),
    [
        ("y", {"gaussian-blur", "motion-blur", "identity"}),
        ("blocks", {"block-average"}),
        ("adjoint", {"random-pixel-mask", "centre-block", "random-block", "cartesian-fourier", "radial-fourier"}),
    ],
)
def test_which_measurements_are_pictures(picture, families):
    assert {name for name, entry in entries("operators").items() if entry.facts["picture_like"] == picture} == families
