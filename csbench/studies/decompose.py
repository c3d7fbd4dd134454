"""Where the error of recovery in the range of a generator comes from (Bora et al. 2017, section 6.1), image by image.

    ||x - G(z_hat)||^2 / n  =  representation + measurement + optimisation,

where, with L(z) = ||A G(z) - y||^2 + lmbd ||z||^2 and e(z) = ||x - G(z)||^2 / n,

    representation = min over z of e(z),
    measurement    = e(z_opt) - representation,    z_opt = argmin over z of L(z),
    optimisation   = e(z_hat) - e(z_opt).

Neither minimum is known where the problem is not convex, so all three are estimates. The first is that of `csbench
project`, an upper bound. z_opt has the least L of what is found from `RESTARTS` starts by BFGS, as many by Adam, one
start that knows the image (the z of the first minimum), and of the method's own answer. The optimisation error may be
negative: what has a greater L can be nearer to the image. The gap L(z_hat) - L(z_opt) cannot. The measurement error is
negative only where the search for the first minimum missed what the search for z_opt found.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from csbench.catalogue.registry import get_dataset, get_method
from csbench.catalogue.suites import Suite
from csbench.core.errors import CsbenchError, MissingWeights, UsageError
from csbench.core.measurement import Measurement
from csbench.core.method import Recovery
from csbench.core.seeding import seed_of, stream
from csbench.freshness.lineage import Lineage
from csbench.operators import LinearOperator
from csbench.priors.generator import Generator, load_prior
from csbench.results.artefact_kinds import DECOMPOSITIONS
from csbench.results.artefacts import Row, held
from csbench.runner.plan import Cell, make_cells
from csbench.solvers.latent import projection as project
from csbench.solvers.latent.csgm import LatentSearch, LatentSolution, search_latent
from csbench.solvers.latent.in_range import InRange
from csbench.solvers.latent.quasi_newton import FastSearch, descend_from, first_metric, search_latent_fast

RESTARTS = 10  # of each search
ADAM_STEPS = 200
FLAT = 1e-6  # of the descents that end every search
DRAWS = 200  # of z, for the first Hessian of these


@dataclass(frozen=True)
class Parts:
    """The error per pixel of each image and what it is made of; shape [images], float64.

    Attributes:
        total: the sum of the next three.
        objective_gap: L(z_hat) - L(z_opt), zero or more.
    """

    total: Tensor
    representation: Tensor
    measurement: Tensor
    optimisation: Tensor
    objective_gap: Tensor


def least(
    A: LinearOperator, y: Tensor, generator: Generator, lmbd: float, *, oracle: Tensor, rng: torch.Generator
) -> LatentSolution:
    """The least ||A G(z) - y||^2 + lmbd ||z||^2 that is found for every row of y.

    Args:
        y: shape [images, m].
        oracle: one more start for each image, shape [images, latent_dim].
        rng: draws the other starts.
    """
    bfgs = search_latent_fast(A, y, generator, lmbd, rng=rng, options=FastSearch(restarts=RESTARTS))
    slow = LatentSearch(restarts=RESTARTS, steps=ADAM_STEPS, learning_rate=0.1, start="zero")
    adam = search_latent(A, y, generator, lmbd, rng=rng, options=slow)
    starts = torch.stack([bfgs.z, adam.z, oracle], 1)
    draws = torch.randn(DRAWS, generator.latent_dim, generator=rng).to(y)
    options = FastSearch(restarts=1, flat=FLAT, rough=0)
    metric = first_metric(A, generator, lmbd, draws=draws, rng=rng)
    more = [
        descend_from(A, y, generator, lmbd, starts=start, metric=metric, options=options) for start in starts.unbind(1)
    ]
    return _best([bfgs, adam, *more])


def _best(found: list[LatentSolution]) -> LatentSolution:
    """For each image the answer of the least objective."""
    winner = torch.stack([one.objective for one in found]).argmin(0)
    rows = torch.arange(len(winner), device=winner.device)
    best = (torch.stack([getattr(one, f.name) for one in found])[winner, rows] for f in fields(LatentSolution))
    return LatentSolution(*best)


def decompose(
    generator: Generator,
    given: Measurement,
    lmbd: float,
    x: Tensor,
    near: LatentSolution,
    answer: Recovery,
    rng: torch.Generator,
) -> Parts:
    """What the error of a method's answer is made of.

    Args:
        lmbd: of the method's objective.
        x: the images, shape [images, n].
        near: what `csbench.solvers.latent.projection.nearest` found for them.
        answer: the method's, with a diagnostic `objective`.
        rng: draws the starts of the search for z_opt.

    Raises:
        CsbenchError: the answer lacks the diagnostic.
    """
    if "objective" not in answer.diagnostics:
        raise CsbenchError("a method whose error is decomposed has to return its 'objective' among the diagnostics")
    loss = answer.diagnostics["objective"].double()
    found = least(given.A, given.y, generator, lmbd, oracle=near.z, rng=rng)
    least_loss = torch.minimum(loss, found.objective.double())
    x_opt = torch.where((least_loss < loss)[:, None], found.x_hat, answer.x_hat)
    total, representation, at_best = (_error(part, x) for part in (answer.x_hat, near.x_hat, x_opt))
    return Parts(total, representation, at_best - representation, total - at_best, loss - least_loss)


def _error(x_hat: Tensor, x: Tensor) -> Tensor:
    return (x_hat.double() - x.double()).square().mean(1)


def searching(suite: Suite, asked: tuple[str, ...] = ()) -> list[str]:
    """The methods whose error can be decomposed on a suite.

    Args:
        asked: names of methods; empty for all of the suite's that can.

    Raises:
        UsageError: one that was asked for has no generator, or none that fits the suite's images; or none can.
    """
    found = []
    for name in asked or suite.methods:
        try:
            _check(suite, name)
        except UsageError:
            if asked:
                raise
        else:
            found.append(name)
    if not found:
        raise UsageError(f"{suite.name}: no method searches the range of a generator that was trained for its images")
    return found


def _check(suite: Suite, name: str) -> None:
    dataset = get_dataset(suite.dataset)
    method = get_method(name)().bind(dataset.relative or suite.dataset, suite.operator, suite.noise_norms[0])
    if not isinstance(method, InRange):
        raise UsageError(f"{name} does not search the range of a generator; csgm-vae-fast, for instance, does")
    try:
        n = load_prior(method.prior).generator.n
    except MissingWeights as error:
        raise UsageError(f"{name} has no generator for {suite.dataset}, the dataset of {suite.name}: {error}") from None
    if n != dataset.n:
        raise UsageError(
            f"{name}: its prior {method.prior} makes images of {n} pixels, those of {suite.dataset}, the dataset of "
            f"{suite.name}, have {dataset.n}"
        )


def update(
    results: Path, suite: Suite, name: str, m: tuple[int, ...], images: int, report: Callable[[], None] = lambda: None
) -> int:
    """Compute and store what is missing of a method: levels that no longer hold, or are of fewer images.

    Args:
        suite: whole; its first draw is used.
        m: of the suite; others are kept as they are.
        images: from the start of the test split.
        report: called after each level.

    Returns:
        how many levels were computed.
    """
    place = {"suite": suite.name, "method": name}
    stored, lineage = DECOMPOSITIONS.read(results, **place), Lineage.read(results, suite.name)
    cells = [cell for cell in make_cells(replace(suite, methods=(name,), draws=1)) if cell.problem.m in m]
    computed = 0
    for cell in cells:
        wanted = min(images, cell.problem.images)
        level = {"m": cell.problem.m, "noise_norm": cell.problem.noise_norm}
        of = level | {"suite_version": suite.version, "restarts": RESTARTS}
        if len(held(stored, of, partial(lineage.connects, cell.id.made_by))) < wanted:
            DECOMPOSITIONS.put(results, _rows(cell, wanted), **place)
            computed += 1
        report()
    return computed


def _rows(cell: Cell, images: int) -> list[Row]:
    """One row for each image; the method runs again, on the measurements of the suite's first draw."""
    problem, method = replace(cell.problem, images=images), cell.method
    assert isinstance(method, InRange)
    given, truth = problem.simulate()
    answer = method.recover(given, torch.Generator().manual_seed(seed_of(*problem.method_seed_names())))
    if not isinstance(answer, Recovery):
        raise CsbenchError(f"{cell.method_name} returns no diagnostics; the decomposition needs its 'objective'")
    near = _nearest_test_images(method.prior, problem.dataset, images)
    rng = stream("decomposition", method.prior, problem.dataset, problem.operator, problem.m, problem.noise_norm)
    parts = decompose(method.generator(given), given, method.penalty(given), truth.x, near, answer, rng)
    return pd.DataFrame(
        {
            "suite": cell.suite.name,
            "suite_version": cell.suite.version,
            "method": cell.method_name,
            "params": json.dumps(method.params(), sort_keys=True),
            "m": problem.m,
            "noise_norm": problem.noise_norm,
            "image": truth.ids,
            **{part: values.numpy() for part, values in vars(parts).items()},
            "restarts": RESTARTS,
            "made_by": cell.id.made_by,
        }
    ).to_dict("records")


@lru_cache(maxsize=4)
def _nearest_test_images(prior: str, dataset: str, images: int) -> LatentSolution:
    """They are the same at every m."""
    x = get_dataset(dataset).images("test")[:images].signals()
    return project.nearest(x, load_prior(prior).generator, rng=stream("project", prior))
