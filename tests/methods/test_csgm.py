from dataclasses import replace

import pytest
import torch

from csbench import Problem, get_method, load_prior, stream
from csbench.core.errors import CheckpointError, MissingWeights
from csbench.methods.csgm_conv import CsgmDCGAN
from csbench.operators import Gaussian
from csbench.priors import checkpoint
from csbench.priors.generator import MLPGenerator
from csbench.solvers.latent.csgm import LatentSearch, search_latent

from ..cards import about


@pytest.fixture(scope="module")
def generator() -> MLPGenerator:
    return load_prior("vae-mnist").generator


def test_recovers_what_is_in_the_range(generator):
    """Without noise and with an image from G itself, only optimisation can fail."""
    z = torch.randn(6, 20, generator=stream("range"))
    x = generator(z)
    A = Gaussian.draw(100, 784, stream("A"))
    fit = search_latent(
        A, A(x), generator, 0.0, rng=stream("starts"), options=LatentSearch(restarts=5, steps=400, learning_rate=0.05)
    )
    assert (fit.x_hat - x).square().mean(1).median() < 1e-4
    torch.testing.assert_close(generator(fit.z), fit.x_hat)


def test_keeps_the_start_with_the_smallest_objective(generator):
    A = Gaussian.draw(20, 784, stream("A"))
    y = A(generator(torch.randn(4, 20, generator=stream("truth"))))
    search = LatentSearch(restarts=3, steps=20, learning_rate=0.05, bf16=False)
    fit = search_latent(A, y, generator, 0.1, rng=stream("starts"), options=search)
    objective = (A(fit.x_hat) - y).square().sum(1) + 0.1 * fit.z.square().sum(1)
    torch.testing.assert_close(fit.objective, objective, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fit.residual, (A(fit.x_hat) - y).norm(dim=1), rtol=1e-4, atol=1e-5)

    starts = torch.randn(12, 20, generator=stream("starts")).reshape(4, 3, 20)
    for i in range(4):  # each start on its own, by an independent loop
        finals = []
        for start in starts[i]:
            z = start.clone().requires_grad_()
            adam = torch.optim.Adam([z], lr=0.05)
            for _ in range(20):
                adam.zero_grad()
                ((A(generator(z)) - y[i]).square().sum() + 0.1 * z.square().sum()).backward()
                adam.step()
            finals.append(((A(generator(z)) - y[i]).square().sum() + 0.1 * z.square().sum()).item())
        assert fit.objective[i].item() == pytest.approx(min(finals), rel=1e-3)
        assert fit.winning_restart[i].item() == finals.index(min(finals))


def test_bfloat16_ends_as_low_as_float32(generator):
    """The paper's setting on a few digits: the mean objective, and what starts it chooses, do not suffer."""
    given, _ = Problem("mnist", "gaussian", 100, 0.1, 0, 8, "validation").simulate()
    low, full = (
        search_latent(
            given.A,
            given.y,
            generator,
            0.1,
            rng=stream("starts"),
            options=LatentSearch(restarts=5, steps=400, learning_rate=0.02, bf16=bf16),
        )
        for bf16 in (True, False)
    )
    assert low.bf16.all()
    assert not full.bf16.any()
    assert low.objective.mean() <= 1.01 * full.objective.mean()
    assert low.x_hat.dtype == torch.float32


def test_zero_start_is_the_mean_of_z(generator):
    given, _ = Problem("mnist", "gaussian", 100, 0.1, 0, 2, "validation").simulate()
    search = LatentSearch(restarts=1, steps=30, learning_rate=0.05, start="zero", bf16=False)
    a, b = (search_latent(given.A, given.y, generator, 0.1, rng=stream("starts", i), options=search) for i in range(2))
    assert torch.equal(a.z, b.z), "nothing is drawn"
    with pytest.raises(ValueError, match="'random' or 'zero'"):
        LatentSearch(restarts=1, steps=30, learning_rate=0.05, start="mean")


