"""Sampled cells, run again: twice each, in processes of their own.

The first run is the cell as it is; its errors and times are held against those of the file. The second run has a batch
of the same size, put together for what is not known yet: images that the method cannot have seen, always; where the
first run did not give the errors of the file to the bit, rows that are given once more as they were, which must give
equal bits; and where the errors differ by more than a thousandth, rows on measurements that are changed by as much as
rounding changes them, for methods that search from random starts do not give the same figures on every processor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import permutation_test

from csbench.core.measurement import Measurement
from csbench.runner.limits import Limits
from csbench.runner.local import run_cells
from csbench.runner.plan import Cell, make_cells
from csbench.runner.problem import Problem, Truth
from csbench.runner.scoring import metric_columns
from csbench.runner.solving import Outcome
from csbench.studies.checks import Check
from csbench.studies.fresh_images import Mixed, hardness, leaning, logarithm, panel

RELATIVE = 1e-3  # by which errors may differ whatever the method
TIMES = 3.0  # what the rounding changes
LEVEL = 0.01  # of the tests of differences
COMPARED = {"mse": 0.0, "relative_l2": 0.0, "ssim": 0.0, "measurement_error": 1e-5}  # with what may differ anyway
FASTER = 10.0  # than this machine, at most
TICK = 0.1  # seconds that any cell may take, for what a first call costs
PANEL_SHARE = 0.1  # of a cell, which the methods take that say how hard images are
PANEL_SECONDS = 1.0  # or this, at least
Reported = Callable[[str], None]


@dataclass
class Run:
    """A cell that has run here as it is, and what has come of it so far.

    Attributes:
        stored: rows of the file that are ok, by image.
        again: metrics of this machine, by image.
        second: the problem of the second run.
        fresh: mean squared errors of the second run on fresh images, by id.
    """

    cell: Cell
    outcome: Outcome
    stored: pd.DataFrame
    again: pd.DataFrame
    second: Mixed
    fresh: dict[int, float] = field(default_factory=dict)

    @property
    def on_all_images(self) -> Mixed:
        """The images of both runs in one batch."""
        return replace(self.second, same=self.second.images, rounded=0)

    @property
    def name(self) -> str:
        return f"{self.cell.where} run again"


def run_again(
    frame: pd.DataFrame, cells: list[Cell], rounding: float, limits: Limits, seed: int, report: Reported
) -> Iterator[Check]:
    """Run cells, each twice, and compare.

    Args:
        frame: all rows of the file.
        rounding: relative change of y that other processors may make.
        seed: of what is random in the second runs.
        report: told what is being done.
    """
    report(f"running {len(cells)} cells again")
    runs: list[Run] = []
    for cell, outcome, given, truth in _ran(cells, limits):
        if outcome.x_hat is None:
            yield Check(f"{cell.where} run again", f"{outcome.status} here: {outcome.reason}")
            continue
        run = _first(frame, cell, outcome, given, truth, rounding, seed)
        runs.append(run)
        yield _times(run)
    report(f"running {len(runs)} cells a second time, and other methods on the same images")
    of_method = {name: _panel_seconds(runs) for name in panel(cells[0].method_name)} if cells else {}
    errors: dict[Problem, list[list[float]]] = {}
    by_problem: dict[Problem, Run] = {run.second: run for run in runs}
    todo = [*_beside(runs), *(replace(run.cell, problem=run.second) for run in runs)]
    for cell, outcome, given, truth in _ran(todo, replace(limits, of_method=of_method)):
        if cell.problem in by_problem and cell.method_name not in of_method:
            yield from _second(by_problem[cell.problem], outcome, given, truth)
        elif outcome.x_hat is not None and np.isfinite(outcome.x_hat).all():
            found = metric_columns(torch.from_numpy(outcome.x_hat), given, truth)["mse"]
            errors.setdefault(cell.problem, []).append(found)
    yield from leaning(_scores(runs, errors), seed)


def _ran(cells: Iterable[Cell], limits: Limits) -> Iterator[tuple[Cell, Outcome, Measurement, Truth]]:
    """Cells as they end, one after the other, in workers that nothing has run in before."""
    with contextlib.closing(run_cells(cells, 1, limits)) as outcomes:
        yield from outcomes


def _first(
    frame: pd.DataFrame, cell: Cell, outcome: Outcome, given: Measurement, truth: Truth, rounding: float, seed: int
) -> Run:
    problem = cell.problem
    here = (frame["m"] == problem.m) & (frame["noise_norm"] == problem.noise_norm) & (frame["draw"] == problem.draw)
    stored = pd.DataFrame(frame[here & (frame["status"] == "ok") & frame["image"].isin(truth.ids.tolist())])
    stored = stored.set_index("image")
    assert outcome.x_hat is not None
    columns = metric_columns(torch.from_numpy(outcome.x_hat), given, truth)
    again = pd.DataFrame(columns, index=pd.Index(truth.ids))
    images = problem.images
    pairs = {name: (stored[name].to_numpy(), again.loc[stored.index, name].to_numpy()) for name in COMPARED}
    few = -(-images // 10)
    if all(np.array_equal(*pair, equal_nan=True) for pair in pairs.values()):
        second: dict[str, Any] = {"fresh": max(images - few, 1)}  # the panel takes what is left
    elif all(_near(*pair, COMPARED[name]) for name, pair in pairs.items()):
        second = {"same": few, "fresh": images - few}
    else:
        rounded = -(-(images - few) // 2)
        second = {"same": few, "rounded": rounded, "fresh": images - few - rounded, "rounding": rounding}
    return Run(cell, outcome, stored, again, Mixed(**asdict(problem), **second, seed=seed))


def _near(stored: np.ndarray, again: np.ndarray, absolute: float) -> bool:
    return bool(np.abs(stored - again).mean() <= RELATIVE * abs(again.mean()) + absolute)


def _times(run: Run) -> Check:
    """Seconds of the processor here, for those on the wall are long where others compute beside."""
    here = run.outcome.cpu_seconds or 0.0
    wall, cpu = (float(run.stored[name].iloc[0]) for name in ("cell_wall_seconds", "cell_cpu_seconds"))
    what = f"{run.name}: {wall:.3g} s in the file, {here:.3g} s of the processor here"
    least = min(wall, cpu)
    if not here <= FASTER * least + TICK:
        return Check(what, f"the file claims {least:.3g} s, less than a {FASTER:g}th of what the cell takes here")
    return Check(what)


def _panel_seconds(runs: list[Run]) -> float:
    """That a method may take to say how hard images are; one that takes longer is not heard."""
    longest = max((run.outcome.wall_seconds or 0.0 for run in runs), default=0.0)
    return max(PANEL_SHARE * longest, PANEL_SECONDS)


def _beside(runs: list[Run]) -> Iterator[Cell]:
    """Cells of other methods on the images of the first and of the second run."""
    if not runs:
        return
    suite = runs[0].cell.suite.narrowed(methods=tuple(panel(runs[0].cell.method_name)))
    cells = make_cells(suite)
    for run in runs:
        mixed = run.on_all_images
        place = (mixed.m, mixed.noise_norm, mixed.draw)
        yield from (replace(one, problem=mixed) for one in cells if _place(one.problem) == place)


def _scores(runs: list[Run], errors: Mapping[Problem, Sequence[Sequence[float]]]) -> dict[int, list[float]]:
    """For each image, by id, the logarithm of the method's error beside those of others, of each cell.

    Args:
        errors: of others, on the images of both runs.
    """
    scores: dict[int, list[float]] = {}
    for run in runs:
        hard = hardness(run.on_all_images.simulate()[1], errors.get(run.on_all_images, []))
        made = {**run.again["mse"].to_dict(), **run.fresh}
        for image, value in zip(made, logarithm(list(made.values())), strict=True):
            if np.isfinite(value):
                scores.setdefault(int(image), []).append(float(value) - hard[int(image)])
    return scores


def _place(problem: Problem) -> tuple[int, float, int]:
    return problem.m, problem.noise_norm, problem.draw


def _second(run: Run, outcome: Outcome, given: Measurement, truth: Truth) -> Iterator[Check]:
    """What the rows of the second run say that the first has too; those of fresh images are kept in `run`."""
    first, x_hat = run.outcome.x_hat, outcome.x_hat
    if x_hat is None or first is None:
        yield Check(f"{run.name} with other images", f"{outcome.status}: {outcome.reason}")
        return
    same, kept = run.second.same, run.second.same + run.second.rounded
    columns = {name: np.array(values) for name, values in metric_columns(torch.from_numpy(x_hat), given, truth).items()}
    run.fresh.update(zip(truth.ids[kept:].tolist(), columns["mse"][kept:].tolist(), strict=True))
    if same:
        yield _repeated(run, first[:same], x_hat[:same])
    for name, absolute in COMPARED.items():
        stored, again = run.stored[name].to_numpy(), run.again.loc[run.stored.index, name].to_numpy()
        changes = columns[name][same:kept] - run.again[name].to_numpy()[same:kept]
        yield _metric(f"{run.name}: {name}", stored, again, changes, absolute)


def _repeated(run: Run, first: np.ndarray, second: np.ndarray) -> Check:
    """The same y at the same place of a batch of the same size, with the same seed, in another process."""
    what = f"{run.name}: the same y twice gives the same x_hat"
    if np.array_equal(first, second, equal_nan=True):
        return Check(what)
    differ = float(np.sqrt(np.square(first - second).mean()))
    error = float(np.sqrt(run.again["mse"].mean()))
    if differ <= RELATIVE * error:
        return Check(f"{what}, to {differ:.2g}")
    return Check(
        what,
        f"x_hat differs by {differ:.2g} in root mean square, where its error is {error:.2g}: the method is not "
        "deterministic, or lets the images of a batch reach one another; draw all randomness from rng",
    )


def _metric(what: str, stored: np.ndarray, again: np.ndarray, changes: np.ndarray, absolute: float) -> Check:
    """Stored metrics beside those of this machine.

    Args:
        changes: what rounding changes, in as many rows as were run on rounded measurements; none where that is not
            asked, since stored and recomputed metrics are near.
    """
    both = ~(np.isnan(stored) & np.isnan(again))
    stored, again = stored[both], again[both]
    if not all(np.isfinite(one).all() for one in (stored, again, changes)):
        return Check(what, "an image diverges here that is ok in the file, or its stored value is not finite")
    what += f" {stored.mean():.5g} stored, {again.mean():.5g} here" if len(stored) else ", which nothing has"
    if np.array_equal(stored, again):
        return Check(what)
    differ, least = stored - again, RELATIVE * abs(again.mean()) + absolute
    allowed = least + TIMES * np.abs(changes if len(changes) else np.zeros(1))
    size, bias = np.abs(differ).mean(), least + TIMES * changes.std() / len(again) ** 0.5 if len(changes) else least
    if size > allowed.mean() and _larger(np.abs(differ), allowed):
        return Check(what, f"images differ by {size:.2g} on average, by at most {allowed.mean():.2g} expected")
    if abs(differ.mean()) > bias and _one_sided(differ):
        return Check(what, f"the mean differs by {differ.mean():+.2g}, by at most {bias:.2g} expected")
    return Check(what)


def _larger(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether one sample is larger than another by more than chance; few images cannot be rarer than their orders."""
    found = permutation_test(
        (a, b), lambda a, b, axis: a.mean(axis) - b.mean(axis), vectorized=True, alternative="greater",
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return bool(found.pvalue <= max(LEVEL, 1.0001 / comb(len(a) + len(b), len(b))))


def _one_sided(a: np.ndarray) -> bool:
    """Whether a sample lies on one side of zero by more than chance."""
    found = permutation_test(
        (a,), lambda a, axis: a.mean(axis), vectorized=True, permutation_type="samples", rng=np.random.default_rng(0)
    )
    return bool(found.pvalue <= max(LEVEL, 2.0001 / 2 ** len(a)))
