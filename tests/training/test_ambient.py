import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.restoration import wiener

from csbench import get_dataset
from csbench.core.dataset import Images
from csbench.core.errors import UsageError
from csbench.training import gan, measured_examples
from csbench.training import recipes as training
from csbench.training.processes import BlockPatch, BlockPixels, ConvolveNoise, parse
from csbench.training.recipes import TrainingJob
from csbench.training.unmeasure import restore

SMALL = {"latent_dim": 8, "width": 8, "critic_width": 8, "batch_size": 16}


class FewDigits(type(get_dataset("mnist"))):
    """MNIST whose prior is trained on few images, so that measuring them takes no time."""

    name = "mnist"

    def training_images(self) -> Images:
        return self.images("train")[:200]


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def digits() -> torch.Tensor:
    return torch.tensor(FewDigits().training_images().pixels).float() / 255


def test_measured_data_are_drawn_once_and_named_by_what_they_depend_on():
    process = parse("keep-patch:k=14")
    data = measured_examples.simulate(FewDigits(), process, "ambient")
    assert data.shape == (200, 1, 28, 28)
    assert data.equal(measured_examples.simulate(FewDigits(), process, "ambient"))
    assert not data.equal(measured_examples.simulate(FewDigits(), process, "ambient", seed=1))


@pytest.mark.parametrize("use", ["ambient", "ignore"])
def test_each_use_gets_its_own_measurements(use, digits):
    data = measured_examples.simulate(FewDigits(), BlockPixels(0.5), use)
    assert ((data == digits) | (data == 0)).all()
    assert 0.4 < (data == digits)[digits > 0].double().mean() < 0.6


def test_a_gaussian_projection_is_seen_as_its_back_projection():
    process = parse("gaussian-projection:m=3")
    data = measured_examples.simulate(FewDigits(), process, "ambient")
    assert data.shape == (200, 1, 28, 28)
    assert torch.linalg.matrix_rank(data[0, 0]) == 28  # 3 numbers of an image, spread by its own random matrix


@pytest.mark.parametrize("family", ["ambient", "ignore", "unmeasure"])
def test_the_trainer_never_receives_a_clean_image(family, tmp_path, monkeypatch):
    """Clean training images may be read inside `simulate` alone, and what leaves it lacks what was hidden."""
    inside = []
    simulate, train = measured_examples.simulate, gan.train

    class Guarded(FewDigits):
        name = FewDigits.name

        def images(self, split):
            assert split != "train" or inside, "clean training images were read outside of simulate"
            return super().images(split)

    def watched(*args, **kwargs):
        inside.append(True)
        try:
            return simulate(*args, **kwargs)
        finally:
            inside.pop()

    def inspected(examples, recipe, *args, **kwargs):
        clean = torch.tensor(FewDigits().training_images().pixels).float() / 255
        tensors = [v for v in vars(examples).values() if isinstance(v, torch.Tensor)]
        assert [t.shape for t in tensors] == [clean.shape]
        unscaled = tensors[0] / examples.scale
        for form in (clean, 2 * clean - 1):
            assert not (unscaled - form).flatten(1).norm(dim=1).lt(1e-3).any()
        return train(examples, replace(recipe, width=8, critic_width=8, steps=2), *args, **kwargs)

    monkeypatch.setattr(training, "simulate", watched)
    monkeypatch.setattr(training.gan, "train", inspected)
    job = TrainingJob(family, Guarded(), tmp_path, measurement="block-patch:k=14", steps=2)
    monkeypatch.setattr(training, "_finish", lambda *args: tmp_path)  # the small network is not the recipe's
    assert training.train(job) == tmp_path


@pytest.mark.parametrize("use", ["ambient", "ignore"])
def test_the_critic_sees_inputs_of_mean_square_one(use, rng):
    process = BlockPixels(0.95)
    data = measured_examples.simulate(FewDigits(), process, use)
    examples = measured_examples.MeasuredExamples.of(data, process, use, (1, 28, 28))
    real = torch.cat([examples.real(50, rng) for _ in range(20)])
    assert real.square().mean().item() == pytest.approx(1, rel=0.1)
    x = torch.full((500, 1, 28, 28), 0.5)
    seen = examples.seen(x, rng) / examples.scale
    if use == "ambient":
        assert seen.count_nonzero() == pytest.approx(0.05 * x.numel(), rel=0.1)
        torch.testing.assert_close(seen[seen != 0], x[seen != 0])
    else:
        torch.testing.assert_close(seen, x)


def test_ambient_training_learns_what_ignoring_the_measurements_cannot(tmp_path):
    """The mean of samples: of the images for AmbientGAN, of the measurements for the baseline that ignores them."""
    process, dataset = BlockPixels(0.7), get_dataset("mnist")
    clean = torch.tensor(dataset.images("train").pixels).float().mean() / 255
    means = {}
    for use in ("ambient", "ignore"):
        torch.manual_seed(0)

        class Embedded(type(dataset)):
            name = "mnist"

            def training_images(self) -> Images:
                return self.images("train")

        data = measured_examples.simulate(Embedded(), process, use)
        examples = measured_examples.MeasuredExamples.of(data, process, use, (1, 28, 28))
        recipe = gan.GANRecipe(**SMALL, steps=150, learning_rate=2e-3, average=0.9)
        trained = gan.train(examples, recipe, tmp_path / use)
        with torch.no_grad():
            means[use] = trained.generator(torch.randn(200, 8)).mean()
    assert abs(means["ambient"] - clean) < 0.04
    assert means["ignore"] < 0.6 * clean


