"""The numbers behind a leaderboard: errors with intervals, ranks with ties, measurements needed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from csbench import stats
from csbench.errors import ResultsError, UsageError
from csbench.evaluations import Evaluations, Place
from csbench.registry import entries
from csbench.suites import Suite

FAMILIES = {  # by module; of all others what their prior was learned from tells
    "lasso": "sparse",
    "basis_pursuit": "sparse",
    "greedy": "sparse",
    "peers": "sparse",
    "floor": "baseline",
}
USED = (
    "m", "noise_norm", "draw", "image", "method", "params", "status", "mse", "made_by", "cell_cpu_seconds",
    "batch_size", "diag_converged", "diag_generator_evaluations",
)  # fmt: skip
STATUS_MARKS = {
    "skipped": "skipped",
    "not_applicable": "not applicable",
    "failed": "failed",
    "diverged": "failed",
    "out_of_memory": "failed",
    "timeout": "timed out",
}
MARKS = {  # what is said of a cell of a table, and the sign for it
    "not run": "○",
    "skipped": "–",
    "not applicable": "·",
    "failed": "✗",
    "timed out": "⊘",
    "not converged": "≈",
    "stale": "†",
}


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """One method on one suite.

    Attributes:
        family: sparse, generative, ambient-trained, learned, untrained or baseline.
        ranks: the first and the last rank that the method may have (`stats.rank_intervals`); None for a method with
            holes, which is never ranked by the rest of its cells.
        score: geometric mean over the suite's levels (of m, or of the noise) of the ratio of the error to that of the
            best Lasso at the level; None for a method with holes, and where no Lasso is complete.
        mean_error: geometric mean over the levels of the error itself, which ranks; None for a method with holes.
        errors: level to the mean squared error over images and draws; only of complete levels.
        best: the levels at which the method is the best or cannot be told apart from it.
        savings: m to how many times as many measurements the best Lasso needs for the same error; infinite where it
            never gets there. Empty where there is none to compare with.
        marks: level to what is to be said of it, of `MARKS`.
        learned_from: what the method's prior was trained on; None where it has no prior.
        prior: name of the weights; None where there are none.
        needed: measurements to reach `Standings.reference_error`; infinite where it never does.
        generator_evaluations: per image; None where the method counts none.
        operator_evaluations: level to how often the method applies A or A^T there, where that was counted for the code
            that the rows are of.
        missing: cells that have not been run.
        failed: images by status other than ok, without those that do not apply.
        not_converged: images that are flagged.
    """

    method: str
    family: str
    ranks: tuple[int, int] | None
    score: Estimate | None
    mean_error: Estimate | None
    errors: dict[float, Estimate]
    best: frozenset[float]
    savings: dict[int, Estimate]
    marks: dict[float, tuple[str, ...]]
    learned_from: str | None
    prior: str | None
    needed: Estimate | None
    cpu_seconds_per_image: float
    generator_evaluations: float | None
    operator_evaluations: dict[float, Evaluations]
    missing: int
    failed: dict[str, int]
    not_applicable: bool
    not_converged: int
    images: int
    revisions: int

    @property
    def rank(self) -> int | None:
        """The first rank that the method may have."""
        return self.ranks[0] if self.ranks else None


@dataclass(frozen=True)
class Standings:
    """All methods on one suite, best first.

    Attributes:
        lassos: level to the Lasso with the smallest error there, in hindsight; empty where no Lasso is complete.
        reference_error: the smallest error of a Lasso at `suite.reference_m`; None where no Lasso is complete, or where
            the suite is over the noise.
    """

    suite: Suite
    rows: tuple[Standing, ...]
    lassos: dict[float, str]
    reference_error: float | None
    reference_method: str | None


def _check_paired(frame: pd.DataFrame, suite: Suite) -> None:
    place = [suite.axis, "draw", "image"]
    measured = frame.drop_duplicates([*place, "y_sha256"])
    twice = measured.loc[measured.duplicated(place)]
    if len(twice):
        level, draw, image = (twice[name].iloc[0] for name in place)
        raise ResultsError(
            f"suite {suite.name}: methods were given different y for image {image} at {suite.axis} = {level}, "
            f"draw {draw}; run those of the older version again"
        )


def errors_by_image(frame: pd.DataFrame, suite: Suite, method: str, metric: str = "mse") -> np.ndarray:
    """Mean over draws of the squared error, or of another metric, shape [images, len(suite.levels)].

    NaN in the columns that are not complete, and for images that the suite does not ask for at a level.
    """
    rows = frame.loc[(frame["method"] == method) & (frame["status"] == "ok")]
    table = rows.pivot_table(index="image", columns=[suite.axis, "draw"], values=metric, observed=True)
    columns = []
    for level in suite.levels:
        draws = [table[(level, d)] for d in range(suite.draws) if (level, d) in table.columns]
        whole = len(draws) == suite.draws and all(d.notna().sum() == suite.images_at(level) for d in draws)
        columns.append(np.mean(draws, axis=0) if whole else np.full(len(table), np.nan))
    return np.stack(columns, axis=1) if len(table) else np.full((suite.images, len(suite.levels)), np.nan)


def standings(frame: pd.DataFrame, suite: Suite, counts: Mapping[Place, Evaluations] | None = None) -> Standings:
    """The standings of a suite from its rows (as `load_results` gives them).

    Args:
        counts: of the applications of A and A^T, as `csbench.evaluations.counts` gives them.

    Raises:
        ResultsError: two methods were given different measurements of an image, so they cannot be compared.
    """
    _check_paired(frame, suite)
    frame = frame.filter(USED)  # copies of rows copy all columns
    grid = np.array(suite.m, dtype=float)
    weights = stats.resampling_weights(suite.images)
    groups = {str(name): group for name, group in frame.groupby("method")}
    names = sorted(groups)
    by_image = {name: errors_by_image(frame, suite, name) for name in names}
    means = {name: _mean(e) for name, e in by_image.items()}
    samples = {name: _resampled(e, weights) for name, e in by_image.items()}
    complete = [name for name in names if not np.isnan(means[name]).any()]
    order = sorted(complete, key=lambda name: stats.log_score(means[name]))
    p = stats.permutation_tests(np.stack([by_image[name] for name in order])) if order else np.ones((0, 0))
    ranks = stats.rank_intervals(np.array([stats.log_score(means[name]) for name in order]), p)
    ranks_of = dict(zip(order, ranks, strict=True))
    order.sort(key=lambda name: ranks_of[name][0])  # stable: the error decides within a rank
    best = {name: set() for name in names}
    for column, level in enumerate(suite.levels):
        for name in _best_at(column, means, samples):
            best[name].add(level)
    lassos = _best_lassos(suite, {name: means[name] for name in complete})
    lasso_mean = np.array([means[name][i] for i, name in enumerate(lassos.values())])
    lasso_samples = np.stack([samples[name][:, i] for i, name in enumerate(lassos.values())], 1) if lassos else None
    reference, reference_method = None, None
    if lassos and suite.axis == "m":
        reference_method = lassos[suite.reference_m]
        reference = float(lasso_mean[suite.m.index(suite.reference_m)])

    def score(name: str) -> Estimate | None:
        return (
            None if lasso_samples is None else _geometric_mean(means[name] / lasso_mean, samples[name] / lasso_samples)
        )

    def needed(name: str) -> Estimate | None:
        """Each resample of the images has its own error of the reference method to reach."""
        if lasso_samples is None or reference is None:
            return None
        goals = lasso_samples[:, suite.m.index(suite.reference_m)]
        low, high = stats.censored_interval(stats.measurements_to_reach(grid, samples[name], goals))
        return Estimate(float(stats.measurements_to_reach(grid, means[name], reference)), low, high)

    def savings(name: str) -> dict[int, Estimate]:
        if lasso_samples is None or suite.axis != "m":
            return {}
        return {m: _saving(grid, lasso_mean, lasso_samples, means[name], samples[name], m) for m in suite.m}

    known = entries("methods")
    rows = []
    for name in order + [name for name in names if name not in complete]:
        own = groups[name]
        low, high = stats.interval(samples[name])
        errors = {
            level: Estimate(means[name][i], low[i], high[i])
            for i, level in enumerate(suite.levels)
            if not np.isnan(means[name][i])
        }
        ok = own.loc[own["status"] == "ok"]
        statuses = own["status"].value_counts().to_dict()
        params = json.loads(own["params"].iloc[-1])
        learned_from = _learned_from(params, suite.dataset)
        rows.append(
            Standing(
                method=name,
                family=_family(known[name].module if name in known else "", learned_from),
                ranks=ranks_of.get(name),
                score=score(name) if name in complete else None,
                mean_error=_geometric_mean(means[name], samples[name]) if name in complete else None,
                errors=errors,
                best=frozenset(best[name]),
                savings=savings(name) if name in complete else {},
                marks=_marks(own, suite),
                learned_from=learned_from,
                prior=params.get("prior"),
                needed=needed(name) if name in complete else None,
                cpu_seconds_per_image=_cpu_seconds(ok),
                generator_evaluations=_mean_of(ok, "diag_generator_evaluations"),
                operator_evaluations=_counted(own, suite, counts or {}),
                missing=len(suite.levels) * suite.draws - len(set(zip(own[suite.axis], own["draw"], strict=True))),
                failed={s: n for s, n in sorted(statuses.items()) if s not in ("ok", "not_applicable")},
                not_applicable=set(statuses) == {"not_applicable"},
                not_converged=int((ok["diag_converged"].to_numpy() == 0).sum()) if "diag_converged" in ok else 0,
                images=len(own),
                revisions=_revisions(own),
            )
        )
    return Standings(suite, tuple(rows), lassos, reference, reference_method)


def metric_curves(frame: pd.DataFrame, suite: Suite, metric: str) -> dict[str, dict[float, Estimate]]:
    """Method to level to the mean of a metric over images and draws, with its interval; only of complete levels.

    Args:
        metric: one of `csbench.store.METRICS`.
    """
    weights = stats.resampling_weights(suite.images)
    curves = {}
    for name in sorted(set(frame["method"])):
        values = errors_by_image(frame, suite, name, metric)
        mean, (low, high) = _mean(values), stats.interval(_resampled(values, weights))
        curves[name] = {
            level: Estimate(float(mean[i]), float(low[i]), float(high[i]))
            for i, level in enumerate(suite.levels)
            if not np.isnan(mean[i])
        }
    return curves


def saving(frame: pd.DataFrame, suite: Suite, method: str, against: str, at: int) -> tuple[float, Estimate]:
    """How many times fewer measurements `method` needs than `against` for the error that it reaches at m = `at`.

    Returns:
        the error, and m*(against) / at with its interval; the interval resamples images for both methods together and
        takes the error of the resample. Infinite where `against` never gets there.

    Raises:
        ResultsError: one of the two has holes.
        UsageError: the suite is over the noise.
    """
    if suite.axis != "m":
        raise UsageError(f"{suite.name} is over the noise at one m, so it cannot tell how many measurements are saved")
    grid = np.array(suite.m, dtype=float)
    weights = stats.resampling_weights(suite.images)
    ours, theirs = (errors_by_image(frame, suite, name) for name in (method, against))
    for name, errors in ((method, ours), (against, theirs)):
        if len(errors) != suite.images or np.isnan(_mean(errors)).any():
            raise ResultsError(f"{name} has holes on {suite.name}; run `csbench run {suite.name} --methods {name}`")
    column = suite.m.index(at)

    samples = [_resampled(errors, weights) for errors in (theirs, ours)]
    return float(_mean(ours)[column]), _saving(grid, _mean(theirs), samples[0], _mean(ours), samples[1], at)


def ratios(frame: pd.DataFrame, suite: Suite, method: str, against: str) -> dict[float, Estimate]:
    """The error of a method over that of another, at each level where both are complete; resamples are of both."""
    weights = stats.resampling_weights(suite.images)
    ours, theirs = (errors_by_image(frame, suite, name) for name in (method, against))
    means = _mean(ours) / _mean(theirs)
    low, high = stats.interval(_resampled(ours, weights) / _resampled(theirs, weights))
    return {
        level: Estimate(means[i], low[i], high[i]) for i, level in enumerate(suite.levels) if not np.isnan(means[i])
    }


def _learned_from(fields: dict[str, Any], dataset: str) -> str | None:
    """Weights are called USE-MEASUREMENT-DATASET where they come from measurements, and FAMILY-DATASET elsewhere.

    A method without weights that has a field `dataset` looks at the training images themselves.
    """
    prior = fields.get("prior")
    if not prior:
        return "clean images" if fields.get("dataset") else None
    use, _, rest = str(prior).partition("-")
    if use not in ("ambient", "ignore", "unmeasure"):
        return "nothing" if use == "random" else "clean images"
    return f"{rest.removesuffix(f'-{dataset}')} ({use})"


def _family(module: str, learned_from: str | None) -> str:
    """What kind of method it is, by its module and by what its prior was learned from."""
    stem = module.rpartition(".")[2]
    if stem in FAMILIES:
        return FAMILIES[stem]
    if learned_from and learned_from.endswith(")"):
        return "ambient-trained"
    if stem.startswith("csgm"):
        return "generative"
    return "learned" if learned_from else "untrained"


def _marks(own: pd.DataFrame, suite: Suite) -> dict[float, tuple[str, ...]]:
    """Level to what is to be said of a method's rows there.

    Rows that are not of the revision of the code that most rows of the method at that level of noise are of are stale.
    """
    levels, noise = own[suite.axis].to_numpy(), own["noise_norm"].to_numpy()
    status = own["status"].to_numpy(dtype=object)
    revision = pd.factorize(own["made_by"])[0]
    stale = np.zeros(len(own), dtype=bool)
    for one in np.unique(noise):
        here = noise == one
        stale[here] = revision[here] != np.bincount(revision[here]).argmax()
    flagged = own["diag_converged"].to_numpy() == 0 if "diag_converged" in own else np.zeros(len(own), dtype=bool)
    marks = {}
    for level in suite.levels:
        here = levels == level
        found = {STATUS_MARKS.get(one) for one in set(status[here])}
        found.add("not run" if here.sum() < suite.images_at(level) * suite.draws else None)
        found.add("not converged" if flagged[here].any() else None)
        found.add("stale" if stale[here].any() else None)
        if said := tuple(mark for mark in MARKS if mark in found):
            marks[level] = said
    return marks


def _mean_of(rows: pd.DataFrame, column: str) -> float | None:
    values = rows[column].to_numpy(dtype=float) if column in rows else np.empty(0)
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _counted(rows: pd.DataFrame, suite: Suite, counts: Mapping[Place, Evaluations]) -> dict[float, Evaluations]:
    places = rows[["method", "m", "noise_norm", "made_by"]].drop_duplicates()
    found = {}
    for method, m, noise_norm, made_by in places.itertuples(index=False, name=None):
        if one := counts.get((str(method), int(m), float(noise_norm), str(made_by))):
            found[float(m if suite.axis == "m" else noise_norm)] = one
    return found


def _revisions(rows: pd.DataFrame) -> int:
    """Different fingerprints at one level of noise, for parameters may depend on the noise."""
    return max(rows.groupby("noise_norm")["made_by"].nunique().tolist())


def _cpu_seconds(rows: pd.DataFrame) -> float:
    """Of the processor, for they depend less than those on the wall on what else the machine did."""
    if not len(rows):
        return math.nan
    return float((rows["cell_cpu_seconds"] / rows["batch_size"]).to_numpy().mean())


def _mean(errors: np.ndarray) -> np.ndarray:
    """The curve of all images, shape [levels]."""
    return stats.weighted_means(np.ones((1, len(errors))), errors)[0]


def _resampled(errors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The curve of each resample of the images, shape [resamples, levels]; NaN where a column is not complete."""
    if len(errors) != weights.shape[1]:
        return np.full((len(weights), errors.shape[1]), np.nan)
    return stats.weighted_means(weights, errors)