def test_of_several_starts_the_first_is_zero(generator):
    given, _ = Problem("mnist", "gaussian", 100, 0.1, 0, 3, "validation").simulate()
    search = LatentSearch(restarts=1, steps=60, learning_rate=0.05, start="zero", bf16=False)
    one = search_latent(given.A, given.y, generator, 0.1, rng=stream("x"), options=replace(search, restarts=1))
    four = search_latent(given.A, given.y, generator, 0.1, rng=stream("x"), options=replace(search, restarts=4))
    never_worse = four.objective <= 1.001 * one.objective
    assert never_worse.all()
    assert four.restart_spread.min() > 0, "the others are random"


def test_the_penalty_follows_from_the_misfit():
    given, _ = Problem("mnist", "gaussian", 100, 0.1, 0, 2).simulate()
    method = CsgmDCGAN().bind("mnist", "gaussian", 0.1)
    misfit = checkpoint.card("dcgan-mnist")["quality"]["validation_representation_mse"]
    assert method.params()["misfit"] == misfit
    assert method.penalty(given) == pytest.approx(7.84 * misfit + 0.1**2 / 100)
    paper = get_method("csgm-dcgan-paper")().bind("mnist", "gaussian", 0.1)
    assert paper.params()["misfit"] is None
    assert CsgmDCGAN(prior="dcgan-mnist").penalty(given) == method.penalty(given)  # without the harness's bind, too
    assert (paper.params()["lmbd"], paper.params()["start"]) == (0.0, "random")


def test_a_card_without_misfit_says_what_adds_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CSBENCH_WEIGHTS", str(tmp_path))
    checkpoint.save(tmp_path, "dcgan-mnist", {}, about())
    with pytest.raises(CheckpointError, match="csbench assess dcgan-mnist --dataset mnist"):
        CsgmDCGAN().bind("mnist", "gaussian", 0.1)


def test_regularisation_shrinks_z(generator):
    A = Gaussian.draw(10, 784, stream("A"))
    y = A(generator(torch.randn(4, 20, generator=stream("truth"))))
    search = LatentSearch(restarts=2, steps=100, learning_rate=0.05)
    loose, tight = (search_latent(A, y, generator, lmbd, rng=stream("starts"), options=search) for lmbd in (0.0, 10.0))
    assert tight.z.norm() < 0.5 * loose.z.norm()


def test_an_unfinished_search_is_flagged(generator):
    A = Gaussian.draw(100, 784, stream("A"))
    y = A(generator(torch.randn(4, 20, generator=stream("truth"))))
    fit = search_latent(
        A, y, generator, 0.0, rng=stream("starts"), options=LatentSearch(restarts=1, steps=20, learning_rate=0.01)
    )
    assert fit.converged.sum() < 2  # of 4


@pytest.mark.parametrize("wrong", [{"restarts": 0}, {"steps": 0}, {"learning_rate": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="are needed"):
        LatentSearch(**({"restarts": 1, "steps": 1, "learning_rate": 0.1} | wrong))


@pytest.mark.parametrize("name", ["vae-mnist", "vae-fashion-mnist"])
def test_cards_tell_what_a_user_must_know(name):
    card = load_prior(name).card
    assert card["measurements"] == "none: trained on clean images"
    assert card["bytes"] < 3e6
    assert card["quality"]["active_latent_units"] >= 8
    assert {"dataset", "split", "steps", "seconds", "hardware", "sha256", "licence", "command"} <= card.keys()


def test_weights_and_card_must_fit(tmp_path, monkeypatch):
    monkeypatch.setenv("CSBENCH_WEIGHTS", str(tmp_path))
    path = checkpoint.save(tmp_path, "toy", {"a": torch.zeros(3)}, about(family="toy"))
    assert checkpoint.load("toy")[1]["family"] == "toy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="sha256"):
        checkpoint.load("toy")
    path.with_suffix(".json").write_text("{")
    with pytest.raises(CheckpointError, match="card cannot be read"):
        checkpoint.load("toy")
    with pytest.raises(MissingWeights, match="csbench train vae --dataset x"):
        checkpoint.load("vae-x")
