"""What the errors of recovery in the range of a generator are made of: a table and a picture of stacked bars.

The parts are those of `csbench.studies.decompose`, estimates all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from csbench.catalogue.suites import Suite
from csbench.core.errors import UsageError
from csbench.report import statistics as stats
from csbench.report.style import STYLES, check_format, save
from csbench.results.artefact_kinds import DECOMPOSITIONS

PARTS = ("representation", "measurement", "optimisation")
MEANS = ("total", *PARTS, "objective_gap")
LOOKS = {"representation": ("#0072B2", ""), "measurement": ("#E69F00", "///"), "optimisation": ("#CC79A7", "...")}
WIDTH = 2.5  # of a panel, inches


def read(results: Path, suite: Suite, methods: list[str], images: int | None = None) -> pd.DataFrame:
    """The stored rows of these methods at the suite's levels.

    Args:
        images: at most so many, the first, at each level; None for all.

    Returns:
        one row per image and level: suite, suite_version, method, params, m, noise_norm, image, total, representation,
        measurement, optimisation (mean squared errors per pixel), objective_gap, restarts, made_by.

    Raises:
        UsageError: a method has no rows there, or rows of another version of the suite.
    """
    frames = []
    for name in methods:
        path = DECOMPOSITIONS.path(results, suite=suite.name, method=name)
        rows = DECOMPOSITIONS.frame(DECOMPOSITIONS.read(results, suite=suite.name, method=name))
        if not len(rows):
            raise UsageError(f"{path}: no such file; run `csbench decompose {suite.name} --methods {name}`")
        rows = rows.loc[rows["m"].isin(suite.m) & rows["noise_norm"].isin(suite.noise_norms)]
        if set(rows["suite_version"]) != {suite.version}:
            raise UsageError(
                f"{path}: column suite_version is not {suite.version}, the version of {suite.name}; run "
                f"`csbench decompose {suite.name} --methods {name}`"
            )
        frames.append(rows if images is None else rows.groupby(["m", "noise_norm"]).head(images))
    return pd.concat(frames, ignore_index=True)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Means over images with 95% bootstrap intervals.

    Args:
        frame: as `read` gives it.

    Returns:
        one row per method, m, noise_norm and part ("total", the three parts, "objective_gap"): columns method, m,
        noise_norm, part, mean, low, high, images. Methods stand in the order of the frame.
    """
    rows = []
    for at, group in frame.groupby(["method", "m", "noise_norm"], sort=False):
        assert isinstance(at, tuple)
        values = group[list(MEANS)].to_numpy()
        low, high = stats.interval(stats.weighted_means(stats.resampling_weights(len(values)), values))
        rows += [(*at, *figures, len(values)) for figures in zip(MEANS, values.mean(0), low, high, strict=True)]
    return pd.DataFrame(rows, columns=["method", "m", "noise_norm", "part", "mean", "low", "high", "images"])


def render(means: pd.DataFrame, suite: Suite) -> str:
    """The Markdown table of a summary: errors x 1000, the gap of the objective as it is."""
    headers = [
        "method",
        suite.axis.replace("_", " "),
        "total",
        *(f"{part} (estimate)" for part in PARTS),
        "gap of the objective (estimate)",
    ]
    body = []
    for at, group in means.groupby(["method", suite.axis], sort=False):
        assert isinstance(at, tuple)
        cells = group.set_index("part")
        shown = [_figure(cells, part, 1000) for part in MEANS[:-1]]
        body.append([at[0], f"{at[1]:g}", *shown, _figure(cells, "objective_gap", 1)])
    return tabulate(body, headers, tablefmt="github", disable_numparse=True) + "\n"


def _figure(cells: pd.DataFrame, part: str, times: float) -> str:
    mean, low, high = (times * float(cells.loc[part, column]) + 0.0 for column in ("mean", "low", "high"))
    digits = 1 if abs(mean) >= 10 else 2 if abs(mean) >= 0.1 else 3
    shown = (f"{v:.{digits}f}".replace(f"-{0:.{digits}f}", f"{0:.{digits}f}") for v in (mean, low, high))
    return "{} [{}, {}]".format(*shown)


def draw(path: Path, means: pd.DataFrame, suite: Suite) -> None:
    """One column of two panels per method: the parts stacked at each level, and their shares of the total below.

    Negative parts hang below zero; a dot with its 95% interval marks the total.

    Args:
        path: a .png, .svg or .pdf file.
        means: as `summary` gives them.

    Raises:
        UsageError: an unknown format.
    """
    check_format(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    names = list(dict.fromkeys(means["method"]))
    with mpl.rc_context(STYLES["screen"].settings()):
        figure = Figure(figsize=(0.7 + WIDTH * max(2, len(names)), 4.8), layout="constrained")
        grid = figure.subplots(2, len(names), sharey="row", squeeze=False)
        for name, (upper, lower) in zip(names, grid.T, strict=True):
            table = means.loc[means["method"] == name].pivot_table(
                index=suite.axis, columns="part", values=["mean", "low", "high"]
            )
            total, low, high = (1000 * table[kind, "total"].to_numpy() for kind in ("mean", "low", "high"))
            parts = {part: 1000 * table["mean", part].to_numpy() for part in PARTS}
            _stack(upper, parts)
            _stack(lower, {part: values / total for part, values in parts.items()})
            places = np.arange(len(total))
            upper.errorbar(
                places, total, [total - low, high - total], fmt="k.", ms=4, lw=0.8, label="total, 95% interval"
            )
            upper.set_title(name, fontsize=9)
            for axes in (upper, lower):
                axes.set_xticks(places, [f"{level:g}" for level in table.index], fontsize=7.5)
                axes.axhline(0, color="black", lw=0.6)
                axes.grid(True, axis="y", color="0.9", lw=0.6)
                axes.set_axisbelow(True)
                axes.spines[["top", "right"]].set_visible(False)
            lower.yaxis.set_major_formatter(PercentFormatter(1))
            lower.set_xlabel("number of measurements m" if suite.axis == "m" else "noise norm")
        grid[0, 0].set_ylabel("MSE per pixel x 1000")
        grid[1, 0].set_ylabel("share of the total")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=4 if len(names) > 2 else 2, frameon=False, fontsize=8
        )
        figure.suptitle(
            f"{suite.title}: parts of the error, means over images (estimates)", fontsize=9, x=0.01, ha="left"
        )
        save(figure, path)


def _stack(axes: Any, parts: dict[str, np.ndarray]) -> None:
    """Bars on each other: what is positive above zero, what is negative below."""
    above, below = (np.zeros(len(next(iter(parts.values())))) for _ in range(2))
    for part, values in parts.items():
        colour, hatch = LOOKS[part]
        bottom = np.where(values >= 0, above, below)
        axes.bar(
            np.arange(len(values)), values, 0.75, bottom,
            color=colour, hatch=hatch, edgecolor="white", lw=0, label=f"{part} (estimate)",
        )  # fmt: skip
        above, below = above + values.clip(min=0), below + values.clip(max=0)
