"""Intervals and comparisons over images: cluster bootstrap, paired differences, measurement complexity.

Errors of one image under several draws of the operator are not independent, so images are what is resampled. All
methods share the resamples, which makes every comparison paired.
"""

from __future__ import annotations

import numpy as np

RESAMPLES = 2000
SEED = 20170309
FLOOR = 1e-12  # an error of exactly zero has no logarithm


def resampling_weights(clusters: int) -> np.ndarray:
    """Weights of a bootstrap over clusters, shape [resamples, clusters], rows summing to one; always the same."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=RESAMPLES) / clusters


def weighted_means(weights: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Curves of weighted images, shape [resamples, images] and [images, len(m)] -> [resamples, len(m)].

    An image without an error at some m (NaN) has no weight there; where no image has one, the mean is NaN.
    """
    present = ~np.isnan(errors)
    total = weights @ present
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, weights @ np.where(present, errors, 0.0) / total, np.nan)


def interval(samples: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval over the first axis."""
    tail = (1 - level) / 2
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
    return low, high


def censored_interval(samples: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of samples that may be infinite; its ends are samples, nothing is interpolated."""
    tail = (1 - level) / 2
    low, high = np.quantile(samples, [tail, 1 - tail], method="nearest")
    return float(low), float(high)


def includes_zero(samples: np.ndarray) -> np.ndarray:
    """Whether the 95% interval of a difference holds zero: the two cannot be told apart."""
    low, high = interval(samples)
    return (low <= 0) & (high >= 0)


def log_score(curves: np.ndarray) -> np.ndarray:
    """Mean over m of log10 error, shape [..., len(m)] -> [...]; ten to its power is the geometric mean error."""
    return np.log10(np.maximum(curves, FLOOR)).mean(-1)


def measurements_to_reach(m: np.ndarray, curve: np.ndarray, error: float) -> float:
    """The fewest measurements at which a curve reaches an error: m*(e).

    The curve is made monotone by its running minimum and interpolated linearly in log m and log error.

    Args:
        m: increasing, shape [points].
        curve: errors at m, shape [points].
        error: positive.

    Returns:
        m*, `m[0]` where the first point is already there (so it is an upper bound), or infinity where no point is.
    """
    log_error = np.log(np.maximum(np.minimum.accumulate(curve), FLOOR))
    target = np.log(max(error, FLOOR))
    reached = np.flatnonzero(log_error <= target)
    if len(reached) == 0:
        return float("inf")
    i = int(reached[0])
    if i == 0:
        return float(m[0])
    share = (log_error[i - 1] - target) / (log_error[i - 1] - log_error[i])
    return float(np.exp(np.log(m[i - 1]) + share * (np.log(m[i]) - np.log(m[i - 1]))))
