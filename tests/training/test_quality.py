import json

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import torch

from csbench import get_dataset, load_prior
from csbench.core.dataset import Dataset
from csbench.core.errors import UsageError
from csbench.core.paths import PACKAGED
from csbench.core.pictures import tile
from csbench.freshness.lineage import Lineage
from csbench.priors import checkpoint
from csbench.priors.generator import ConvGenerator
from csbench.solvers.latent import projection as project
from csbench.solvers.latent.quasi_newton import FastSearch
from csbench.studies import floors
from csbench.training import assessment as quality
from csbench.training import classifier
from tests.conftest import ROOT

from ..cards import about

NO_GENERATORS = ("pca", "mfa", "mean", "class")
PRIORS = sorted(p.stem for p in PACKAGED.glob("*.json") if not p.stem.startswith(NO_GENERATORS))


def test_inception_score_of_known_distributions():
    certain = torch.eye(10, dtype=torch.float64).repeat(100, 1)
    assert classifier.inception_score(certain)[0] == pytest.approx(10)
    one_class = torch.eye(10, dtype=torch.float64)[:1].repeat(1000, 1)
    assert classifier.inception_score(one_class)[0] == pytest.approx(1)
    assert classifier.inception_score(torch.full((1000, 10), 0.1, dtype=torch.float64))[0] == pytest.approx(1)


def test_frechet_distance_is_that_of_scipy():
    rng = torch.Generator().manual_seed(0)
    a = torch.randn(500, 6, generator=rng, dtype=torch.float64)
    b = a[:300] @ torch.randn(6, 6, generator=rng, dtype=torch.float64) + 1
    ca, cb = np.cov(a.numpy().T), np.cov(b.numpy().T)
    root = scipy.linalg.sqrtm(ca @ cb).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum().item() + np.trace(ca + cb - 2 * root)
    assert classifier.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert classifier.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("dataset", "least"), [("mnist", 0.99), ("fashion-mnist", 0.91)])
def test_the_classifiers_classify(dataset, least):
    images = get_dataset(dataset).images("test")
    probabilities, features = classifier.classify(classifier.load(f"classifier-{dataset}"), images.signals())
    accuracy = (probabilities.argmax(1).numpy() == images.labels).mean()
    assert accuracy > least - 0.025  # of 500 images; the card has that of 10,000
    assert checkpoint.card(f"classifier-{dataset}")["quality"]["accuracy"] >= least
    assert features.shape == (500, classifier.FEATURES)


@pytest.mark.parametrize("name", PRIORS)
def test_cards_tell_of_quality(name):
    card = checkpoint.card(name)
    if card["dataset"] == "celeba":
        assert "non-commercial" in card["licence"]
        return
    if card["family"] in ("ignore", "unmeasure"):
        assert "inception_score" in card["quality"]  # poor, as it must be: see docs/ambient.md
        return
    assert 0 < card["quality"]["representation_mse"] < 0.05
    assert 1 < card["quality"]["inception_score"] < 10
    assert card["quality"]["frechet_distance"] > 0


@pytest.mark.parametrize("name", PRIORS)
def test_generators_make_images(name):
    generator = load_prior(name).generator
    x = generator(torch.randn(3, generator.latent_dim, generator=torch.Generator().manual_seed(0)))
    assert x.shape == (3, generator.n)
    assert x.min() >= 0
    assert x.max() <= 1
    assert x.std() > 0.1 or name.startswith("ignore")


def test_projection_finds_what_is_in_the_range():
    """Images that the generator made have no representation error; test images have some."""
    inside = project.representation_errors("vae-mnist", get_dataset("generated"), 4)
    outside = project.representation_errors("vae-mnist", get_dataset("mnist"), 4)
    assert inside["mse"].median() < 1e-4
    assert outside["mse"].min() > 1e-3
    assert outside["image"].tolist() == get_dataset("mnist").images("test").ids[:4].tolist()
    with pytest.raises(UsageError, match="784 pixels, celeba has 12288"):
        project.representation_errors("vae-mnist", get_dataset("celeba"), 4)


@pytest.mark.parametrize("path", sorted((ROOT / "results" / "representation").glob("*/*.parquet")), ids=str)
def test_cards_agree_with_the_floors(path):
    errors = pd.read_parquet(path)
    card = checkpoint.card(errors["prior"].iloc[0])
    assert set(errors["sha256"]) == {card["sha256"]}
    assert set(errors["restarts"]) == {project.SEARCH.restarts}
    if card["dataset"] == errors["dataset"].iloc[0]:
        assert card["quality"]["representation_mse"] == pytest.approx(errors["mse"].iloc[:32].mean(), abs=6e-7)


