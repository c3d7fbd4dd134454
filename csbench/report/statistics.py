"""Intervals and comparisons over images: cluster bootstrap, paired differences, measurement complexity.

Errors of one image under several draws of the operator are not independent, so images are what is resampled. All
methods share the resamples, which makes every comparison paired.
"""

from __future__ import annotations

import itertools

import numpy as np

RESAMPLES = 2000
SEED = 20170309
FLOOR = 1e-12  # an error of exactly zero has no logarithm
SIGNIFICANCE = 0.05


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


def permutation_tests(errors: np.ndarray) -> np.ndarray:
    """Paired permutation tests between all methods: p-values of the differences of their `log_score`s.

    If two methods were alike, it would not matter which of an image's two curves is whose (Fisher 1935, section 21). So
    curves are swapped in random sets of images, and p is the share of swaps, the observed one among them, whose
    difference is as large as the observed one. There are as many swaps as the correction for all pairs asks for.

    Args:
        errors: shape [methods, images, levels]; an image without an error at a level (NaN) has none of any method.

    Returns:
        p-values, two-sided, shape [methods, methods], symmetric, with ones on the diagonal.
    """
    methods, images, _ = errors.shape
    pairs = methods * (methods - 1) // 2
    rng = np.random.default_rng(SEED)
    signs = rng.choice(np.array([-1, 1], dtype=np.float32), size=(1999 + 30 * pairs, images))
    count = (~np.isnan(errors[0])).sum(0) if methods else 0
    filled = np.nan_to_num(errors)
    means = np.maximum(filled.sum(1) / count, FLOOR)  # [methods, levels]
    swapped = (signs @ (filled / count).astype(np.float32)).transpose(0, 2, 1).copy() / 2  # [methods, levels, swaps]
    p = np.ones((methods, methods))
    for i, j in itertools.combinations(range(methods), 2):
        half = swapped[i] - swapped[j]
        centre = ((means[i] + means[j]) / 2).astype(np.float32)[:, None]
        # the ratio of geometric means as a product: a logarithm of each entry would take most of the time
        with np.errstate(over="ignore"):
            ratio = (np.maximum(centre + half, FLOOR) / np.maximum(centre - half, FLOOR)).prod(0)
        observed = (means[i] / means[j]).prod()
        extreme = max(observed, 1 / observed) * (1 - 1e-4)  # what is as large up to rounding is as large
        as_large = np.count_nonzero((ratio >= extreme) | (ratio <= 1 / extreme))
        p[i, j] = p[j, i] = (1 + as_large) / (1 + len(signs))
    return p


def holm(p: np.ndarray) -> np.ndarray:
    """p-values of several tests, shape [tests], adjusted for their number: below alpha, the chance that any of them is
    wrong is below alpha (Holm 1979).
    """
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(steps)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def rank_intervals(scores: np.ndarray, p: np.ndarray) -> list[tuple[int, int]]:
    """The first and the last rank that each method may have.

    Args:
        scores: shape [methods], less is better.
        p: of their differences, shape [methods, methods], before Holm's correction.

    Returns:
        one more than the number of methods that are better beyond chance, and the number of methods less those that are
        worse beyond chance. Methods that cannot be told apart from the first all begin at 1.
    """
    upper = np.triu_indices(len(scores), 1)
    told_apart = np.zeros_like(p, dtype=bool)
    told_apart[upper] = holm(p[upper]) < SIGNIFICANCE
    told_apart |= told_apart.T
    worse = told_apart & (scores[:, None] > scores)  # of the row than that of the column
    return [(1 + int(lost), len(scores) - int(won)) for lost, won in zip(worse.sum(1), worse.sum(0), strict=True)]


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
