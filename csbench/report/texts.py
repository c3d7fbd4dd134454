"""Figures and facts in words, the same in every table, figure and page."""

from __future__ import annotations

import math

from csbench.catalogue.suites import Suite


def level_name(suite: Suite, level: float) -> str:
    """`m = 100` or `noise = 0.3`, the head of a column."""
    return f"{'m' if suite.axis == 'm' else 'noise'} = {level:g}"


def problem_text(suite: Suite) -> str:
    """What all problems of a suite have in common."""
    fixed = f"noise norm {suite.noise_norms[0]:g}" if suite.axis == "m" else f"m = {suite.m[0]}"
    draws = f"{suite.draws} draw{'s' if suite.draws > 1 else ''} of A per {'m' if suite.axis == 'm' else 'noise norm'}"
    return f"Dataset {suite.dataset}, operator {suite.operator}, {fixed}, {images_text(suite)}, {draws}."


def images_text(suite: Suite) -> str:
    """How many images there are."""
    if suite.fewer_images:
        return f"{suite.images} test images ({suite.fewer_images[1]} from m = {suite.fewer_images[0]})"
    return f"{suite.images} test images"


def evenly_spaced(levels: tuple[float, ...], count: int) -> list[float]:
    """So many of the levels, the first and the last among them."""
    if count >= len(levels):
        return list(levels)
    return [levels[round(i * (len(levels) - 1) / (count - 1))] for i in range(count)]


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


def thousandths(error: float) -> str:
    """An error times 1000."""
    scaled = 1000 * error
    return f"{scaled:.1f}" if scaled >= 10 else f"{scaled:.2f}" if scaled >= 0.1 else f"{scaled:.1g}"


def seconds_text(seconds: float) -> str:
    """CPU seconds per image."""
    return "-" if math.isnan(seconds) else f"{seconds:.2g}"


def needed_text(m: float, suite: Suite) -> str:
    """Measurements needed, within what the suite can tell: methods are known from its first to its last m."""
    first, last = suite.m[0], suite.m[-1]
    return f"> {last}" if m > last else f"<= {first}" if m <= first else f"{m:.0f}"


def saving_times(times: float, suite: Suite, at: int, above: str = ">", below: str = "<=") -> str:
    """A saving at some m, within what the suite can tell: the Lasso is known from its first to its last m."""
    first, last = suite.m[0] / at, suite.m[-1] / at
    return f"{above} {last:.3g}" if times > last else f"{below} {first:.3g}" if times <= first else f"{times:.3g}"


def span(values: list[float]) -> str:
    """The least and the most of some counts."""
    least, most = (f"{round(value):d}" for value in (min(values), max(values)))
    return least if least == most else f"{least} to {most}"
