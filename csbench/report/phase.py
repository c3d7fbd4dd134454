"""Phase transitions: up to which sparsity a method recovers signals exactly, and where theory puts it for l1.

The share of k-sparse signals that are recovered from m measurements falls from one to zero as k grows. A logistic curve
is fitted to it for each m, and its middle, k50, is the 50% contour in the plane of delta = m / n and rho = k / m
(Donoho and Tanner 2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import root_scalar
from scipy.special import expit, ndtr

from csbench.catalogue.registry import get_dataset
from csbench.catalogue.suites import Suite
from csbench.core.errors import UsageError
from csbench.report import statistics as stats
from csbench.report.curves import COLOURS, MARKERS
from csbench.report.style import STYLES, check_format, save

RECOVERED = 1e-2  # relative error in l2 up to which a signal counts as recovered
RIDGE = 1e-2  # on slopes for k / 100, so that a transition between two neighbouring k has one too
NEWTON_STEPS = 50


@dataclass(frozen=True)
class Contour:
    """The 50% contour of a method.

    Attributes:
        n: length of the signals.
        k50: m to the sparsity at which half of the signals are recovered, with its 95% interval (value, low, high).
    """

    method: str
    n: int
    k50: dict[int, tuple[float, float, float]]


def contours(frame: pd.DataFrame, suite: Suite) -> list[Contour]:
    """The contour of every method in the rows of a suite, those that recover most first.

    Intervals are of 2,000 samples of successes from the fitted curves.

    Raises:
        UsageError: the suite's dataset does not know the sparsity of its signals.
    """
    dataset = get_dataset(suite.dataset)
    if suite.dataset != "sparse":
        raise UsageError(
            f"suite {suite.name} is on {suite.dataset}, not on signals of known sparsity; see sparse-phase"
        )
    signals = dataset.images("test")
    sparsity = pd.Series(signals.labels, index=signals.ids)
    found = []
    for method, rows in frame[frame["status"] == "ok"].groupby("method"):
        k50 = {}
        for m, part in rows.groupby("m"):
            k = np.asarray(sparsity[part["image"]])
            recovered = np.asarray(part["relative_l2"] <= RECOVERED)
            k50[m] = middle(*_counts(k, recovered))
        found.append(Contour(str(method), dataset.n, k50))
    return sorted(found, key=lambda contour: -sum(value for value, _, _ in contour.k50.values()))


def _counts(k: np.ndarray, recovered: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different k, how many signals there are of each, and how many of these were recovered."""
    different, position = np.unique(k, return_inverse=True)
    return different, np.bincount(position), np.bincount(position, weights=recovered)


def middle(k: np.ndarray, trials: np.ndarray, successes: np.ndarray) -> tuple[float, float, float]:
    """k50 of a logistic curve through the shares of successes, with its 95% interval by a parametric bootstrap.

    Args:
        k, trials, successes: shape [different k], k increasing.

    Returns:
        value, low and high: 0, 0 and the least k where next to nothing was recovered, so that the curve's middle is
        below zero; infinity, the largest k and infinity where all was.
    """
    if not successes.any():
        return 0.0, 0.0, float(k[0])
    if (successes == trials).all():
        return math.inf, float(k[-1]), math.inf
    slope, offset = _fit(k, trials, successes[None])
    value = float(np.clip(-100 * offset[0] / slope[0], 0, k[-1]))
    if value == 0:
        return 0.0, 0.0, float(k[0])
    rng = np.random.default_rng(stats.SEED)
    sampled = rng.binomial(trials, expit(slope * k / 100 + offset), (stats.RESAMPLES, len(k)))
    slopes, offsets = _fit(k, trials, sampled)
    low, high = stats.interval(np.where(sampled.any(1), np.clip(-100 * offsets / slopes, 0, k[-1]), 0))
    return value, min(float(low), value), max(float(high), value)


