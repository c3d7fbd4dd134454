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


def measurements_to_reach(m: np.ndarray, curves: np.ndarray, errors: np.ndarray | float) -> np.ndarray:
    """The fewest measurements at which a curve reaches an error: m*(e).

    A curve is made monotone by its running minimum and interpolated linearly in log m and log error.

    Args:
        m: increasing, shape [points].
        curves: errors at m, shape [..., points].
        errors: positive, one for each curve, shape [...].

    Returns:
        m*, shape [...]: `m[0]` where the first point is already there (so it is an upper bound), or infinity where no
        point is.
    """
    log_m, log_error = np.log(m), np.log(np.maximum(np.minimum.accumulate(curves, axis=-1), FLOOR))
    target = np.log(np.maximum(errors, FLOOR))
    reached = log_error <= target[..., None]
    after = np.argmax(reached, axis=-1)  # the first point that is there
    before = np.maximum(after - 1, 0)
    high, low = (np.take_along_axis(log_error, i[..., None], -1)[..., 0] for i in (before, after))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (high - target) / (high - low)
        between = np.exp(log_m[before] + share * (log_m[after] - log_m[before]))
    return np.where(reached.any(-1), np.where(after == 0, m[0], between), np.inf)
