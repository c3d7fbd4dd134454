import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from csbench import get_dataset, get_method, stream
from csbench.catalogue.suites import load_suite
from csbench.core.errors import UsageError
from csbench.report.phase import RECOVERED, RIDGE, contours, l1_transition, middle
from csbench.runner.problem import Problem
from tests.conftest import ROOT

RESULTS = ROOT / "results"
K = np.arange(4, 161, 4)
TRIALS = np.full(len(K), 20)


@pytest.mark.parametrize(("delta", "rho"), [(0.1, 0.1894), (0.25, 0.2674), (0.5, 0.3857), (0.9, 0.6782)])
def test_the_theory_is_the_infimum_that_defines_it(delta, rho):
    """Proposition 4.5 of Amelunxen et al. as it stands: an integral, and an infimum over tau."""
    assert l1_transition(delta) == pytest.approx(rho, abs=1e-4)
    share = delta * l1_transition(delta)

    def bound(tau):
        beyond = quad(lambda u: (u - tau) ** 2 * math.exp(-(u**2) / 2), tau, np.inf)[0]
        return share * (1 + tau**2) + (1 - share) * math.sqrt(2 / math.pi) * beyond

    assert minimize_scalar(bound, (0, 3)).fun == pytest.approx(delta, abs=1e-6)  # type: ignore[attr-defined]


def test_the_fit_is_that_of_scikit_learn():
    successes = np.random.default_rng(1).binomial(TRIALS, expit(-0.15 * (K - 60)))
    x = np.repeat(K, 2)[:, None] / 100
    ours = middle(K, TRIALS, successes)[0]
    weights = np.stack([successes, TRIALS - successes], 1).ravel()
    theirs = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=10_000)
    theirs.fit(x, np.tile([1, 0], len(K)), sample_weight=weights)
    assert ours == pytest.approx(-100 * theirs.intercept_[0] / theirs.coef_[0, 0], rel=1e-4)


@pytest.mark.parametrize("slope", [0.08, 0.4])
def test_intervals_cover_the_truth(slope):
    rng = np.random.default_rng(2)
    covered = 0
    for true in rng.uniform(30, 120, 100):
        _, low, high = middle(K, TRIALS, rng.binomial(TRIALS, expit(-slope * (K - true))))
        covered += low <= true <= high
    assert covered >= 89


def test_no_signal_recovered_or_all_of_them():
    assert middle(K, TRIALS, np.zeros(len(K))) == (0, 0, 4)
    assert middle(K, TRIALS, TRIALS.copy()) == (math.inf, 160, math.inf)


def test_signals_are_as_sparse_as_they_say():
    for split, rounds in (("train", 5), ("validation", 5), ("test", 20)):
        signals = get_dataset("sparse").images(split)
        assert ((signals.pixels != 0).sum((1, 2, 3)) == signals.labels).all()
        assert (np.bincount(signals.labels)[4::4] == rounds).all()
        assert len(set(signals.labels[:40])) == 40
        entries = signals.pixels[signals.pixels != 0]
        assert entries.min() >= 0.25
        assert entries.max() <= 1
    ids = np.concatenate([get_dataset("sparse").images(split).ids for split in ("train", "validation", "test")])
    assert len(set(ids)) == len(ids)


def test_basis_pursuit_fails_where_theory_says():
    given, truth = Problem("sparse", "gaussian", 128, 0.0, 0, 400).simulate()
    x_hat = get_method("basis-pursuit-pixel")().recover(given, stream("x")).x_hat
    recovered = ((x_hat - truth.x).norm(dim=1) <= RECOVERED * truth.x.norm(dim=1)).numpy()
    k = get_dataset("sparse").images("test").labels[:400]
    successes = np.bincount(k // 4, weights=recovered)[1:]
    value, _, _ = middle(K, np.full(40, 10), successes)
    assert value / 128 == pytest.approx(l1_transition(0.5), abs=0.03)  # n = 256 is not infinite


def test_command_on_the_published_results(csbench, tmp_path):
    done = csbench("phase", "-o", "phase.svg", "--results", RESULTS)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("| 128 "))
    headers = [cell.strip() for cell in done.stdout.splitlines()[1].split("|")]
    found = float(line.split("|")[headers.index("basis-pursuit-pixel")].split()[0])
    assert found == pytest.approx(l1_transition(0.5), abs=0.03)
    assert "omp-pixel" in (tmp_path / "phase.svg").read_text()


def test_other_suites_have_no_sparsity():
    with pytest.raises(UsageError, match="sparse-phase"):
        contours(None, load_suite("quick"))  # type: ignore[arg-type]
