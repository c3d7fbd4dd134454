"""The numbers behind a leaderboard: errors with intervals, ranks with ties, measurements needed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from csbench import stats
from csbench.errors import ResultsError, UsageError
from csbench.suites import Suite


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
        rank: 1 for the best; methods that cannot be told apart from the best of their group share its rank. None for a
            method with holes, which is never ranked by the rest of its cells.
        score: geometric mean over the suite's levels (of m, or of the noise) of the error, which ranks; None for a
            method with holes.
        errors: level to the mean squared error over images and draws; only of complete levels.
        best: the levels at which the method is the best or cannot be told apart from it.
        learned_from: what the method's prior was trained on; None where it has no prior.
        needed: measurements to reach `Standings.reference_error`; infinite where it never does.
        missing: cells that have not been run.
        failed: images by status other than ok, without those that do not apply.
        not_converged: images that are flagged.
    """

    method: str
    rank: int | None
    score: Estimate | None
    errors: dict[float, Estimate]
    best: frozenset[float]
    learned_from: str | None
    needed: Estimate | None
    cpu_seconds_per_image: float
    missing: int
    failed: dict[str, int]
    not_applicable: bool
    not_converged: int
    images: int
    revisions: int


@dataclass(frozen=True)
class Standings:
    """All methods on one suite, best first.

    Attributes:
        reference_error: the smallest error of a Lasso at `suite.reference_m`; None where no Lasso is complete, or where
            the suite is over the noise.
    """

    suite: Suite
    rows: tuple[Standing, ...]
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


def errors_by_image(frame: pd.DataFrame, suite: Suite, method: str) -> np.ndarray:
    """Mean over draws of the squared error, shape [images, len(suite.levels)].

    NaN in the columns that are not complete, and for images that the suite does not ask for at a level.
    """
    rows = frame.loc[(frame["method"] == method) & (frame["status"] == "ok")]
    table = rows.pivot_table(index="image", columns=[suite.axis, "draw"], values="mse", observed=True)
    columns = []
    for level in suite.levels:
        draws = [table[(level, d)] for d in range(suite.draws) if (level, d) in table.columns]
        whole = len(draws) == suite.draws and all(d.notna().sum() == suite.images_at(level) for d in draws)
        columns.append(np.mean(draws, axis=0) if whole else np.full(len(table), np.nan))
    return np.stack(columns, axis=1) if len(table) else np.full((suite.images, len(suite.levels)), np.nan)


def standings(frame: pd.DataFrame, suite: Suite) -> Standings:
    """The standings of a suite from its rows (as `load_results` gives them).

    Raises:
        ResultsError: two methods were given different measurements of an image, so they cannot be compared.
    """
    _check_paired(frame, suite)
    grid = np.array(suite.m, dtype=float)
    weights = stats.resampling_weights(suite.images)
    groups = {str(name): group for name, group in frame.groupby("method")}
    names = sorted(groups)
    by_image = {name: errors_by_image(frame, suite, name) for name in names}
    means = {name: _mean(e) for name, e in by_image.items()}
    samples = {name: _resampled(e, weights) for name, e in by_image.items()}
    complete = [name for name in names if not np.isnan(means[name]).any()]
    order = sorted(complete, key=lambda name: stats.log_score(means[name]))

    ranks = _ranks({name: stats.log_score(samples[name]) for name in order})
    best = {name: set() for name in names}
    for column, level in enumerate(suite.levels):
        for name in _best_at(column, means, samples):
            best[name].add(level)
    reference, reference_method = _reference(suite, means)

    def needed(name: str) -> Estimate | None:
        """Each resample of the images has its own error of the reference method to reach."""
        if reference is None or reference_method is None:
            return None
        goals = samples[reference_method][:, suite.m.index(suite.reference_m)]
        low, high = stats.censored_interval(stats.measurements_to_reach(grid, samples[name], goals))
        return Estimate(float(stats.measurements_to_reach(grid, means[name], reference)), low, high)

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
        counts = own["status"].value_counts().to_dict()
        rows.append(
            Standing(
                method=name,
                rank=ranks.get(name),
                score=_score(means[name], samples[name]) if name in complete else None,
                errors=errors,
                best=frozenset(best[name]),
                learned_from=_learned_from(own["params"].iloc[-1], suite.dataset),
                needed=needed(name) if name in complete else None,
                cpu_seconds_per_image=_cpu_seconds(ok),
                missing=len(suite.levels) * suite.draws - len(set(zip(own[suite.axis], own["draw"], strict=True))),
                failed={s: n for s, n in sorted(counts.items()) if s not in ("ok", "not_applicable")},
                not_applicable=set(counts) == {"not_applicable"},
                not_converged=int((ok["diag_converged"].to_numpy() == 0).sum()) if "diag_converged" in ok else 0,
                images=len(own),
                revisions=_revisions(own),
            )
        )
    return Standings(suite, tuple(rows), reference, reference_method)


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

    def factor(own: np.ndarray, other: np.ndarray) -> np.ndarray:
        return stats.measurements_to_reach(grid, other, own[..., column]) / at

    low, high = stats.censored_interval(factor(*(stats.weighted_means(weights, e) for e in (ours, theirs))))
    return float(_mean(ours)[column]), Estimate(float(factor(_mean(ours), _mean(theirs))), low, high)


