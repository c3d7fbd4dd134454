"""Every public solver is called as `solve(A, y, prior, penalty, *, options)` and returns a Solution."""

import dataclasses
import importlib
import inspect
import pkgutil
from typing import get_args, get_type_hints

import pytest
import torch

import csbench.solvers
from csbench import stream
from csbench.core.transforms import DCT2
from csbench.operators import Gaussian
from csbench.priors.generator import ReLUGenerator
from csbench.solvers import denoisers, plug_and_play, total_variation
from csbench.solvers.lasso import admm, path
from csbench.solvers.latent import csgm, quasi_newton
from csbench.solvers.sparse import greedy

OPERATORS, PRIORS = {"A", "B"}, {"psi", "generator", "denoise", "image_shape"}
PENALTIES = {"alpha", "alphas", "lmbd", "k", "sigmas", "noise_norm"}
SHAPE, M, BATCH = (1, 8, 8), 24, 3


def solutions() -> dict[str, type]:
    found = {}
    for module in modules():
        for name, value in vars(module).items():
            if inspect.isclass(value) and name.endswith("Solution") and value.__module__ == module.__name__:
                found[name] = value
    return found


def modules():
    """All but those that need packages which are for comparison only."""
    for info in pkgutil.walk_packages(csbench.solvers.__path__, "csbench.solvers."):
        if not info.name.endswith(("by_sklearn", "by_cvxpy")):
            yield importlib.import_module(info.name)


def solvers() -> dict[str, object]:
    """Public functions whose answer is a Solution, or a list of them."""
    found = {}
    for module in modules():
        for name, value in vars(module).items():
            if not inspect.isfunction(value) or name.startswith("_") or value.__module__ != module.__name__:
                continue
            answer = get_type_hints(value).get("return")
            if any(one is kind for one in (answer, *get_args(answer)) for kind in solutions().values()):
                found[f"{module.__name__.removeprefix('csbench.solvers.')}.{name}"] = value
    return found


def test_all_are_found():
    assert {name.rpartition(".")[2] for name in solvers()} == {
        "lasso_path", "solve_lasso", "solve_discrepancy", "basis_pursuit", "omp", "cosamp", "iht", "tv_path", "damp",
        "admm", "search_latent", "search_latent_fast", "descend_from", "nearest",
    }  # fmt: skip
    assert set(solutions()) == {
        "LassoSolution",
        "SparseSolution",
        "TVSolution",
        "PlugAndPlaySolution",
        "LatentSolution",
    }


@pytest.mark.parametrize("name", sorted(solvers()))
def test_operator_measurements_prior_penalty_and_the_rest_by_keyword(name):
    parameters = list(inspect.signature(inspect.unwrap(solvers()[name])).parameters.values())
    places = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if name == "latent.projection.nearest":  # A is the identity, y the image
        places = ["A", "y", *places[1:]]
    assert places[0] in OPERATORS
    assert places[1] == "y"
    rest = places[2:]
    assert len(rest) <= 2
    assert len(rest) < 2 or (rest[0] in PRIORS and rest[1] in PENALTIES)
    assert set(rest) <= PRIORS | PENALTIES
    for p in parameters:
        assert p.name in places or p.kind is p.KEYWORD_ONLY or name == "latent.projection.nearest"
        if p.name == "options" and p.default is not p.empty:
            assert dataclasses.is_dataclass(p.default)
            with pytest.raises(dataclasses.FrozenInstanceError):
                p.default.anything = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", solutions().values(), ids=solutions().keys())
def test_solutions_are_frozen_and_name_things_alike(kind):
    names = {f.name for f in dataclasses.fields(kind)}
    assert kind.__dataclass_params__.frozen
    assert names & {"x_hat", "theta"}
    assert "iterations" in names
    assert not names & {"x", "knots", "steps", "duality_gap"}


def test_answers_hold_what_is_promised_for_every_image():
    A, rng = Gaussian.draw(M, 64, stream("A")), stream("rng")
    B, psi, denoise = A.matrix(), DCT2(SHAPE), denoisers.total_variation(SHAPE, 1.0)
    y = A(torch.rand(BATCH, 64, generator=stream("x")))
    G = ReLUGenerator.random(4, [16], 64, rng).requires_grad_(False)
    few = quasi_newton.FastSearch(candidates=20, restarts=2, rung=2, rungs=4)
    found = [
        *path.lasso_path(B, y, [0.1, 0.01]), path.solve_discrepancy(B, y, 0.1), path.basis_pursuit(B, y),
        *admm.lasso_path(B, y, psi, [0.1], tol=1e-6), *total_variation.tv_path(A, y, SHAPE, [0.1]),
        greedy.omp(B, y, 3), greedy.cosamp(B, y, 3), greedy.iht(A, y, psi, 3),
        csgm.search_latent(
            A, y, G, 0.1, rng=rng, options=csgm.LatentSearch(restarts=2, steps=4, learning_rate=0.1)
        ),
        quasi_newton.search_latent_fast(A, y, G, 0.1, rng=rng, options=few),
        plug_and_play.damp(A, y, denoise, rng=rng, iterations=2),
        plug_and_play.admm(A, y, denoise, [0.3, 0.1], noise_std=0.01),
    ]  # fmt: skip
    for solution in found:
        answer = getattr(solution, "x_hat", getattr(solution, "theta", None))
        assert answer.shape == (BATCH, 64)
        for name, values in solution.diagnostics().items():
            assert values.shape == (BATCH,), name
        if hasattr(solution, "converged"):
            assert solution.converged.dtype == torch.bool
        if hasattr(solution, "gap"):
            torch.testing.assert_close(solution.diagnostics()["duality_gap"], solution.gap)
