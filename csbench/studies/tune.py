"""Choosing a hyper-parameter on validation images, for a dataset, an operator family and a noise level."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from csbench.catalogue.registry import get_dataset, get_method
from csbench.catalogue.suites import Suite
from csbench.core import metrics
from csbench.core.errors import UsageError
from csbench.core.measurement import Measurement
from csbench.core.method import PathMethod, Recovery, check_requirements
from csbench.core.seeding import stream
from csbench.core.tunable import GridMethod
from csbench.report import statistics as stats
from csbench.runner.problem import Problem

GRID = tuple(float(f"{10 ** (k / 4):.3g}") for k in range(-20, 5))  # four a decade, from 1e-5 to 10
IMAGES = 50

# Large problems are solved by iteration, and every penalty has its price: half as many, from 1e-3, and to a looser gap,
# which moves the error of an image set by about as much as a step in the penalty does where the error hardly depends on
# it, and by far less where it does.
LARGE = 2048  # pixels
LARGE_GRID = tuple(alpha for alpha in GRID[::2] if alpha >= 1e-3)
LARGE_TOL = 1e-2


@dataclass(frozen=True)
class Tuning:
    """One value for all m of a suite: the one with the smallest geometric mean error on validation images.

    Attributes:
        field: the hyper-parameter.
        scores: geometric mean over m of the mean squared error, for each value of the grid.
    """

    method: str
    suite: Suite
    images: int
    field: str
    scores: dict[float, float]

    @property
    def best(self) -> float:
        return min(self.scores, key=lambda value: self.scores[value])

    def entry(self) -> dict[str, Any]:
        """As it stands in `methods/tuned.json`."""
        return {
            self.field: self.best,
            "m": list(self.suite.m),
            "validation_images": self.images,
            "geometric_mean_mse": {f"{value:g}": round(score, 6) for value, score in self.scores.items()},
        }


def tune(name: str, suite: Suite, images: int = IMAGES, report: Callable[[int], None] = lambda m: None) -> Tuning:
    """Tune one method on a suite's grid of m at one level of noise, on operators and images of the validation split.

    Args:
        suite: with one level of noise; `Suite.at_noise` makes it.
        report: called with each m when it is done.

    Raises:
        UsageError: the method has nothing to tune.
        MissingPackages: it needs packages that are not installed.
    """
    method = get_method(name)()
    if not isinstance(method, PathMethod | GridMethod):
        raise UsageError(f"{name} cannot be tuned: it is neither a PathMethod nor a GridMethod")
    if type(method).name != name:
        raise UsageError(f"{name} is a configuration of {type(method).name}; tuned values belong to classes")
    check_requirements(method)
    torch.set_num_threads(1)
    served_as = get_dataset(suite.dataset).relative or suite.dataset
    method = method.bind(served_as, suite.operator, suite.noise_norms[0])
    if isinstance(method, GridMethod):
        field, grid = method.tunes, method.grid
    else:
        field, grid = "alpha", GRID
        if get_dataset(suite.dataset).n > LARGE:
            grid = LARGE_GRID
            if any(field.name == "tol" for field in fields(method)):  # type: ignore[arg-type]
                method = replace(method, tol=LARGE_TOL)  # type: ignore[type-var]
    curves = []
    for m in suite.m:
        problem = Problem(suite.dataset, suite.operator, m, suite.noise_norms[0], 0, images, split="validation")
        given, truth = problem.simulate()
        recoveries = _recoveries(method, grid, problem, given)
        curves.append([metrics.mse(x_hat, truth.x).mean().item() for x_hat in recoveries])
        report(m)
    scores = 10 ** stats.log_score(np.array(curves).T)
    return Tuning(name, suite, images, field, dict(zip(grid, scores.tolist(), strict=True)))


def _recoveries(
    method: PathMethod | GridMethod, grid: tuple[float, ...], problem: Problem, given: Measurement
) -> Iterator[Tensor]:
    """x_hat for each value of the grid."""
    if isinstance(method, PathMethod):
        yield from (recovery.x_hat for recovery in method.recover_path(given, list(grid)))
        return
    for value in grid:
        rng = stream(*problem.method_seed_names())
        answer = replace(method, **{method.tunes: value}).recover(given, rng)  # type: ignore[type-var]
        yield answer.x_hat if isinstance(answer, Recovery) else answer