def ratios(frame: pd.DataFrame, suite: Suite, method: str, against: str) -> dict[float, Estimate]:
    """The error of a method over that of another, at each level where both are complete; resamples are of both."""
    weights = stats.resampling_weights(suite.images)
    ours, theirs = (errors_by_image(frame, suite, name) for name in (method, against))
    means = _mean(ours) / _mean(theirs)
    low, high = stats.interval(_resampled(ours, weights) / _resampled(theirs, weights))
    return {
        level: Estimate(means[i], low[i], high[i]) for i, level in enumerate(suite.levels) if not np.isnan(means[i])
    }


def _learned_from(params: str, dataset: str) -> str | None:
    """Weights are called USE-MEASUREMENT-DATASET where they come from measurements, and FAMILY-DATASET elsewhere.

    A method without weights that has a field `dataset` looks at the training images themselves.
    """
    fields = json.loads(params)
    prior = fields.get("prior")
    if not prior:
        return "clean images" if fields.get("dataset") else None
    use, _, rest = str(prior).partition("-")
    if use not in ("ambient", "ignore", "unmeasure"):
        return "nothing" if use == "random" else "clean images"
    return f"{rest.removesuffix(f'-{dataset}')} ({use})"


def _revisions(rows: pd.DataFrame) -> int:
    """Different fingerprints at one level of noise, for parameters may depend on the noise."""
    return max(rows.groupby("noise_norm")["fingerprint"].nunique().tolist())


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


def _ranks(scores: dict[str, np.ndarray]) -> dict[str, int]:
    """Ranks of methods in order, best first; who cannot be told apart from the leader of a group shares its rank."""
    ranks: dict[str, int] = {}
    leader = ""
    for position, (name, samples) in enumerate(scores.items(), start=1):
        if leader and stats.includes_zero(samples - scores[leader]):
            ranks[name] = ranks[leader]
        else:
            ranks[name], leader = position, name
    return ranks


def _best_at(column: int, means: dict[str, np.ndarray], samples: dict[str, np.ndarray]) -> list[str]:
    """The method with the smallest error at one level, and those that cannot be told apart from it."""
    complete = [name for name, mean in means.items() if not np.isnan(mean[column])]
    if not complete:
        return []
    first = min(complete, key=lambda name: means[name][column])
    difference = {name: samples[name][:, column] - samples[first][:, column] for name in complete}
    return [name for name in complete if name == first or stats.includes_zero(difference[name])]


def _score(mean: np.ndarray, samples: np.ndarray) -> Estimate:
    low, high = stats.interval(10 ** stats.log_score(samples))
    return Estimate(float(10 ** stats.log_score(mean)), float(low), float(high))


def _reference(suite: Suite, means: dict[str, np.ndarray]) -> tuple[float | None, str | None]:
    if suite.axis != "m" or suite.reference_m not in suite.m:
        return None, None
    column = suite.m.index(suite.reference_m)
    lassos = {n: e[column] for n, e in means.items() if n.startswith("lasso")}
    lassos = {n: e for n, e in lassos.items() if not np.isnan(e)}
    if not lassos:
        return None, None
    name = min(lassos, key=lambda n: lassos[n])
    return float(lassos[name]), name
