"""Trained priors side by side: a table from their cards, and the curve of inception score over what was dropped."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats
from tabulate import tabulate

from csbench.core.cards import Card, all_cards
from csbench.core.errors import UsageError
from csbench.report.families import USES
from csbench.report.samples import Estimate
from csbench.report.style import save

Z95 = 1.96


@dataclass(frozen=True)
class Quality:
    """One kind of prior: the trainings that differ in the seed alone.

    Attributes:
        family: "real", "measured images" or "restored images" for those of the training set, or that of a generator.
        learned_from: "clean images", or the measurements.
        inception_score, frechet_distance: mean over seeds; 95% interval by the bootstrap over samples for one seed, and
            by Student's t over seeds for three or more.
        misfit: mean squared error of validation images in the range, as Adam finds them, mean over seeds; None for
            "real".
    """

    family: str
    learned_from: str
    inception_score: Estimate
    frechet_distance: Estimate
    misfit: float | None
    seeds: int
    steps: int | None


def read_cards(folders: Iterable[Path], dataset: str) -> list[Card]:
    """The cards of a dataset's priors, of further seeds too, which lie in a folder `seeds` and may lack weights."""
    found = all_cards(list(folders), "*.json", "seeds/*.json")
    return [card for card in found if card["dataset"] == dataset and "frechet_distance_error" in card["quality"]]


def qualities(cards: list[Card]) -> list[Quality]:
    """The kinds of priors on these cards, real images first and then by inception score."""
    groups: dict[tuple[str, str], list[Card]] = {}
    for card in cards:
        family = "real" if card["family"] == "classifier" else card["family"]
        learned_from = (
            "clean images" if card["measurements"].startswith("none") else card["measurements"].split(", ")[0]
        )
        groups.setdefault((family, learned_from), []).append(card)
    found = []
    for (family, learned_from), members in groups.items():
        figures = [card["quality"] for card in members]
        errors = [f["validation_representation_mse"] for f in figures if "validation_representation_mse" in f]
        found.append(
            Quality(
                family,
                "-" if family == "real" else learned_from,
                _combined(figures, "inception_score"),
                _combined(figures, "frechet_distance"),
                float(np.mean(errors)) if errors else None,
                len(members),
                None if family == "real" else members[0].get("steps"),
            )
        )
    return sorted(found, key=lambda q: (q.family != "real", -q.inception_score.value))


def _combined(figures: list[dict[str, float]], name: str) -> Estimate:
    values = [f[name] for f in figures]
    mean = float(np.mean(values))
    if len(values) >= 3:
        half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    else:
        half = Z95 * max(f[f"{name}_error"] for f in figures)
    return Estimate(mean, mean - half, mean + half)


def render(cards: list[Card]) -> str:
    """The Markdown table.

    Raises:
        UsageError: no card has the figures.
    """
    if not cards:
        raise UsageError(
            "no prior of this dataset has been measured; `csbench assess NAME` puts the figures on its card"
        )
    headers = [
        "prior",
        "learned from",
        "inception score",
        "Frechet distance",
        "misfit x 1000",
        "steps",
        "seeds",
    ]
    body = [
        [
            q.family,
            q.learned_from,
            _interval(q.inception_score, 2),
            _interval(q.frechet_distance, 1),
            "-" if q.misfit is None else f"{1000 * q.misfit:.2f}",
            q.steps or "-",
            q.seeds,
        ]
        for q in qualities(cards)
    ]
    return tabulate(body, headers, tablefmt="github", disable_numparse=True) + "\n"


def _interval(e: Estimate, digits: int) -> str:
    return f"{e.value:.{digits}f} [{e.low:.{digits}f}, {e.high:.{digits}f}]"


def draw_scores(cards: list[Card], path: Path) -> None:
    """The inception score against the share p of pixels that block-pixels drops, for each use of the measurements.

    Raises:
        UsageError: there are fewer than two p, or the file is no picture.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    if path.suffix not in (".svg", ".png", ".pdf"):
        raise UsageError(f"{path}: a curve is a .svg, .png or .pdf file")
    points: dict[str, dict[float, Estimate]] = {}
    lines: dict[str, float] = {}
    for q in qualities(cards):
        if (found := re.fullmatch(r"block-pixels:p=([0-9.]+)", q.learned_from)) and q.family in USES:
            points.setdefault(q.family, {})[float(found[1])] = q.inception_score
        elif q.family == "real":
            lines["real images"] = q.inception_score.value
    if len({p for curve in points.values() for p in curve}) < 2:
        raise UsageError("the curve needs priors trained on block-pixels with two values of p at least")
    with mpl.rc_context({"svg.hashsalt": "csbench", "svg.fonttype": "none"}):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.add_subplot()
        looks = {"ambient": ("#0072B2", "o"), "unmeasure": ("#009E73", "s"), "ignore": ("#D55E00", "^")}
        for use, (colour, marker) in looks.items():
            curve = sorted(points.get(use, {}).items())
            if curve:
                ps, values = [p for p, _ in curve], [e.value for _, e in curve]
                reach = [[e.value - e.low for _, e in curve], [e.high - e.value for _, e in curve]]
                axes.errorbar(ps, values, reach, color=colour, marker=marker, capsize=3, label=use)
        for label, value in lines.items():
            axes.axhline(value, color="#666666", linestyle=":", label=label)
        axes.set_xlabel("share p of pixels that are dropped")
        axes.set_ylabel("inception score")
        axes.set_ylim(0.8, 10.2)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        save(figure, path)
