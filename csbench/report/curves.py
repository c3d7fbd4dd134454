"""Error versus m, or the noise, for print: log error, one line per method with its interval, labelled at its end."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csbench.catalogue.suites import Suite
from csbench.core.errors import UsageError
from csbench.report import statistics as stats
from csbench.report.ranking import Standings
from csbench.report.samples import Estimate
from csbench.report.style import STYLES, Style, check_format, save
from csbench.results.artefact_kinds import FLOORS

# Okabe and Ito 2008: eight colours that colour-blind readers tell apart, and more for many methods; dashes and markers
# for readers in grey
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00", "#7F3C8D", "#666666",
    "#882255", "#44AA99", "#A6611A", "#332288",
)  # fmt: skip
DASHES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), "-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
AXES = {  # metric to the label of its axis, and whether that is logarithmic
    "mse": ("error (MSE per pixel)", True),
    "relative_l2": ("relative error ||x̂ - x|| / ||x||", True),
    "psnr": ("PSNR (dB)", False),
    "ssim": ("SSIM", False),
    "measurement_error": ("measurement error ||A x̂ - y||", True),
}
LABEL_WIDTH = 0.055  # of the longest number under the axis, as a share of it
End = tuple[float, str, str]  # of a line: its height, its name and its colour


@dataclass(frozen=True)
class Reference:
    """A published curve to compare with; drawn dotted.

    Attributes:
        errors: m to error.
    """

    label: str
    errors: dict[int, float]


def read_reference(path: Path, columns: list[str]) -> list[Reference]:
    """Published curves from a CSV file with a column `m`; lines that begin with # are comments.

    Raises:
        UsageError: no such file or column.
    """
    try:
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    rows = list(csv.DictReader(lines))
    for column in ("m", *columns):
        if not rows or column not in rows[0]:
            raise UsageError(f"{path}: no column {column!r}; there is {', '.join(rows[0]) if rows else 'nothing'}")
    if not columns:
        example = next(name for name in rows[0] if name != "m")
        raise UsageError(f"{path}: say which columns to draw, for example --columns {example}")
    try:
        return [
            Reference(column.removesuffix("_mse").replace("_", "-"), {int(r["m"]): float(r[column]) for r in rows})
            for column in columns
        ]
    except ValueError as error:
        raise UsageError(f"{path}: a cell is not a number ({error})") from error


def representation_floors(frame: pd.DataFrame, suite: Suite, results: Path) -> dict[str, float]:
    """Method to the representation error of its generator on the suite's images, where `csbench project` stored it."""
    floors = {}
    for method, params in frame.groupby("method")["params"].last().items():
        prior = json.loads(str(params)).get("prior")
        rows = FLOORS.read(results, prior=prior, dataset=suite.dataset) if prior else []
        if rows:
            floors[str(method)] = float(FLOORS.frame(rows[: suite.images])["mse"].to_numpy().mean())
    return floors


def plot(
    table: Standings,
    path: Path,
    methods: list[str] | None = None,
    references: list[Reference] | None = None,
    floors: dict[str, float] | None = None,
    metric: str = "mse",
    curves: dict[str, dict[float, Estimate]] | None = None,
    style: Style = STYLES["screen"],
) -> None:
    """Write the curves of a suite as SVG, PNG or PDF.

    Args:
        methods: which, in this order; None for all that have an error at two levels or more.
        references: published curves to draw beside them.
        floors: method to the representation error of its prior, drawn as a thin dashed line in the method's colour.
        metric: of `METRICS`; references and floors are mean squared errors, and left out with another.
        curves: method to level to the metric, where it is not the mean squared error.

    Raises:
        UsageError: an unknown format, or a method without results.
    """
    check_format(path)
    curves = curves or {row.method: row.errors for row in table.rows}
    available = {name: curve for name, curve in curves.items() if len(curve) > 1}
    if missing := [name for name in methods or [] if name not in available]:
        raise UsageError(
            f"no results of {missing[0]!r} on {table.suite.name}; there are {', '.join(sorted(available))}"
        )
    if not available:
        raise UsageError(
            f"{table.suite.name}: no method is complete at two levels or more, so there is no curve to draw yet"
        )
    if metric != "mse":
        references, floors = None, None
    import matplotlib as mpl
    from matplotlib.figure import Figure  # not pyplot, which takes a quarter of a second to import

    drawn = {name: available[name] for name in methods or sorted(available)}
    log = AXES[metric][1]
    with mpl.rc_context(style.settings()):
        figure = Figure(figsize=(style.width, 0.61 * style.width + (0 if style.title else 0.5)), layout="constrained")
        axes = figure.subplots()
        ends = _draw_methods(axes, drawn, floors or {}, log, style) + _draw_references(axes, references or [])
        _set_axes(axes, table, metric, style)
        if style.title:
            axes.set_title(f"{table.suite.title}; bands: 95% intervals over images", fontsize=9, loc="left")
            _label_ends(axes, ends, log)
        else:
            figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=style.font_size - 0.5)
        save(figure, path)