@pytest.mark.parametrize("spec", ["pad-rotate-project", "extract-patch:k=14", "pad-rotate-project-theta"])
@pytest.mark.parametrize("loss", ["hinge", "wasserstein"])
def test_critics_of_other_shapes_train(spec, loss, tmp_path):
    process = parse(spec)
    data = measured_examples.simulate(FewDigits(), process, "ambient")
    examples = measured_examples.MeasuredExamples.of(data, process, "ambient", (1, 28, 28))
    penalty = 10.0 if loss == "wasserstein" else 0.0
    trained = gan.train(examples, gan.GANRecipe(**SMALL, steps=2, loss=loss, gradient_penalty=penalty), tmp_path / "s")
    assert trained.steps == 2


@pytest.mark.parametrize(
    "process", [BlockPixels(0.5), BlockPixels(0.5, unbiased=True), BlockPatch(14), ConvolveNoise()]
)
def test_restored_images_are_nearer_than_measured_ones(process, digits, rng):
    theta = process.draw(len(digits), (1, 28, 28), rng)
    y = process.measure(digits, theta)
    restored = restore(process, y, theta)
    assert restored.shape == digits.shape
    assert restored.min() >= 0
    assert restored.max() <= 1
    assert (restored - digits).square().mean() < 0.8 * (y - digits).square().mean()


def test_restoration_keeps_the_pixels_that_are_seen(digits, rng):
    process = BlockPatch(10)
    theta = process.draw(len(digits), (1, 28, 28), rng)
    restored = restore(process, process.measure(digits, theta), theta)
    seen = 1 - process.inside(theta, (1, 28, 28))
    torch.testing.assert_close(restored * seen, digits * seen, atol=1 / 255, rtol=0)


def test_deconvolution_is_the_wiener_filter_of_scikit_image(digits, rng):
    process = ConvolveNoise(radius=1, sigma=0.5)
    theta = process.draw(3, (1, 28, 28), rng)
    y = process.measure(digits[:3], theta)
    kernel = np.outer(process.kernel(), process.kernel())
    expected = [wiener(plane.double().numpy(), kernel, balance=0.25, clip=False).clip(0, 1) for plane in y[:, 0]]
    np.testing.assert_allclose(restore(process, y, theta)[:, 0].numpy(), np.stack(expected), atol=1e-5)


def test_what_cannot_be_restored_or_ignored_is_refused():
    with pytest.raises(UsageError, match="no restoration is known for keep-patch; unmeasure takes block-pixels"):
        measured_examples.simulate(FewDigits(), parse("keep-patch"), "unmeasure")
    with pytest.raises(UsageError, match=r"ignore takes measurements for images, and those of pad-rotate-project"):
        measured_examples.simulate(FewDigits(), parse("pad-rotate-project"), "ignore")


def test_cards_tell_what_was_measured_and_how_to_repeat_it(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "VALIDATION_IMAGES", 2)
    job = TrainingJob("ambient", FewDigits(), tmp_path, steps=2, measurement="gaussian-projection:m=3", seed=1)
    assert training.train(job) == tmp_path / "ambient-gaussian-projection-m3-seed1-mnist.safetensors"
    card = json.loads((tmp_path / "ambient-gaussian-projection-m3-seed1-mnist.json").read_text())
    assert card["measurements"] == "gaussian-projection:m=3, one draw for each training image"
    assert card["split"] == "measurements of all 200 training images"
    assert card["command"] == (
        "csbench train ambient --dataset mnist --measurement gaussian-projection:m=3 --steps 2 --seed 1"
    )
    assert replace(job, gan="wgan-gp", seed=0).name == "ambient-gaussian-projection-m3-wgan-mnist"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ambient"], "ambient learns from measurements; say which"),
        (
            ["dcgan", "--measurement", "block-pixels"],
            "dcgan is trained on clean images; only",
        ),
        (["ambient", "--measurement", "block-pixels:p=2"], "field p must be a probability below 1"),
        (["ambient", "--measurement", "block-patch:k=14", "--gan", "stylegan"], "--gan must be sngan or wgan-gp"),
        (["vae", "--seed", "3"], "--seed is for GANs; the recipe of vae has a seed of its own"),
        (["dcgan", "--gan", "wgan-gp"], "--gan is for ambient, ignore, unmeasure"),
    ],
)
def test_train_command_refuses_what_does_not_fit(csbench, tmp_path, arguments, message):
    refused = csbench("train", *arguments, "-o", tmp_path)
    assert refused.returncode == 2
    assert message in " ".join(refused.stderr.split())
    assert not list(tmp_path.iterdir())


def test_samples_and_priors_commands_show_what_ships(csbench, tmp_path, full_data):
    drawn = csbench("samples", "--measurement", "convolve-noise:sigma=0.5", "-o", tmp_path / "rows.png")
    assert drawn.returncode == 0, drawn.stderr
    assert "rows from the top: training images, measured, ambient, ambient" in drawn.stdout
    assert (tmp_path / "rows.png").stat().st_size > 10_000
    for spec in ("extract-patch:k=14", "pad-rotate-project"):  # whose measurements are no images of that size
        drawn = csbench("samples", "--measurement", spec, "-o", tmp_path / "rows.png")
        assert "rows from the top: training images, measured" in drawn.stdout
    shown = csbench("priors")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[2].startswith("| real")
    assert any("| ambient" in line and "convolve-noise:radius=1,sigma=0.5" in line for line in lines)
    assert csbench("samples", "--measurement", "fog", "-o", tmp_path / "x.png").returncode == 2
