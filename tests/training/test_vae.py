import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from csbench import get_dataset
from csbench.core.errors import CheckpointError
from csbench.training import vae

RECIPE = vae.VAERecipe(latent_dim=5, hidden=64, epochs=4, batch_size=100, warmup_epochs=1)

SCRIPT = """
import sys, time, torch
from pathlib import Path
from csbench import get_dataset
from csbench.training import vae
torch.set_num_threads(1)
recipe = vae.VAERecipe(latent_dim=5, hidden=64, epochs=4, batch_size=100, warmup_epochs=1)
x = torch.tensor(get_dataset("mnist").images("train").pixels)
def report(progress, model):
    print(progress.done, flush=True)
    time.sleep(float(sys.argv[2]))
    return True
vae.train(x, recipe, Path(sys.argv[1]), resume=True, report=report)
"""


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return torch.tensor(get_dataset("mnist").images("train").pixels)


def test_training_raises_the_elbo(tmp_path, digits):
    elbo = []
    trained = vae.train(
        digits, RECIPE, tmp_path / "c", report=lambda p, _: elbo.append(float(p.note.split()[1])) or True
    )
    assert trained.epochs == 4
    assert elbo[-1] > elbo[0] + 50
    quality = vae.quality(trained.model, torch.tensor(get_dataset("mnist").images("validation").pixels) / 255)
    assert -260 < quality["validation_elbo_nats"] < -90
    assert 1 <= quality["active_latent_units"] <= 5


def test_elbo_terms_are_those_of_the_paper(digits):
    """Log-likelihood against torch's Bernoulli, KL against torch's normal distributions."""
    torch.manual_seed(0)
    model = RECIPE.build((1, 28, 28))
    x = digits[:3] / 255
    log_likelihood, kl = model.elbo_terms(x, torch.Generator().manual_seed(1))
    mean, log_variance = model.encode(x)
    z = mean + torch.randn(mean.shape, generator=torch.Generator().manual_seed(1)) * (log_variance / 2).exp()
    bernoulli = torch.distributions.Bernoulli(logits=model.decoder.logits(z), validate_args=False)
    torch.testing.assert_close(log_likelihood, bernoulli.log_prob(x.flatten(1)).sum(1))
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(kl, expected)


def test_the_gaussian_likelihood_is_that_of_torch():
    recipe = vae.ConvVAERecipe(latent_dim=6, width=4, likelihood="gaussian")
    torch.manual_seed(0)
    model = recipe.build((3, 16, 16)).eval()
    x, z = torch.rand(2, 3, 16, 16), torch.randn(2, 6)
    normal = torch.distributions.Normal(model.decode(z), model.variance.sqrt())
    torch.testing.assert_close(model.log_likelihood(x, z), normal.log_prob(x).sum((1, 2, 3)), rtol=1e-4, atol=1e-2)


def test_the_convolutional_vae_learns_and_ships_what_it_decodes(tmp_path, digits):
    recipe = vae.ConvVAERecipe(latent_dim=8, width=8, epochs=4, warmup_epochs=1)
    elbo = []
    trained = vae.train(
        digits, recipe, tmp_path / "c", report=lambda p, _: elbo.append(float(p.note.split()[1])) or True
    )
    assert elbo[-1] > elbo[0] + 50
    z = torch.randn(5, 8)
    torch.testing.assert_close(trained.model.generator()(z), trained.model.decode(z).flatten(1), rtol=1e-4, atol=1e-5)


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path, digits):
    state = tmp_path / "state.safetensors"
    command = [sys.executable, "-c", SCRIPT, str(state)]
    with subprocess.Popen([*command, "0.5"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "1"
        process.stdout.readline()
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
    out = subprocess.run([*command, "0"], capture_output=True, text=True, check=True).stdout.split()
    assert out[0] in ("3", "2")  # epoch 2 was on disk, or was just being written
    assert out[-1] == "4"

    straight = vae.train(digits, RECIPE, tmp_path / "straight.safetensors").model
    resumed = vae.train(digits, RECIPE, state, resume=True).model  # nothing is left to do
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path, digits):
    vae.train(digits[:200], vae.VAERecipe(hidden=16, epochs=1), tmp_path / "c")
    with pytest.raises(CheckpointError, match="without --resume"):
        vae.train(digits[:200], RECIPE, tmp_path / "c", resume=True)


def test_train_command_reads_the_official_files(csbench, tmp_path, full_data):
    done = csbench("train", "mean", "--dataset", "fashion-mnist", "-o", tmp_path / "w")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "w").iterdir()} == {
        "mean-fashion-mnist.safetensors",
        "mean-fashion-mnist.json",
    }
    assert "60000 training images" in (tmp_path / "w" / "mean-fashion-mnist.json").read_text()


def test_train_command_writes_weights_and_card(csbench, tmp_path, few_digits):
    arguments = ("train", "vae", "--dataset", few_digits, "-o", tmp_path / "w", "--epochs", "2")
    stopped = csbench(*arguments, "--minutes", "0.0001")
    assert stopped.returncode == 0, stopped.stderr
    assert "--resume" in stopped.stdout
    done = csbench(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "w").iterdir()} >= {"vae-few-digits.safetensors", "vae-few-digits.json"}
    assert not (tmp_path / "w" / "vae-few-digits.checkpoint.safetensors").exists()


def test_train_command_refuses_what_it_does_not_know(csbench):
    assert "Known: ambient, classifier, conv-vae" in csbench("train", "gan").stderr
    assert csbench("train", "vae", "--dataset", "mnits").returncode == 2