def _draw_methods(
    axes: Any, curves: dict[str, dict[float, Estimate]], floors: dict[str, float], log: bool, style: Style
) -> list[End]:
    """One line for each method, with its interval as a band and its floor as a dashed line."""
    ends = []
    for i, (name, errors) in enumerate(curves.items()):  # colours go by the selection: all methods would share them
        colour = COLOURS[i % len(COLOURS)]
        values, lows, highs = np.array([(e.value, e.low, e.high) for e in errors.values()]).T
        if log:
            values, lows, highs = (np.maximum(v, stats.FLOOR) for v in (values, lows, highs))
        levels = np.array(list(errors))
        axes.fill_between(levels, lows, highs, color=colour, alpha=0.18, lw=0)
        axes.plot(
            levels,
            values,
            color=colour,
            ls=DASHES[i % len(DASHES)],
            marker=MARKERS[i % len(MARKERS)],
            ms=3.5 if style.title else 2.5,
            lw=1.4 if style.title else 1.0,
            label=name,
        )
        ends.append((values[-1], name, colour))
        if name in floors:
            axes.axhline(max(floors[name], stats.FLOOR), color=colour, ls=(0, (6, 4)), lw=0.7, alpha=0.8)
    return ends


def _draw_references(axes: Any, references: list[Reference]) -> list[End]:
    """Published curves, dotted."""
    ends = []
    for i, reference in enumerate(references):
        positive = {m: e for m, e in reference.errors.items() if e > 0}  # 0.0000 is only below what was printed
        if positive:
            m, values = list(positive), list(positive.values())
            name = f"{reference.label}, published"
            axes.plot(m, values, color="0.35", ls=":", marker="x+12"[i % 4], ms=5, lw=1, label=name)
            ends.append((values[-1], name, "0.35"))
    return ends


def _set_axes(axes: Any, table: Standings, metric: str, style: Style) -> None:
    suite, (label, log) = table.suite, AXES[metric]
    axes.set_xscale("log")
    if log:
        axes.set_yscale("log")
    axes.set_xticks(suite.levels, _tick_labels(suite.levels, style))
    axes.minorticks_off()
    axes.tick_params(axis="x", labelsize=style.font_size - 1.5)
    axes.set_xlim(suite.levels[0] * 0.9, suite.levels[-1] * 1.1)
    axes.set_xlabel(
        f"number of measurements m (n = {_pixels(table)})"
        if suite.axis == "m"
        else f"noise norm (m = {suite.m[0]}, n = {_pixels(table)})"
    )
    axes.set_ylabel(label)
    axes.grid(True, which="major", color="0.9", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _tick_labels(levels: tuple[float, ...], style: Style) -> list[str]:
    """The levels, from the right, without those that would run into the one that is there already."""
    labels, last = [], math.inf
    for value in reversed(levels):
        width = LABEL_WIDTH * (1 if style.title else 1.5)
        near = math.log(last / value) < width * math.log(levels[-1] / levels[0])
        labels.append("" if near else f"{value:g}")
        last = last if near else value
    return labels[::-1]


def _label_ends(axes: Any, ends: list[End], log: bool) -> None:
    """Names to the right of the lines' ends, spread so that they do not overlap, each tied to its end by a hairline."""
    scale, back = (np.log10, lambda v: 10**v) if log else (np.asarray, lambda v: v)
    bottom, top = scale(axes.get_ylim())
    gap = 0.045 * (top - bottom)
    ends = sorted(ends)
    heights = scale([value for value, _, _ in ends]).astype(float)
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + gap)
    heights -= max(0.0, heights[-1] - (top - gap / 2))
    for i in range(len(heights) - 2, -1, -1):
        heights[i] = min(heights[i], heights[i + 1] - gap)
    axes.set_ylim(back(min(bottom, heights[0] - gap / 2)), back(top))
    bottom, top = scale(axes.get_ylim())
    for height, (value, name, colour) in zip(heights, ends, strict=True):
        axes.annotate(
            name,
            xy=(1.0, (scale(value) - bottom) / (top - bottom)),
            xytext=(1.06, (height - bottom) / (top - bottom)),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=colour,
            fontsize=8,
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)},
        )


def _pixels(table: Standings) -> int:
    from csbench.catalogue.registry import get_dataset

    return get_dataset(table.suite.dataset).n
