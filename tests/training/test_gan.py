import pytest
import torch

from csbench import get_dataset
from csbench.core.errors import CheckpointError, UsageError
from csbench.priors.generator import ConvGenerator, ReLUGenerator
from csbench.training import gan
from csbench.training.convolutional import NormedGenerator, pyramid

SMALL = {"latent_dim": 8, "width": 8, "critic_width": 8, "batch_size": 16}


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return torch.tensor(get_dataset("mnist").images("train").pixels)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 28, 28), (7, [128, 64, 1])), ((3, 64, 64), (4, [512, 256, 128, 64, 3])), ((1, 8, 8), (4, [64, 1]))],
)
def test_pyramid_is_that_of_dcgan(shape, expected):
    assert pyramid(shape, 64) == expected


@pytest.mark.parametrize("shape", [(1, 28, 32), (1, 29, 29), (1, 7, 7)])
def test_pyramid_refuses_what_cannot_be_doubled(shape):
    with pytest.raises(UsageError, match="power of two"):
        pyramid(shape, 64)


def test_folding_keeps_the_function():
    """Norms with statistics and weights of their own, so that a wrong fold shows."""
    torch.manual_seed(0)
    network = NormedGenerator(5, 4, [12, 6, 3])
    for norm in network.norms:
        for values in (norm.weight, norm.bias, norm.running_mean):
            torch.nn.init.normal_(values, 0.5, 0.5)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    z = torch.randn(7, 5)
    folded = network.eval().folded()
    assert isinstance(folded, ConvGenerator)
    assert folded.n == 3 * 16 * 16
    torch.testing.assert_close(folded(z), network(z).flatten(1))


def test_measured_norms_are_those_of_samples():
    torch.manual_seed(0)
    network = NormedGenerator(5, 4, [12, 6, 3])
    network.measure_norms(torch.Generator().manual_seed(0), batches=20)
    h = network.generator.project(torch.randn(20_000, 5)).view(-1, 12, 4, 4)
    torch.testing.assert_close(network.norms[0].running_var, h.var((0, 2, 3)), rtol=0.1, atol=1e-5)


def test_random_relu_networks_keep_the_norm():
    generator = ReLUGenerator.random(20, [200, 1000], 4000, torch.Generator().manual_seed(0))
    z = torch.randn(100, 20)
    ratio = generator(z).square().sum(1) / z.square().sum(1)
    assert ratio.mean().item() == pytest.approx(1, abs=0.1)
    assert generator(z).min() == 0
    torch.testing.assert_close(generator(3 * z), 3 * generator(z))


@pytest.mark.parametrize("loss", ["hinge", "wasserstein"])
def test_training_moves_samples_towards_the_data(tmp_path, digits, loss):
    options = {"critic_steps": 2, "gradient_penalty": 10.0} if loss == "wasserstein" else {"contrast": 2.0}
    recipe = gan.GANRecipe(**SMALL, **options, loss=loss, steps=60, learning_rate=2e-3, average=0.9)
    trained = gan.train(gan.CleanExamples(digits, contrast=2.0), recipe, tmp_path / "state")
    assert trained.steps == 60
    with torch.no_grad():
        samples = trained.generator(torch.randn(200, 8))
    assert samples.shape == (200, 1, 28, 28)
    mean = digits.float().mean(0) / 255
    untrained = (mean - 0.5).square().mean()
    assert (samples.mean(0) - mean).square().mean() < 0.5 * untrained


def test_a_stopped_training_goes_on_as_if_nothing_had_happened(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(gan, "REPORT_EVERY", 3)
    recipe = gan.GANRecipe(**SMALL, steps=6)
    stopped = gan.train(gan.CleanExamples(digits, contrast=2.0), recipe, tmp_path / "a", report=lambda p, _: p.done < 3)
    assert stopped.steps == 3
    resumed = gan.train(gan.CleanExamples(digits, contrast=2.0), recipe, tmp_path / "a", resume=True)
    straight = gan.train(gan.CleanExamples(digits, contrast=2.0), recipe, tmp_path / "b")
    for a, b in zip(resumed.generator.parameters(), straight.generator.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(CheckpointError, match="without --resume"):
        gan.train(gan.CleanExamples(digits), gan.GANRecipe(**SMALL, steps=7), tmp_path / "a", resume=True)


def test_the_gradient_penalty_of_a_linear_critic_is_known():
    critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1))
    torch.nn.init.constant_(critic[1].weight, 1.5)  # the gradient has norm 3 everywhere
    penalty = gan._penalty(critic, torch.rand(5, 1, 2, 2), torch.rand(5, 1, 2, 2), torch.Generator().manual_seed(0))
    assert penalty.item() == pytest.approx(4)


def test_train_command_makes_a_gan(csbench, tmp_path, few_digits):
    done = csbench("train", "wgan", "--dataset", few_digits, "--steps", "2", "-o", tmp_path / "w")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "w").iterdir()} == {
        "wgan-few-digits.safetensors",
        "wgan-few-digits.json",
        "wgan-few-digits.samples.png",
    }