def test_adam_finds_no_less_than_bfgs():
    generator, x = load_prior("conv-vae-mnist").generator, get_dataset("mnist").images("validation")[:3].signals()
    misfit = project.misfit(x, generator, rng=torch.Generator().manual_seed(0))
    near = project.nearest(x, generator, rng=torch.Generator().manual_seed(0))
    assert (near.x_hat - x).square().mean() < misfit < 0.01


def test_project_command_keeps_what_it_has(csbench, tmp_path, monkeypatch):
    monkeypatch.setattr(project, "SEARCH", FastSearch(candidates=10, restarts=1, rung=5, rungs=1, rough=0))
    first = floors.update(tmp_path, "vae-mnist", get_dataset("mnist"), 3, Lineage())
    stamp = next(tmp_path.rglob("*.parquet")).stat().st_mtime_ns
    assert floors.update(tmp_path, "vae-mnist", get_dataset("mnist"), 2, Lineage()) > 0
    assert next(tmp_path.rglob("*.parquet")).stat().st_mtime_ns == stamp
    assert first == pytest.approx(floors.update(tmp_path, "vae-mnist", get_dataset("mnist"), 3, Lineage()))
    monkeypatch.setattr(project, "SEARCH", FastSearch(candidates=10, restarts=1, rung=5, rungs=10, rough=0))
    longer = floors.update(tmp_path, "vae-mnist", get_dataset("mnist"), 3, Lineage())
    assert longer < first, "a longer search is another one"
    refused = csbench("project", "mnist-gaussian", "--methods", "lasso-dct", "--results", tmp_path)
    assert refused.returncode == 2
    assert "generator" in refused.stderr


def test_generated_images_are_the_generators_and_splits_differ():
    dataset = get_dataset("generated")
    test, validation = dataset.images("test"), dataset.images("validation")
    assert not set(test.ids) & set(validation.ids)
    assert np.abs(test.pixels[:5] - validation.pixels[:5]).max() > 0.5
    assert dataset.relative == "mnist"


def test_tile_places_every_image():
    images = np.stack([np.full((1, 2, 3), v) for v in (0.0, 0.5, 1.0)])
    sheet = tile(images, columns=2)
    assert sheet.shape == (10, 12, 3)
    assert (sheet[2:4, 2:5] == 0).all()
    assert (sheet[2:4, 7:10] == 128).all()
    assert (sheet[6:8, 7:10] == 255).all()  # no image: white


def test_classifier_weights_that_do_not_fit_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CSBENCH_WEIGHTS", str(tmp_path))
    architecture = {"image_shape": [1, 28, 28], "classes": 10}
    checkpoint.save(tmp_path, "classifier-x", {"a": torch.zeros(1)}, about(architecture=architecture))
    with pytest.raises(Exception, match="does not fit the architecture"):
        classifier.load("classifier-x")
    assert json.loads((tmp_path / "classifier-x.json").read_text())["name"] == "classifier-x"


def test_a_card_without_json_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CSBENCH_WEIGHTS", str(tmp_path))
    path = checkpoint.save(tmp_path, "vae-x", {"a": torch.zeros(1)}, about())
    path.with_suffix(".json").write_text("{")
    with pytest.raises(Exception, match="card cannot be read"):
        checkpoint.card("vae-x")


def test_assess_puts_its_figures_on_the_card(tmp_path, monkeypatch):
    """An untrained generator: its images are judged all the same, and what the card said before stays."""
    monkeypatch.setenv("CSBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(project, "SEARCH", FastSearch(candidates=10, restarts=1, rung=5, rungs=1, rough=0))
    monkeypatch.setattr(quality, "SAMPLES", 500)
    monkeypatch.setattr(quality, "IMAGES", 2)
    generator = ConvGenerator(4, 7, [8, 4, 1])
    architecture = {"kind": "conv", "latent_dim": 4, "side": 7, "channels": [8, 4, 1]}
    told = about(architecture=architecture, quality={"old": 1})
    checkpoint.save(tmp_path, "dcgan-test", generator.state_dict(), told)
    mnist = get_dataset("mnist")
    monkeypatch.setattr(type(mnist), "held_out_images", Dataset.held_out_images)  # those that are embedded
    figures = quality.assess("dcgan-test", mnist)
    assert 1 <= figures["inception_score"] < 3
    assert checkpoint.card("dcgan-test")["quality"] == {"old": 1} | figures


def test_half_precision_does_not_show():
    """The files hold float16; the same weights before rounding make images that differ by less than a grey level."""
    rng = torch.Generator().manual_seed(0)
    full = ConvGenerator(16, 7, [64, 32, 1])
    rounded = ConvGenerator(16, 7, [64, 32, 1])
    rounded.load_state_dict({key: value.half() for key, value in full.state_dict().items()})
    z = torch.randn(50, 16, generator=rng)
    assert (full(z) - rounded(z)).abs().max() < 1 / 255
