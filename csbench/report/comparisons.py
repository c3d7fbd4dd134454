"""Two methods, compared over the same resamples of the images: ratios of errors, measurements needed and saved."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from csbench.catalogue.suites import Suite
from csbench.core.errors import ResultsError, UsageError
from csbench.report import statistics as stats
from csbench.report.samples import Estimate, Samples


def ratios(ours: Samples, theirs: Samples) -> dict[float, Estimate]:
    """The error of a method over that of another, at each level where both are complete."""
    value = ours.mean / theirs.mean
    low, high = stats.interval(ours.resampled / theirs.resampled)
    return {
        level: Estimate(float(value[i]), float(low[i]), float(high[i]))
        for i, level in enumerate(ours.levels)
        if not np.isnan(value[i])
    }


def score(ours: Samples, theirs: Samples) -> Estimate:
    """The geometric mean over the levels of the ratio of the errors."""
    return _geometric_mean(ours.mean / theirs.mean, ours.resampled / theirs.resampled)


def mean_error(ours: Samples) -> Estimate:
    """The geometric mean over the levels of the error."""
    return _geometric_mean(ours.mean, ours.resampled)


def needed(ours: Samples, theirs: Samples, m: int) -> Estimate:
    """The measurements that a method needs for the error of another at m, which is each resample's own."""
    grid, column = np.array(ours.levels), theirs.levels.index(m)
    reached = stats.measurements_to_reach(grid, ours.resampled, theirs.resampled[:, column])
    low, high = stats.censored_interval(reached)
    return Estimate(float(stats.measurements_to_reach(grid, ours.mean, theirs.mean[column])), low, high)


def saving(ours: Samples, theirs: Samples, m: int) -> Estimate:
    """How many times as many measurements the other method needs for the own error at m; infinite where it never
    gets there.
    """
    grid, column = np.array(theirs.levels), ours.levels.index(m)
    reached = stats.measurements_to_reach(grid, theirs.resampled, ours.resampled[:, column])
    low, high = stats.censored_interval(reached / m)
    return Estimate(float(stats.measurements_to_reach(grid, theirs.mean, ours.mean[column])) / m, low, high)


def check_saving(errors: Mapping[str, Samples], suite: Suite, *methods: str) -> None:
    """That savings between these methods can be told.

    Raises:
        ResultsError: one of them has holes.
        UsageError: the suite is over the noise.
    """
    if suite.axis != "m":
        raise UsageError(f"{suite.name} is over the noise at one m, so it cannot tell how many measurements are saved")
    for name in methods:
        if not errors[name].complete:
            raise ResultsError(f"{name} has holes on {suite.name}; run `csbench run {suite.name} --methods {name}`")


def _geometric_mean(mean: np.ndarray, resampled: np.ndarray) -> Estimate:
    low, high = stats.interval(10 ** stats.log_score(resampled))
    return Estimate(float(10 ** stats.log_score(mean)), float(low), float(high))
