"""What the scripts of the pages need, as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from csbench.catalogue.suites import Suite
from csbench.report import columns
from csbench.report.curves import AXES
from csbench.report.families import METHOD_KINDS
from csbench.report.samples import Estimate
from csbench.site.data import METRICS, Row, SuiteData

DIGITS = 6  # significant, of numbers that plots are drawn from
RATIO_DIGITS = 4


def to_json(value: Any) -> str:
    """JSON that may stand in a script: no `</script>` in it ends one; numbers that are not finite are null."""
    text = json.dumps(_plain(value), separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return [_number(v) for v in (value.value, value.low, value.high)]
    if isinstance(value, float | np.floating):
        return _number(float(value))
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _number(value: float, digits: int = DIGITS) -> float | int | None:
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def suite_json(data: SuiteData) -> dict[str, Any]:
    """What the scripts of a suite's page need."""
    suite = data.suite
    return {
        "name": suite.name,
        "title": suite.title,
        "axis": "m" if suite.axis == "m" else "noise",
        "levels": list(suite.levels),
        "axisTitle": axis_title(data),
        "families": [f for f in METHOD_KINDS if any(row.family == f for row in data.rows)],
        "metrics": {name: {"label": AXES[name][0], "log": AXES[name][1]} for name in METRICS},
        "methods": [
            {
                "name": row.method,
                "page": row.page,
                "style": row.style,
                "family": row.family,
                "curves": row.curves,
                "images": row.images,
                "seconds": row.seconds,
                "applications": row.applications,
                "floor": row.floor,
                "savings": [_saving_json(row, suite, suite.levels[i]) for i in data.saving_levels],
            }
            for row in data.rows
        ],
        "published": [p.__dict__ for p in data.published],
        "gallery": _gallery_json(data),
    }


def _saving_json(row: Row, suite: Suite, level: float) -> list[Any]:
    cell = columns.saving(suite, level).cell(row.standing)
    return [cell.text, cell.small, cell.sort]


def _gallery_json(data: SuiteData) -> dict[str, Any] | None:
    found = data.gallery
    if found is None:
        return None
    return {
        "levels": found.levels,
        "images": found.images,
        "size": list(found.truth.shape[:1:-1]),
        "measured": None if found.measurements is None else list(found.measurements.shape[:2:-1]),
        "methods": [
            {"name": row.method, "page": row.page, "errors": found.methods[row.method][1].tolist()}
            for row in data.rows
            if row.method in found.methods
        ],
    }


def compare_json(data: SuiteData) -> dict[str, Any]:
    """Ratios of all pairs: for each first and second method a flat list of value, low, high for each level."""
    suite = data.suite
    flat = data.ratios.reshape(len(data.rows), len(data.rows), -1)
    ratios = [
        [None if i == j else [_number(v, RATIO_DIGITS) for v in flat[i, j]] for j in range(len(data.rows))]
        for i in range(len(data.rows))
    ]
    return {
        "name": suite.name,
        "axis": "m" if suite.axis == "m" else "noise",
        "axisTitle": axis_title(data),
        "levels": list(suite.levels),
        "methods": data.ratio_names,
        "pages": [row.page for row in data.rows],
        "reference": data.table.reference_method,
        "ratios": ratios,
    }


def axis_title(data: SuiteData) -> str:
    """The title of the horizontal axis."""
    n = f"n = {data.n}" if data.n else ""
    if data.suite.axis == "m":
        return f"number of measurements m{f' ({n})' if n else ''}"
    return f"noise norm (m = {data.suite.m[0]}{f', {n}' if n else ''})"
