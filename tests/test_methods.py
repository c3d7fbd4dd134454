"""The conformance suite on every registered method, on every dataset that it serves."""

import pytest
import torch

from csbench import Problem, get_method, stream
from csbench.conformance import CHECKS, digits, examine, is_deterministic, leaves_the_process_alone
from csbench.errors import MissingWeights
from csbench.method import Method, Recovery
from csbench.priors.generator import load_prior
from csbench.registry import entries

METHODS = list(entries("methods"))
SHORT = {"restarts": 2, "steps": 80, "learning_rate": 0.1}
FAST = {name: SHORT for name in ("csgm-vae", "csgm-conv-vae", "csgm-dcgan", "csgm-dcgan-paper", "csgm-wgan")}
UNTRAINED = {("csgm-wgan", "fashion-mnist")}


def make(name: str, dataset: str = "mnist") -> Method:
    return get_method(name)(**FAST.get(name, {})).bind(dataset, "gaussian", 0.1)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(name, check):
    load_prior.cache_clear()  # loading weights is part of what a method does
    verdict = examine(check, make(name))
    assert verdict.outcome in ("ok", "skipped"), verdict.reason
    assert verdict.outcome == "ok" or "weights" not in verdict.reason, verdict.reason


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_serves_the_datasets(name, dataset):
    given, truth = Problem(dataset, "gaussian", 200, 0.1, 0, 5).simulate()
    try:
        answer = make(name, dataset).recover(given, stream("method"))
    except MissingWeights:
        if (name, dataset) in UNTRAINED:
            pytest.skip(f"{name} ships without weights for {dataset}")
        raise
    x_hat = answer.x_hat if isinstance(answer, Recovery) else answer
    error = (x_hat - truth.x).square().mean()
    floor = truth.x.square().mean()
    assert error <= floor * (1 if name == "zeros" else 0.9)


@pytest.mark.parametrize("name", [n for n in METHODS if n.startswith(("csgm", "lasso", "pca"))])
def test_names_its_paper(name):
    assert any(year in entries("methods")[name].doc for year in ("1996", "1999", "2006", "2017"))


def test_missing_weights_say_how_to_train():
    method = get_method("csgm-vae")().bind("no-such-dataset", "gaussian", 0.1)
    with pytest.raises(MissingWeights, match="csbench train vae --dataset no-such-dataset"):
        method.recover(digits(), stream("x"))
    assert examine(is_deterministic, method).outcome == "skipped"


def test_min_norm_is_the_pseudo_inverse():
    given = digits().to(torch.float64)
    x_hat = get_method("min-norm")(clip=False).recover(given, stream("x")).x_hat
    torch.testing.assert_close(given.A(x_hat), given.y)
    expected = torch.linalg.lstsq(given.A.matrix(), given.y.T, driver="gelsd").solution.T
    torch.testing.assert_close(x_hat, expected)


def test_the_global_generator_is_watched():
    class Careless(Method):
        """Draws from the global generator."""

        def recover(self, given, rng):
            return torch.rand(given.batch, given.n)

    assert "draw all randomness from rng" in examine(is_deterministic, Careless()).reason
    assert "global generator" in examine(leaves_the_process_alone, Careless()).reason
