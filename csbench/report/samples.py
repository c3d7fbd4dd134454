"""A method's curve over the levels of a suite: of each image, of all images, and of resampled ones.

Every figure on a leaderboard, in a picture or on a page is computed from these, once for each suite and metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from csbench.catalogue.suites import Suite
from csbench.report import statistics as stats


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Samples:
    """A metric of one method on a suite, NaN at levels that are not complete; all methods share the resamples.

    Attributes:
        by_image: mean over draws, shape [images, levels]; NaN also for images that the suite does not ask for there.
        mean: over the images, shape [levels].
        resampled: the mean over each resample of the images, shape [resamples, levels].
    """

    levels: tuple[float, ...]
    by_image: np.ndarray
    mean: np.ndarray
    resampled: np.ndarray

    @property
    def complete(self) -> bool:
        """Whether every level is."""
        return not np.isnan(self.mean).any()

    def estimates(self) -> dict[float, Estimate]:
        """Level to the mean with its interval; only of complete levels."""
        with np.errstate(invalid="ignore"):  # the PSNR of an image that is exact is infinite
            low, high = stats.interval(self.resampled)
        return {
            level: Estimate(float(self.mean[i]), float(low[i]), float(high[i]))
            for i, level in enumerate(self.levels)
            if not np.isnan(self.mean[i])
        }


def samples(frame: pd.DataFrame, suite: Suite, metric: str = "mse") -> dict[str, Samples]:
    """Method, by name, to its samples.

    Args:
        frame: rows as `load_results` gives them.
        metric: one of `csbench.results.store.METRICS`.
    """
    names = sorted(set(map(str, frame["method"])))
    level = pd.Index(suite.levels).get_indexer(frame[suite.axis].to_numpy())
    chosen = (frame["status"] == "ok") & (level >= 0) & (frame["draw"] < suite.draws)
    rows = frame.filter(["method", "draw", "image", metric]).assign(level=level).loc[chosen]
    weights = stats.resampling_weights(suite.images)
    found = {}
    for name in names:
        by_image = _by_image(rows.loc[rows["method"] == name], suite, metric)
        mean = stats.weighted_means(np.ones((1, len(by_image))), by_image)[0]
        if len(by_image) == suite.images:
            resampled = stats.weighted_means(weights, by_image)
        else:
            resampled = np.full((len(weights), len(suite.levels)), np.nan)
        found[name] = Samples(suite.levels, by_image, mean, resampled)
    return found


def _by_image(rows: pd.DataFrame, suite: Suite, metric: str) -> np.ndarray:
    """Means over draws, shape [images, levels], NaN in the columns that are not complete."""
    images, place = np.unique(rows["image"].to_numpy(), return_inverse=True)
    table = np.full((suite.draws, max(len(images), 1), len(suite.levels)), np.nan)
    table[rows["draw"].to_numpy(), place, rows["level"].to_numpy()] = rows[metric].to_numpy()
    expected = np.array([suite.images_at(level) for level in suite.levels])
    whole = ((~np.isnan(table)).sum(1) == expected).all(0)
    return np.where(whole, table.mean(0), np.nan)


def stitched(errors: Mapping[str, Samples], chosen: Mapping[float, str]) -> Samples:
    """A curve that at each level is that of the method chosen there."""
    parts = [(errors[name], i) for i, name in enumerate(chosen.values())]
    return Samples(
        tuple(chosen),
        np.stack([one.by_image[:, i] for one, i in parts], 1),
        np.array([one.mean[i] for one, i in parts]),
        np.stack([one.resampled[:, i] for one, i in parts], 1),
    )
