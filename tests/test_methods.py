"""The conformance suite: what every registered method must do, on every dataset that it serves."""

import pytest
import torch

from csbench import NotApplicable, Problem, Recovery, get_method, stream
from csbench.errors import MissingWeights
from csbench.measurement import Measurement
from csbench.operators import from_matrix
from csbench.priors.generator import load_prior
from csbench.registry import entries

METHODS = list(entries("methods"))
SHORT = {"restarts": 2, "steps": 80, "learning_rate": 0.1}
FAST = {name: SHORT for name in ("csgm-vae", "csgm-conv-vae", "csgm-dcgan", "csgm-dcgan-paper", "csgm-wgan")}
UNTRAINED = {("csgm-wgan", "fashion-mnist")}


def make(name: str, dataset: str = "mnist"):
    return get_method(name)(**FAST.get(name, {})).bind(dataset, "gaussian", 0.1)


def recover(name: str, given: Measurement, dataset: str = "mnist") -> Recovery:
    try:
        answer = make(name, dataset).recover(given, stream("method"))
    except MissingWeights:
        if (name, dataset) in UNTRAINED:
            pytest.skip(f"{name} ships without weights for {dataset}")
        raise
    return answer if isinstance(answer, Recovery) else Recovery(answer)


@pytest.fixture(scope="module")
def given() -> Measurement:
    return Problem("mnist", "gaussian", 60, 0.1, 0, 3).simulate()[0]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_answers_in_form(name, dtype, given):
    given = given.to(dtype)
    y = given.y.clone()
    answer = recover(name, given)
    assert answer.x_hat.shape == (3, 784)
    assert answer.x_hat.dtype == dtype
    assert torch.isfinite(answer.x_hat).all()
    assert answer.x_hat.min() >= 0
    assert answer.x_hat.max() <= 1
    assert torch.equal(given.y, y)
    for value in answer.diagnostics.values():
        assert value.shape == (3,)
        assert torch.isfinite(value.double()).all()


@pytest.mark.parametrize("name", METHODS)
def test_is_deterministic_and_leaves_the_global_generator_alone(name, given):
    load_prior.cache_clear()
    state = torch.get_rng_state()
    a, b = recover(name, given), recover(name, given)
    assert torch.equal(a.x_hat, b.x_hat)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_serves_the_datasets(name, dataset):
    given, truth = Problem(dataset, "gaussian", 200, 0.1, 0, 5).simulate()
    error = (recover(name, given, dataset).x_hat - truth.x).square().mean()
    floor = truth.x.square().mean()
    assert error <= floor * (1 if name == "zeros" else 0.9)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("operator", ["rademacher", "random-pixel-mask"])
def test_serves_other_operators(name, operator):
    given, _ = Problem("mnist", operator, 80, 0.1, 0, 2).simulate()
    assert recover(name, given).x_hat.shape == (2, 784)


@pytest.mark.parametrize("name", METHODS)
def test_says_so_where_it_does_not_apply(name):
    """Another image size: a method either serves it or raises NotApplicable."""
    given = Measurement(from_matrix(torch.randn(5, 64)), torch.randn(2, 5), 0.1, (1, 8, 8))
    try:
        shape = recover(name, given).x_hat.shape
    except NotApplicable as refusal:
        shape, reason = (2, 64), str(refusal)
        assert_names_both_sizes(reason)
    assert shape == (2, 64)


def assert_names_both_sizes(reason: str) -> None:
    assert "64" in reason
    assert "784" in reason


@pytest.mark.parametrize("name", METHODS)
def test_documents_itself(name):
    method = make(name)
    assert type(method).__doc__
    assert all(key in repr(method) for key in method.params())
    assert "{dataset}" not in repr(method)


@pytest.mark.parametrize("name", [n for n in METHODS if n.startswith(("csgm", "lasso", "pca"))])
def test_names_its_paper(name):
    assert any(year in entries("methods")[name].doc for year in ("1996", "1999", "2006", "2017"))


def test_missing_weights_say_how_to_train(given):
    method = get_method("csgm-vae")().bind("no-such-dataset", "gaussian", 0.1)
    with pytest.raises(MissingWeights, match="csbench train vae --dataset no-such-dataset"):
        method.recover(given, stream("x"))


def test_min_norm_is_the_pseudo_inverse(given):
    x_hat = get_method("min-norm")(clip=False).recover(given.to(torch.float64), stream("x")).x_hat
    torch.testing.assert_close(given.to(torch.float64).A(x_hat), given.y.double())
    expected = torch.linalg.lstsq(given.A.matrix().double(), given.y.double().T, driver="gelsd").solution.T
    torch.testing.assert_close(x_hat, expected)
