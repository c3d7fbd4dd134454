from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from csbench.catalogue.registry import get_dataset, get_method
from csbench.catalogue.suites import load_suite
from csbench.core.errors import CsbenchError, UsageError
from csbench.core.measurement import Measurement
from csbench.core.method import Recovery
from csbench.core.seeding import stream
from csbench.operators import Gaussian
from csbench.priors.generator import Generator, load_prior
from csbench.report import decomposition as report
from csbench.results.artefact_kinds import DECOMPOSITIONS
from csbench.solvers.latent.projection import nearest
from csbench.studies import decompose as decomposition
from csbench.studies.decompose import decompose, searching
from tests.conftest import ROOT

N, K, IMAGES, LMBD = 64, 6, 5, 0.3
PARTS = ["representation", "measurement", "optimisation"]


class Plane(Generator):
    """G(z) = W z + b: every part of the error has a closed form."""

    def __init__(self) -> None:
        super().__init__()
        rng = stream("plane")
        self.n, self.latent_dim = N, K
        self.W = torch.randn(N, K, generator=rng) / K**0.5
        self.b = torch.rand(N, generator=rng)

    def forward(self, z: Tensor) -> Tensor:
        return z @ self.W.T.to(z) + self.b.to(z)


def measured(x: Tensor, m: int) -> Measurement:
    A = Gaussian.draw(m, x.shape[1], stream("A", m))
    y = A(x) + 0.05 * torch.randn(len(x), m, generator=stream("noise", m))
    return Measurement(A, y, 0.05, (1, 8, x.shape[1] // 8))


def error(x_hat: Tensor, x: Tensor) -> Tensor:
    return (x_hat.double() - x.double()).square().mean(1)


def objective(plane: Plane, given: Measurement, z: Tensor) -> Tensor:
    return (given.A(plane(z)) - given.y).square().sum(1) + LMBD * z.square().sum(1)


@pytest.mark.parametrize("m", [4, 30])
def test_a_plane_has_the_parts_that_algebra_gives(m):
    plane, x = Plane(), torch.rand(IMAGES, N, generator=stream("x"))
    given = measured(x, m)
    z_hat = torch.randn(IMAGES, K, generator=stream("anything"))
    answer = Recovery(plane(z_hat), {"objective": objective(plane, given, z_hat)})
    near = nearest(x, plane, rng=stream("starts"))
    parts = decompose(plane, given, LMBD, x, near, answer, stream("starts"))

    W, b, A = plane.W.double(), plane.b.double(), given.A.matrix().double()
    z_near = torch.linalg.lstsq(W, (x.double() - b).T).solution.T
    AW = A @ W
    ridge = AW.T @ AW + LMBD * torch.eye(K, dtype=torch.float64)
    z_opt = torch.linalg.solve(ridge, AW.T @ (given.y.double() - b @ A.T).T).T
    representation, at_best = error(z_near @ W.T + b, x), error(z_opt @ W.T + b, x)
    gap = objective(plane, given, z_hat) - objective(plane, given, z_opt.float())
    torch.testing.assert_close(parts.representation, representation, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(parts.measurement, at_best - representation, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(parts.optimisation, error(answer.x_hat, x) - at_best, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(parts.objective_gap, gap.double(), rtol=1e-4, atol=1e-4)
    assert parts.objective_gap.min() > 0.1
    torch.testing.assert_close(parts.total, error(answer.x_hat, x))
    torch.testing.assert_close(
        parts.representation + parts.measurement + parts.optimisation, parts.total, rtol=0, atol=1e-15
    )


def test_an_answer_that_no_search_beats_is_z_opt():
    """Then nothing is optimisation error, whatever the searches found."""
    plane, x = Plane(), torch.rand(IMAGES, N, generator=stream("x"))
    given = measured(x, 20)
    answer = Recovery(torch.full_like(x, 0.5), {"objective": torch.zeros(IMAGES)})
    parts = decompose(plane, given, LMBD, x, nearest(x, plane, rng=stream("s")), answer, stream("s"))
    assert (parts.optimisation == 0).all()
    assert (parts.objective_gap == 0).all()
    torch.testing.assert_close(parts.measurement + parts.representation, error(answer.x_hat, x))


def test_the_start_that_knows_the_image_is_followed(monkeypatch):
    """Where the other searches make hardly a step, what is found is what descends from the oracle."""
    monkeypatch.setattr(decomposition, "ADAM_STEPS", 1)
    monkeypatch.setattr(decomposition, "RESTARTS", 1)
    generator = load_prior("vae-mnist").generator
    z = torch.randn(3, 20, generator=stream("truth"))
    x = generator(z)
    given = measured(x, 400)
    found = decomposition.least(given.A, given.y, generator, 1e-6, oracle=z, rng=stream("starts"))
    assert error(found.x_hat, x).max() < 2e-3


def test_an_answer_needs_its_objective():
    plane, x = Plane(), torch.rand(2, N, generator=stream("x"))
    near = nearest(x, plane, rng=stream("s"))
    with pytest.raises(CsbenchError, match="'objective'"):
        decompose(plane, measured(x, 20), LMBD, x, near, Recovery(x), stream("s"))


def test_images_that_the_generator_made_are_in_its_range():
    x = get_dataset("generated").images("test")[:2].signals()
    near = nearest(x, load_prior("vae-mnist").generator, rng=stream("project"))
    assert error(near.x_hat, x).max() < 1e-5
    digits = get_dataset("mnist").images("test")[:2].signals()
    assert error(nearest(digits, load_prior("vae-mnist").generator, rng=stream("project")).x_hat, digits).min() > 1e-4


def test_the_penalty_is_the_methods_own():
    given = measured(torch.rand(1, 784, generator=stream("x")), 50)
    assert get_method("csgm-vae-fast")(lmbd=0.7).penalty(given) == 0.7
    assert get_method("csgm-vae")(lmbd=0.2).penalty(given) == 0.2
    from_misfit = get_method("csgm-conv-vae")(misfit=0.01).penalty(given)
    assert from_misfit == pytest.approx(784 * 0.01 / 50 + given.noise_std**2)


def test_which_methods_can_be_decomposed():
    suite = load_suite("mnist-gaussian").narrowed(methods=("lasso-dct", "pca-gaussian", "csgm-vae", "csgm-dcgan"))
    assert searching(suite) == ["csgm-vae", "csgm-dcgan"]
    with pytest.raises(UsageError, match="pca-gaussian does not search"):
        searching(suite, ("csgm-vae", "pca-gaussian"))
    with pytest.raises(UsageError, match="no method"):
        searching(replace(suite, methods=("lasso-dct",)))
    with pytest.raises(UsageError, match=r"sparse-phase.*vae-sparse"):
        searching(load_suite("sparse-phase"), ("csgm-vae",))


def made_up(method: str, images: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = []
    for m, scale in ((10, 0.05), (25, 0.01)):
        parts = pd.DataFrame(scale * rng.random((images, 3)) - [0, 0, 0.6 * scale], columns=PARTS)
        gap = rng.random(images)
        rows.append(parts.assign(total=parts.sum(axis=1), objective_gap=gap, m=m, image=np.arange(images)))
    return pd.concat(rows).assign(suite="tiny", suite_version=1, method=method, noise_norm=0.1)


def test_means_have_intervals_and_add_up():
    frame = made_up("csgm-vae")
    means = report.summary(frame)
    assert (means["low"] <= means["mean"]).all()
    assert (means["mean"] <= means["high"]).all()
    at = means.loc[means["m"] == 10].set_index("part")
    assert at.loc[PARTS, "mean"].sum() == pytest.approx(at.loc["total", "mean"])
    values = frame.loc[frame["m"] == 10, "measurement"]
    assert at.loc["measurement", "mean"] == pytest.approx(values.mean())
    half = 1.96 * values.std() / len(values) ** 0.5
    assert at.loc["measurement", "high"] - at.loc["measurement", "low"] == pytest.approx(2 * half, rel=0.15)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_picture_is_the_same_for_the_same_numbers(tmp_path, tiny_suite, suffix):
    means = report.summary(pd.concat([made_up("csgm-vae"), made_up("csgm-dcgan")]))
    paths = [tmp_path / f"{k}{suffix}" for k in range(2)]
    for path in paths:
        report.draw(path, means, load_suite(str(tiny_suite)))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if suffix == ".svg":
        text = paths[0].read_text()
        assert all(word in text for word in ("csgm-vae", "csgm-dcgan", *(f"{part} (estimate)" for part in PARTS)))


def test_negative_parts_hang_below_zero():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    values = {"representation": [2.0, 1.0], "measurement": [-1.0, 3.0], "optimisation": [-2.0, -1.0]}
    report._stack(axes, {part: np.array(v) for part, v in values.items()})
    ends = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in axes.patches]
    assert ends == [(0, 2), (0, 1), (0, -1), (1, 4), (-1, -3), (0, -1)]


def test_the_command_computes_what_is_missing(csbench, tmp_path, tiny_suite):
    tiny_suite.write_text(tiny_suite.read_text().replace("images = 3", "images = 2"))
    asked = ("decompose", tiny_suite, "--methods", "csgm-vae-fast")
    first = csbench(*asked, "--m", "25", "-o", "parts.svg")
    assert first.returncode == 0, first.stderr
    assert "1 of 1 levels computed" in first.stdout
    assert "| csgm-vae-fast | 25 " in first.stdout
    assert "(estimate)" in (tmp_path / "parts.svg").read_text()
    path = DECOMPOSITIONS.path(tmp_path / "results", suite="tiny", method="csgm-vae-fast")
    rows = pd.read_parquet(path)
    assert list(rows.columns) == [
        "suite", "suite_version", "method", "params", "m", "noise_norm", "image", "total", *PARTS, "objective_gap",
        "restarts", "made_by",
    ]  # fmt: skip
    assert len(rows) == 2
    assert (rows["objective_gap"] >= 0).all()
    np.testing.assert_allclose(rows[PARTS].sum(axis=1), rows["total"], rtol=0, atol=1e-15)

    before = path.stat()
    second = csbench(*asked, "--m", "25")
    assert "0 of 1 levels computed" in second.stdout
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert second.stdout.splitlines()[3:] == first.stdout.splitlines()[3:-1]

    rows.assign(made_by="of other code", total=0.0).to_parquet(path)
    third = csbench(*asked)
    assert "2 of 2 levels computed" in third.stdout
    whole = pd.read_parquet(path)
    assert whole["m"].tolist() == [10, 10, 25, 25]
    pd.testing.assert_frame_equal(whole.loc[whole["m"] == 25].reset_index(drop=True), rows)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--methods", "lasso-dct"), "lasso-dct does not search the range of a generator"),
        (("--m", "11"), "suite tiny has m = 10, 25, not 11"),
        (("-o", "parts.txt"), "parts.txt: cannot draw .txt"),
    ],
)
def test_wrong_calls_are_refused(csbench, tiny_suite, tmp_path, arguments, said):
    done = csbench("decompose", tiny_suite, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "results").exists()


def test_committed_parts_add_up():
    folder = ROOT / "results" / "decomposition"
    files = sorted(folder.glob("suite=*/method=*.parquet"))
    assert files
    for path in files:
        rows = pd.read_parquet(path)
        np.testing.assert_allclose(rows[PARTS].sum(axis=1), rows["total"], rtol=0, atol=1e-12, err_msg=str(path))
        assert (rows["objective_gap"] >= 0).all(), path
        assert not rows.duplicated(["m", "noise_norm", "image"]).any(), path
        if "suite=generated" in str(path) and "conv" not in path.name:
            assert rows["representation"].mean() < 1e-5, path