def _fit(k: np.ndarray, trials: np.ndarray, successes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and offsets of logistic curves in k / 100 by Newton's method, with a small ridge on the slope.

    Args:
        successes: shape [fits, different k].
    """
    x = k / 100
    half = np.maximum(successes, 0).sum(1) / trials.mean() * np.diff(x, prepend=0).mean()  # first guess of the middle
    slope = np.full(len(successes), -20.0)
    offset = -slope * half
    for _ in range(NEWTON_STEPS):
        p = expit(slope[:, None] * x + offset[:, None])
        miss, weight = successes - trials * p, trials * p * (1 - p)
        g_slope, g_offset = miss @ x - RIDGE * slope, miss.sum(1)
        h_ss, h_so, h_oo = weight @ x**2 + RIDGE, weight @ x, weight.sum(1) + 1e-9
        determinant = h_ss * h_oo - h_so**2
        d_slope = (h_oo * g_slope - h_so * g_offset) / determinant
        d_offset = (h_ss * g_offset - h_so * g_slope) / determinant
        damping = np.minimum(1, 5 / (np.abs(d_slope) + np.abs(d_offset) + 1e-300))
        slope, offset = slope + damping * d_slope, offset + damping * d_offset
    return slope, offset


def l1_transition(delta: float) -> float:
    """rho = k / m up to which minimising the l1 norm recovers nearly all k-sparse signals, as n grows.

    The weak threshold of the cross-polytope (Donoho and Tanner 2009), by the statistical dimension of the descent cone
    of the l1 norm (Amelunxen, Lotz, McCoy, Tropp 2014, proposition 4.5).

    Args:
        delta: m / n, between 0 and 1.
    """
    return root_scalar(lambda share: _l1_dimension(share) - delta, bracket=(1e-9, delta)).root / delta


def _l1_dimension(share: float) -> float:
    """Statistical dimension over n of the descent cone of the l1 norm, where this share of the entries is not zero."""

    def tail(tau: float) -> tuple[float, float]:
        """E (|g| - tau)_+ and E (|g| - tau)_+^2 of a standard normal g."""
        density, above = np.exp(-(tau**2) / 2) / np.sqrt(2 * np.pi), ndtr(-tau)
        return 2 * (density - tau * above), 2 * ((1 + tau**2) * above - tau * density)

    tau = root_scalar(lambda t: share * t - (1 - share) * tail(t)[0], bracket=(0, 40)).root
    return share * (1 + tau**2) + (1 - share) * tail(tau)[1]


def table(found: list[Contour], suite: Suite) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of rho = k50 / m, one line for each m."""
    rows = []
    for m in suite.m:
        n = found[0].n
        cells = [f"{m}", f"{m / n:.2f}", f"{l1_transition(m / n):.3f}"]
        for contour in found:
            cells.append(" ".join(_interval(contour.k50[m], m)) if m in contour.k50 else "-")
        rows.append(cells)
    return ["m", "m / n", "theory of l1", *(contour.method for contour in found)], rows


def _interval(k50: tuple[float, float, float], m: int) -> tuple[str, str]:
    value, low, high = (k / m for k in k50)
    return f"{value:.3f}", f"[{low:.3f}, {high:.3f}]"


def plot(found: list[Contour], path: Path) -> None:
    """Write the contours and the theory's curve as SVG, PNG or PDF.

    Raises:
        UsageError: an unknown format.
    """
    check_format(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure  # not pyplot, which takes a quarter of a second to import

    with mpl.rc_context(STYLES["screen"].settings()):
        figure = Figure(figsize=(5.2, 4.2), layout="constrained")
        axes: Any = figure.subplots()
        deltas = np.linspace(0.02, 0.98, 97)
        axes.plot(deltas, [l1_transition(d) for d in deltas], color="black", lw=1, label="theory of l1")
        for i, contour in enumerate(found):
            m = np.array(list(contour.k50))
            value, low, high = np.array(list(contour.k50.values())).T / m
            axes.errorbar(
                m / contour.n, value, (value - low, high - value), color=COLOURS[i % len(COLOURS)],
                marker=MARKERS[i % len(MARKERS)], ms=4, lw=1, capsize=2, label=contour.method,
            )  # fmt: skip
        axes.set(xlabel="m / n", ylabel="k / m at which half of the signals are recovered", xlim=(0, 1), ylim=(0, None))
        axes.grid(alpha=0.3, lw=0.5)
        axes.legend(frameon=False)
        save(figure, path)