def _best_at(column: int, means: dict[str, np.ndarray], samples: dict[str, np.ndarray]) -> list[str]:
    """The method with the smallest error at one level, and those that cannot be told apart from it."""
    complete = [name for name, mean in means.items() if not np.isnan(mean[column])]
    if not complete:
        return []
    first = min(complete, key=lambda name: means[name][column])
    difference = {name: samples[name][:, column] - samples[first][:, column] for name in complete}
    return [name for name in complete if name == first or stats.includes_zero(difference[name])]


def _geometric_mean(mean: np.ndarray, samples: np.ndarray) -> Estimate:
    low, high = stats.interval(10 ** stats.log_score(samples))
    return Estimate(float(10 ** stats.log_score(mean)), float(low), float(high))


def _best_lassos(suite: Suite, means: dict[str, np.ndarray]) -> dict[float, str]:
    """Level to the complete Lasso with the smallest error there."""
    lassos = {name: mean for name, mean in means.items() if name.startswith("lasso")}
    if not lassos:
        return {}
    return {level: min(lassos, key=lambda name: lassos[name][i]) for i, level in enumerate(suite.levels)}


def _saving(
    grid: np.ndarray, other: np.ndarray, other_samples: np.ndarray, own: np.ndarray, own_samples: np.ndarray, m: int
) -> Estimate:
    """How many times as many measurements the other curve needs for the own error at m."""
    column = list(grid).index(m)
    low, high = stats.censored_interval(stats.measurements_to_reach(grid, other_samples, own_samples[:, column]) / m)
    return Estimate(float(stats.measurements_to_reach(grid, other, own[column])) / m, low, high)
