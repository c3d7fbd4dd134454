"""The conformance suite on every registered method, on every dataset that it serves."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from csbench import Problem, get_method, stream
from csbench.catalogue.registry import entries
from csbench.catalogue.suites import load_suite
from csbench.core.errors import MissingWeights
from csbench.core.measurement import Measurement
from csbench.core.method import Method, Recovery
from csbench.operators import DenseMatrix
from csbench.priors import generator
from csbench.runner.worker import Task, run, share
from csbench.studies.conformance import CHECKS, digits, examine, is_deterministic, leaves_the_process_alone

FROM_MEASUREMENTS = [
    name for name in load_suite("ambient-mnist").methods if entries("methods")[name].module.endswith("csgm_ambient")
]
METHODS = [
    *(name for name, entry in entries("methods").items() if not entry.on_request),
    "csgm-ambient-block-pixels-p0.5",
]
SHORT = {"restarts": 2, "steps": 80, "learning_rate": 0.1}
FAST = {
    name: SHORT
    for name in ("csgm-vae", "csgm-conv-vae", "csgm-dcgan", "csgm-dcgan-paper", "csgm-wgan", *FROM_MEASUREMENTS)
} | {name: {"iterations": 15} for name in ("d-amp", "pnp-admm", "pnp-admm-tv")}


def make(name: str, dataset: str = "mnist") -> Method:
    return get_method(name)(**FAST.get(name, {})).bind(dataset, "gaussian", 0.1)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(name, check):
    generator._loaded.cache_clear()  # loading weights is part of what a method does
    verdict = examine(check, make(name))
    assert verdict.outcome in ("ok", "skipped"), verdict.reason
    assert verdict.outcome == "ok" or "weights" not in verdict.reason, verdict.reason


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_serves_the_datasets(name, dataset):
    given, truth = Problem(dataset, "gaussian", 200, 0.1, 0, 5).simulate()
    answer = make(name, dataset).recover(given, stream("method"))
    x_hat = answer.x_hat if isinstance(answer, Recovery) else answer
    error = (x_hat - truth.x).square().mean()
    floor = truth.x.square().mean()
    assert error <= floor * (1 if name == "zeros" else 0.9)


@pytest.mark.parametrize("name", [n for n in METHODS + FROM_MEASUREMENTS if n.startswith(("csgm", "lasso", "pca"))])
def test_names_its_paper(name):
    assert any(year in entries("methods")[name].doc for year in ("1996", "1999", "2006", "2009", "2017", "2018"))


@pytest.mark.parametrize("name", FROM_MEASUREMENTS)
def test_priors_from_measurements_recover_digits(name):
    given, truth = Problem("mnist", "gaussian", 200, 0.1, 0, 3).simulate()
    x_hat = make(name).recover(given, stream("method")).x_hat
    assert (x_hat - truth.x).square().mean() < truth.x.square().mean() * (1.1 if "ignore" in name else 0.5)


def test_a_prior_from_measurements_that_is_missing_is_named_with_its_command():
    with pytest.raises(MissingWeights, match="csbench train ambient --measurement PROCESS"):
        get_method(FROM_MEASUREMENTS[0])().bind("no-such-dataset", "gaussian", 0.1).data_files()


def test_missing_weights_say_how_to_train():
    method = get_method("csgm-vae")().bind("no-such-dataset", "gaussian", 0.1)
    with pytest.raises(MissingWeights, match="csbench train vae --dataset no-such-dataset"):
        method.recover(digits(), stream("x"))
    assert examine(is_deterministic, method).outcome == "skipped"


class Needy(Method):
    """Needs a package that nobody has."""

    requires = ("torch", "no-such-package", "nor-this")

    def recover(self, given, rng):
        raise AssertionError


def test_a_missing_package_is_no_failure(tmp_path):
    advice = "needy needs no-such-package, nor-this: pip install no-such-package nor-this"
    verdict = examine(is_deterministic, Needy())
    assert (verdict.outcome, verdict.reason) == ("skipped", advice)
    share(digits(), tmp_path / "given.pt")
    threads = torch.get_num_threads()
    outcome = run(Task(pickle.dumps(Needy()), tmp_path / "given.pt", 0, (), frozenset()))
    torch.set_num_threads(threads)
    assert (outcome.status, outcome.reason) == ("not_applicable", advice)


def test_methods_that_need_further_packages_can_be_listed_without_them():
    """Their modules import nothing but csbench and what it needs itself."""
    needy = {name for name, entry in entries("methods").items() if entry.facts["requires"]}
    assert needy == {"d-amp", "pnp-admm", "pnp-admm-tv", "lasso-sklearn", "lasso-cvxpy"}
    modules = sorted({entries("methods")[name].module for name in needy})
    code = (
        "import importlib, sys\n"
        "sys.modules |= dict.fromkeys(('sklearn', 'cvxpy', 'skimage'))\n"
        f"for module in {modules}: importlib.import_module(module)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (7, 9)])
def test_the_least_norm_solution_is_the_pseudoinverse(shape):
    matrix = torch.randn(*shape, generator=stream("A"))
    if shape[0] == 7:
        matrix[3] = matrix[1]  # no inverse of A A^T
    y = torch.randn(4, shape[0], generator=stream("y"))
    given = Measurement(DenseMatrix(matrix), y, 0.0, (1, 1, shape[1]))
    recovery = get_method("min-norm")(clip=False).recover(given, stream("x"))
    assert isinstance(recovery, Recovery)
    expected = y.numpy() @ np.linalg.pinv(matrix.double().numpy()).T
    np.testing.assert_allclose(recovery.x_hat.numpy(), expected, atol=1e-6)


def test_the_global_generator_is_watched():
    class Careless(Method):
        """Draws from the global generator."""

        def recover(self, given, rng):
            return torch.rand(given.batch, given.n)

    assert "draw all randomness from rng" in examine(is_deterministic, Careless()).reason
    assert "global generator" in examine(leaves_the_process_alone, Careless()).reason
