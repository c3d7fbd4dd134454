"""Every number on the web pages, from the results files: standings, curves, costs, ratios, provenance, pictures.

The pages themselves are made by `csbench.report.pages`, which computes nothing. This module imports no torch.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csbench import stats
from csbench.evaluations import counts
from csbench.papers import papers_of
from csbench.report import leaderboard
from csbench.report.curves import AXES, COLOURS, read_reference, representation_floors
from csbench.report.gallery import MEASUREMENTS, TRUTH, read_gallery
from csbench.report.standings import MARKS, Estimate, Standing, Standings, standings
from csbench.store import load_results, read_provenance, results_digest, results_file
from csbench.suites import Suite, load_suite

METRICS = ("mse", "psnr", "ssim", "relative_l2")
FAMILIES = ("sparse", "untrained", "learned", "generative", "ambient-trained", "baseline")
DIGITS = 6  # significant, of numbers that plots are drawn from
RATIO_DIGITS = 4
SHAPES = (  # of markers, within the unit square around zero
    "M0,-1A1,1,0,1,1,0,1A1,1,0,1,1,0,-1Z", "M-.9,-.9L.9,-.9L.9,.9L-.9,.9Z", "M0,-1.1L1,.8L-1,.8Z",
    "M0,-1.2L1,0L0,1.2L-1,0Z", "M0,1.1L1,-.8L-1,-.8Z",
    "M-.4,-1.1L.4,-1.1L.4,-.4L1.1,-.4L1.1,.4L.4,.4L.4,1.1L-.4,1.1L-.4,.4L-1.1,.4L-1.1,-.4L-.4,-.4Z",
    "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
    "M-1.1,0L.8,-1L.8,1Z", "M1.1,0L-.8,-1L-.8,1Z",
)  # fmt: skip
DARK_PAPER = 0.009  # relative luminance of the page in dark mode
LEGIBLE = 4.5  # contrast of a line with it
NEVER = 1e300  # what "never" is sorted as


@dataclass(frozen=True)
class Cell:
    """What stands in a table: the text, its interval below it, and what the column is sorted by.

    Attributes:
        signs, words: what is to be said of it, as in `standings.MARKS`.
    """

    text: str
    sort: float | str | None
    interval: str = ""
    best: bool = False
    signs: str = ""
    words: str = ""


@dataclass(frozen=True)
class Row:
    """One method on one suite.

    Attributes:
        page: name of the method's page, without folder and extension.
        style: number of the colour, dashes and marker in `styles()`.
        oracle: whether the method is told what it could not know, the sparsity or the support.
        curves: metric to one estimate for each level, None where the level is not complete.
        params: hyper-parameters, as JSON, to the levels that they were used at.
        images: at each level, the images that were scored.
        seconds: CPU seconds per image at each level, NaN where there are none.
        applications: of A or A^T to each image, at each level, NaN where they were not counted or the matrix is taken.
        floor: representation error of the prior.
    """

    standing: Standing
    page: str
    style: int
    oracle: bool
    curves: dict[str, list[Estimate | None]]
    images: list[int]
    seconds: list[float]
    applications: list[float]
    floor: float | None
    params: dict[str, list[float]]
    cells: dict[str, Cell] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return self.standing.method

    @property
    def family(self) -> str:
        return self.standing.family

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Hyper-parameters as words, each with the levels that they were used at."""
        return [
            (
                ", ".join(f"{key}={value!r}" for key, value in json.loads(text).items()),
                "at " + ", ".join(f"{level:g}" for level in sorted(set(levels))),
            )
            for text, levels in self.params.items()
        ]


@dataclass(frozen=True)
class Published:
    """A curve from a paper or a repository, and where it is from."""

    label: str
    metric: str
    points: list[tuple[float, float]]
    source: str


@dataclass(frozen=True)
class Gallery:
    """Stored reconstructions; pictures have axes level, image, c, h, w and are uint8.

    Attributes:
        truth: shape [images, c, h, w].
        measurements: as pictures, shape [levels, images, c, h, w]; None where they are none.
        methods: name to reconstructions, shape [levels, images, c, h, w], and errors, shape [levels, images].
    """

    levels: list[float]
    images: list[int]
    truth: np.ndarray
    measurements: np.ndarray | None
    methods: dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class SuiteData:
    """All that the pages show of one suite; `ratios` and `ratio_names` are for comparisons of two methods.

    Attributes:
        ratios: shape [methods, methods, levels, 3]: the error of the first over that of the second and its 95%
            interval, NaN where one of the two is not complete.
    """

    table: Standings
    digest: str
    problem: str
    n: int
    restricted: bool
    rows: list[Row]
    published: list[Published]
    ratio_names: list[str]
    ratios: np.ndarray
    gallery: Gallery | None
    provenance: dict[str, dict[str, Any]]

    @property
    def suite(self) -> Suite:
        return self.table.suite

    @property
    def middle(self) -> int:
        """Position of the level that is shown where there is room for one alone."""
        return (len(self.suite.levels) - 1) // 2

    @property
    def learned_from(self) -> list[str]:
        """What the priors of the suite's methods were learned from."""
        return sorted({row.standing.learned_from for row in self.rows if row.standing.learned_from})

    @property
    def marks(self) -> str:
        """The signs that the table holds, with what they say."""
        used = {mark for row in self.rows for marks in row.standing.marks.values() for mark in marks}
        return ", ".join(f"{sign} {mark}" for mark, sign in MARKS.items() if mark in used)

    @property
    def counted(self) -> bool:
        """Whether it is known how often some method applies A."""
        return any(row.standing.operator_evaluations for row in self.rows)

    @property
    def saving_levels(self) -> list[int]:
        """Positions of the levels that savings are known at."""
        return list(range(len(self.suite.levels))) if any(row.standing.savings for row in self.rows) else []


def suite_data(name: str, results: Path, references: Path | None = None) -> SuiteData | None:
    """What the pages show of a suite; None where there are no results.

    Args:
        references: a folder with published curves, SUITE_published.csv with _ for -.

    Raises:
        UnknownName: no such suite.
        ResultsError: a file cannot be trusted.
    """
    suite = load_suite(name)
    frame = load_results(suite.name, results)
    if not len(frame):
        return None
    table = standings(frame, suite, counts(results, suite.name))
    n, restricted = dataset_facts(suite.dataset)
    names = [row.method for row in table.rows]
    by_image, seconds = _by_image(frame, suite)
    curves, samples = _curves(by_image, suite)
    floors = representation_floors(frame, suite, results)
    params = _params(frame, suite)
    numbers = _style_numbers(table)
    rows = []
    for standing in table.rows:
        method = standing.method
        own = curves[method] | {"mse": [standing.errors.get(level) for level in suite.levels]}
        counted = [standing.operator_evaluations.get(level) for level in suite.levels]
        scored = [0 if e is None else suite.images_at(at) for e, at in zip(own["mse"], suite.levels, strict=True)]
        row = Row(
            standing,
            page_name(method),
            numbers[method],
            _is_oracle(method, params[method]),
            own,
            scored,
            seconds[method],
            [math.nan if one is None else one.per_image for one in counted],
            floors.get(method),
            params[method],
        )
        rows.append(replace(row, cells=_cells(row, table)))
    return SuiteData(
        table,
        results_digest(results, suite.name),
        leaderboard.problem_text(suite),
        n,
        restricted,
        rows,
        published_curves(suite, references),
        names,
        _ratios(by_image, samples, names),
        None if restricted else stored_pictures(results, suite, names),
        {method: read_provenance(results_file(results, suite.name, method)) for method in names},
    )


def _style_numbers(table: Standings) -> dict[str, int]:
    """The first of every family before the second of any, so that those that pages draw at first differ in colour."""
    order = []
    for family in FAMILIES:
        order += [(i, family, row.method) for i, row in enumerate(r for r in table.rows if r.family == family)]
    return {method: i for i, (*_, method) in enumerate(sorted(order, key=lambda o: (o[0], FAMILIES.index(o[1]))))}


def page_name(method: str) -> str:
    """The method's name where it is fit for a file and a URL; else what is left of it, and a hash."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", method)
    return plain if plain == method else f"{plain}-{sha256(method.encode()).hexdigest()[:8]}"


@lru_cache
def dataset_facts(name: str) -> tuple[int, bool]:
    """n, and whether the licence forbids passing pictures on, from the dataset's source, for its import needs torch.

    A dataset that is not known here is taken to be restricted; n is 0 then.
    """
    from csbench.registry import entries

    entry = entries("datasets").get(name)
    if entry is None:
        return 0, True
    tree = ast.parse(entry.path.read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    constants = {name: value for name, value in _assigned(tree.body) if isinstance(value, ast.Constant)}
    attributes: dict[str, ast.expr] = {}
    pending = [entry.class_name]
    while node := classes.get(pending.pop(0)) if pending else None:
        attributes = dict(_assigned(node.body)) | attributes
        pending += [base.id for base in node.bases if isinstance(base, ast.Name)]
    shape, restricted = attributes.get("image_shape"), attributes.get("restricted")
    sides = shape.elts if isinstance(shape, ast.Tuple) else []
    sides = [constants.get(side.id) if isinstance(side, ast.Name) else side for side in sides]
    n = math.prod(int(str(side.value)) if isinstance(side, ast.Constant) else 0 for side in sides) if sides else 0
    return n, restricted is not None and not (isinstance(restricted, ast.Constant) and restricted.value is False)


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Names and the values that a module or a class gives them."""
    for item in body:
        target = item.targets[0] if isinstance(item, ast.Assign) else getattr(item, "target", None)
        value = getattr(item, "value", None)
        if isinstance(target, ast.Name) and value is not None:
            yield target.id, value


# Curves, costs and ratios


def _by_image(frame: pd.DataFrame, suite: Suite) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """Each method's metrics by image, shape [metrics, images, levels], and its CPU seconds per image at each level.

    As `standings.errors_by_image` does for the error alone: means over draws, NaN in columns that are not complete.
    """
    levels = np.array(suite.levels)
    code, names = pd.factorize(frame["method"])
    position = {
        "level": np.searchsorted(levels, frame[suite.axis].to_numpy()),
        "draw": frame["draw"].to_numpy(),
        "image": frame["image"].to_numpy(),
        "seconds": (frame["cell_cpu_seconds"] / frame["batch_size"]).to_numpy(dtype=float),
        "ok": (frame["status"] == "ok").to_numpy(),
    }
    values = frame[list(METRICS)].to_numpy(dtype=float)
    expected = np.array([suite.images_at(level) for level in suite.levels])
    curves, seconds = {}, {}
    for i, name in enumerate(names):
        chosen = (code == i) & position["ok"]
        level, draw, image, cpu = (position[key][chosen] for key in ("level", "draw", "image", "seconds"))
        ids, place = np.unique(image, return_inverse=True)
        table = np.full((suite.draws, len(METRICS), max(len(ids), 1), len(levels)), np.nan)
        table[draw, :, place, level] = values[chosen]
        whole = ((~np.isnan(table)).sum(2) == expected).all(0)  # [metrics, levels]
        curves[str(name)] = np.where(whole[:, None, :], table.mean(0), np.nan)
        with np.errstate(invalid="ignore"):
            seconds[str(name)] = list(np.bincount(level, cpu, len(levels)) / np.bincount(level, minlength=len(levels)))
    return curves, seconds


def _curves(
    by_image: dict[str, np.ndarray], suite: Suite
) -> tuple[dict[str, dict[str, list[Estimate | None]]], dict[str, np.ndarray]]:
    """Means over images with 95% intervals, and the resampled error curves, shape [resamples, levels]."""
    weights = stats.resampling_weights(suite.images)
    curves, samples = {}, {}
    for name, tables in by_image.items():
        metrics, images, levels = tables.shape
        if images != suite.images:
            tables = np.full((metrics, suite.images, levels), np.nan)
        flat = tables.transpose(1, 0, 2).reshape(suite.images, -1)
        with np.errstate(invalid="ignore"):
            mean = stats.weighted_means(np.ones((1, len(flat))), flat)[0].reshape(metrics, levels)
            resampled = stats.weighted_means(weights, flat)
            low, high = (ends.reshape(metrics, levels) for ends in stats.interval(resampled))
        curves[name] = {
            metric: [
                Estimate(float(mean[i, j]), float(low[i, j]), float(high[i, j])) if _finite(mean[i, j]) else None
                for j in range(levels)
            ]
            for i, metric in enumerate(METRICS)
        }
        samples[name] = resampled.reshape(len(weights), metrics, levels)[:, METRICS.index("mse")]
    return curves, samples


def _ratios(by_image: dict[str, np.ndarray], samples: dict[str, np.ndarray], names: list[str]) -> np.ndarray:
    """`standings.ratios` of all pairs, shape [methods, methods, levels, 3]."""
    place = METRICS.index("mse")
    curves = np.stack(
        [stats.weighted_means(np.ones((1, by_image[name].shape[1])), by_image[name][place])[0] for name in names]
    )
    resampled = np.stack([samples[name] for name in names], axis=1)  # [resamples, methods, levels]
    found = np.empty((*curves.shape[:1], *curves.shape, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        for i in range(len(names)):
            low, high = stats.interval(resampled[:, i : i + 1] / resampled)
            found[i] = np.stack([curves[i] / curves, low, high], axis=-1)
    return np.where(np.isfinite(found).all(-1, keepdims=True), found, np.nan)


def _params(frame: pd.DataFrame, suite: Suite) -> dict[str, dict[str, list[float]]]:
    """Method to its parameters, as JSON, each with the levels that it was run with; tuned ones depend on the noise."""
    found: dict[str, dict[str, list[float]]] = {}
    for method, params, level in (
        frame[["method", "params", suite.axis]].drop_duplicates().itertuples(index=False, name=None)
    ):
        found.setdefault(str(method), {}).setdefault(str(params), []).append(float(level))
    return found


def _is_oracle(method: str, params: Iterable[str]) -> bool:
    """A greedy method whose sparsity k is given, or one that says so in its name; the k of a subspace is no secret."""
    fields = [json.loads(text) for text in params]
    return "oracle" in method or any(f.get("k") is not None and not f.get("prior") for f in fields)


# Text of tables


def _cells(row: Row, table: Standings) -> dict[str, Cell]:
    """Column to cell; the text is that of `leaderboard.md`."""
    own, suite = row.standing, table.suite
    notes = leaderboard.notes_text(own)
    cells = {
        "rank": _rank_cell(own),
        "family": Cell(own.family, FAMILIES.index(own.family)),
        "learned": Cell(own.learned_from or "-", own.learned_from),
        "score": Cell("-", None) if own.score is None else _split(leaderboard.factor_text(own.score), own.score.value),
        "mean": _error_cell(own.mean_error),
        "seconds": Cell(leaderboard.seconds_text(own), _number(own.cpu_seconds_per_image)),
        "applications": _operator_cell(own, suite),
        "evaluations": Cell(f"{own.generator_evaluations:.0f}" if own.generator_evaluations else "-",
                            own.generator_evaluations),
        "notes": Cell(notes, notes or None),
    }  # fmt: skip
    if any(other.savings for other in table.rows):
        cells["saving"] = saving_cell(row, suite, suite.levels[(len(suite.levels) - 1) // 2])
    for i, level in enumerate(suite.levels):
        cells[f"level-{i}"] = _error_cell(own.errors.get(level), level in own.best, own.marks.get(level, ()))
    return cells


def _operator_cell(own: Standing, suite: Suite) -> Cell:
    text, *once = leaderboard.operator_text(own, suite)
    most = max((one.per_image for one in own.operator_evaluations.values()), default=None)
    return Cell(text, most if text not in ("-", "matrix") else None, " ".join(once))


def _rank_cell(own: Standing) -> Cell:
    if own.ranks is None:
        return Cell("-", None)
    first, last = own.ranks
    return Cell(str(first), first + last / 1e6, "" if first == last else f"to {last}")


def _error_cell(estimate: Estimate | None, best: bool = False, marks: Sequence[str] = ()) -> Cell:
    signs, words = "".join(MARKS[mark] for mark in marks), ", ".join(marks)
    if estimate is None:
        return Cell("" if signs else "-", None, signs=signs, words=words)
    cell = _split(leaderboard.error_text(estimate), estimate.value)
    return replace(cell, best=best, signs=signs, words=words)


def saving_cell(row: Row, suite: Suite, level: float) -> Cell:
    """How many times as many measurements the best Lasso needs for the same error."""
    found = row.standing.savings.get(int(level))
    if found is None:
        return Cell("-", None)
    return _split(leaderboard.saving_text(found, suite, int(level)), min(found.value, NEVER))


def _split(text: str, sort: float) -> Cell:
    """`0.62 [0.58, 0.66]` as value and interval."""
    value, bracket, rest = text.partition(" [")
    return Cell(value, sort, f"[{rest}" if bracket else "")


def columns(data: SuiteData) -> list[tuple[str, str]]:
    """Key and heading of each column of the leaderboard, after the rank and the method's name."""
    suite = data.suite
    middle = suite.levels[data.middle]
    return [
        ("family", "family"),
        *([("learned", "learned from")] if data.learned_from else []),
        ("score", "score"),
        ("mean", "all m" if suite.axis == "m" else "all noise"),
        *((f"level-{i}", leaderboard.level_name(suite, level)) for i, level in enumerate(suite.levels)),
        *([("saving", f"saving at {leaderboard.level_name(suite, middle)}")] if data.saving_levels else []),
        ("seconds", "CPU s / image"),
        *([("applications", "A / image (+ once)")] if data.counted else []),
        *([("evaluations", "G / image")] if any(r.standing.generator_evaluations for r in data.rows) else []),
        ("notes", "notes"),
    ]


# Published curves


def published_curves(suite: Suite, folder: Path | None) -> list[Published]:
    """The curves in FOLDER/SUITE_published.csv, with its comments as the source; none where there is no such file."""
    path = folder / f"{suite.name.replace('-', '_')}_published.csv" if folder else None
    if path is None or not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    source = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    header = next(line for line in lines if line and not line.startswith("#")).split(",")
    names = [name for name in header if name != "m"]
    found = []
    for name, curve in zip(names, read_reference(path, names), strict=True):
        metric = "psnr" if name.endswith("_psnr") else "mse"
        points = [(float(m), e) for m, e in curve.errors.items() if e > 0]  # 0.0000 is only below what was printed
        found.append(Published(curve.label.removesuffix("-psnr"), metric, points, source))
    return found


# Pictures


def stored_pictures(results: Path, suite: Suite, methods: Sequence[str]) -> Gallery | None:
    """The stored reconstructions of a suite; None where there are none.

    Raises:
        ResultsError: a file cannot be read.
    """
    frames = read_gallery(results, suite.name)
    truth, measured = frames.pop(TRUTH, None), frames.pop(MEASUREMENTS, None)
    frames = {name: frame for name, frame in frames.items() if name in methods and len(frame)}
    if truth is None or not frames:
        return None
    images = [int(i) for i in truth["image"]]
    levels = sorted({float(level) for frame in frames.values() for level in frame["level"]})
    return Gallery(
        levels,
        images,
        np.stack([_pixels(row) for row in truth.to_dict("records")]),
        None if measured is None or not len(measured) else _pictures(measured, levels, images)[0],
        {name: _pictures(frame, levels, images) for name, frame in frames.items()},
    )


def _pictures(frame: pd.DataFrame, levels: list[float], images: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [levels, images, c, h, w], grey where one is missing, and their errors [levels, images], NaN there.

    Pictures of measurements may be larger at one level than at another; smaller ones stand at the top left.
    """
    records = [r for r in frame.to_dict("records") if r["image"] in images and r["level"] in levels]
    shape = np.max([_pixels(record).shape for record in records], axis=0)
    pixels = np.full((len(levels), len(images), *shape), 128, np.uint8)
    errors = np.full((len(levels), len(images)), np.nan)
    for record in records:
        place = levels.index(record["level"]), images.index(record["image"])
        picture = _pixels(record)
        pixels[place][:, : picture.shape[1], : picture.shape[2]] = picture
        errors[place] = record["mse"]
    return pixels, errors


def _pixels(record: dict[str, Any]) -> np.ndarray:
    shape = (record["channels"], record["height"], record["width"])
    return np.frombuffer(record["pixels"], np.uint8).reshape(shape)


# JSON


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
    if not _finite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _finite(value: float) -> bool:
    return math.isfinite(value)


def suite_json(data: SuiteData) -> dict[str, Any]:
    """What the scripts of a suite's page need."""
    suite = data.suite
    return {
        "name": suite.name,
        "title": suite.title,
        "axis": "m" if suite.axis == "m" else "noise",
        "levels": list(suite.levels),
        "axisTitle": axis_title(data),
        "families": [f for f in FAMILIES if any(row.family == f for row in data.rows)],
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
    cell = saving_cell(row, suite, level)
    return [cell.text, cell.interval, cell.sort]


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


def styles() -> list[dict[str, Any]]:
    """Colour on white, colour on black, dashes and marker by number, of which the first differ most."""
    dashes = ([], [6, 3], [7, 3, 2, 3], [6, 2, 1.5, 2, 1.5, 2], [4, 4], [], [6, 3], [7, 3, 2, 3], [1.5, 3])
    count = math.lcm(len(COLOURS), len(dashes))
    return [
        {
            "light": COLOURS[i % len(COLOURS)],
            "dark": on_dark(COLOURS[i % len(COLOURS)]),
            "dash": dashes[i % len(dashes)],
            "shape": SHAPES[i % len(SHAPES)],
        }
        for i in range(count)
    ]


def on_dark(colour: str) -> str:
    """A colour, mixed with as much white as makes it legible on a dark page."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    for share in np.linspace(0, 1, 41):
        mixed = rgb + share * (1 - rgb)
        linear = np.where(mixed <= 0.04045, mixed / 12.92, ((mixed + 0.055) / 1.055) ** 2.4)
        if (linear @ [0.2126, 0.7152, 0.0722] + 0.05) / (DARK_PAPER + 0.05) >= LEGIBLE:
            break
    return "#" + "".join(f"{round(255 * v):02x}" for v in mixed)  # type: ignore[possibly-undefined]


# Methods


@dataclass(frozen=True)
class Block:
    """A piece of a docstring: a paragraph, or the fields of an `Attributes:` list."""

    text: str = ""
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Card:
    """The training card of a prior, and its cost for each image that the method was scored on."""

    name: str
    facts: list[tuple[str, str]]


@dataclass(frozen=True)
class MethodData:
    """All that a method's page shows.

    Attributes:
        suites: each with the row of the method on it.
        runs: suite, run id and what is known of the run.
    """

    name: str
    page: str
    registered: bool
    doc: list[Block]
    module: str
    source: str
    class_name: str
    papers: list[tuple[str, str]]
    suites: list[tuple[SuiteData, Row]]
    runs: list[tuple[str, str, dict[str, Any]]]
    cards: list[Card]


def method_data(name: str, suites: Sequence[SuiteData], weights: Path) -> MethodData:
    """What the page of a method shows, over the suites that it took part in.

    Args:
        weights: the folder with the cards of trained priors.
    """
    from csbench.registry import entries

    entry = entries("methods").get(name)
    shown = [(data, row) for data in suites for row in data.rows if row.method == name]
    priors: dict[str, int] = {}
    for _, row in shown:
        for text in row.params:
            if prior := json.loads(text).get("prior"):
                priors[str(prior)] = priors.get(str(prior), 0) + row.standing.images
    return MethodData(
        name,
        page_name(name),
        entry is not None,
        docstring_blocks(entry.doc) if entry else [],
        entry.module if entry else "",
        f"methods/{entry.path.name}" if entry and entry.module.startswith("csbench.methods.") else "",
        entry.class_name if entry else "",
        [(paper.short, paper.url) for paper in papers_of(entry)] if entry else [],
        shown,
        [(data.suite.name, run, facts) for data, _ in shown for run, facts in data.provenance[name].items()],
        [card for prior, scored in priors.items() if (card := _card(weights / f"{prior}.json", scored))],
    )


def docstring_blocks(doc: str) -> list[Block]:
    """Paragraphs, and the lists under `Attributes:`; without the list of papers."""
    blocks = []
    for part in re.split(r"\n\s*\n", doc.strip()):
        head, _, rest = part.partition("\n")
        if head.startswith("Papers:"):
            continue  # their links stand in a list of their own
        if head.strip() == "Attributes:":
            items: list[list[str]] = []
            for line in rest.splitlines():
                indent = len(line) - len(line.lstrip())
                if indent <= 4 and ":" in line:
                    key, _, text = line.strip().partition(":")
                    items.append([key, text.strip()])
                elif items:
                    items[-1][1] += " " + line.strip()
            blocks.append(Block(fields=tuple((key, text) for key, text in items)))
        else:
            blocks.append(Block(text=" ".join(part.split())))
    return blocks


def _card(path: Path, scored: int) -> Card | None:
    if not path.is_file():
        return None
    card = json.loads(path.read_text(encoding="utf-8"))
    facts = [(key, str(card[key])) for key in ("family", "dataset", "measurements", "split") if card.get(key)]
    seconds = card.get("seconds")
    if seconds is not None:
        facts.append(("training", f"{_duration(seconds)} on {card.get('hardware', 'unknown hardware')}"))
        facts.append(
            ("amortised", f"{seconds / scored:.2g} s of training for each of {scored:,} reconstructions scored here")
        )
    if card.get("steps"):
        facts.append(("steps", f"{card['steps']:,}"))
    quality = card.get("quality", {})
    words = {
        "representation_mse": ("representation error x 1000", lambda v: leaderboard.thousandths(v)),
        "validation_representation_mse": ("on validation images", lambda v: leaderboard.thousandths(v)),
        "inception_score": ("inception score", lambda v: f"{v:.2f}"),
        "frechet_distance": ("Frechet distance", lambda v: f"{v:.0f}"),
    }
    facts += [(label, show(quality[key])) for key, (label, show) in words.items() if key in quality]
    facts += [(key, str(card[key])) for key in ("command", "licence") if card.get(key)]
    return Card(path.stem, facts)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def method_json(data: MethodData) -> list[dict[str, Any]]:
    """The method's error curve on each suite, beside those of the best Lasso and of the first in the ranking."""
    found = []
    for suite, row in data.suites:
        first = next((r.method for r in suite.rows if r.standing.rank is not None), None)
        curves = {r.method: [e and e.value for e in r.curves["mse"]] for r in suite.rows}
        beside = [] if first in (None, row.method) else [{"name": first, "values": curves[first], "lasso": False}]
        if lassos := suite.table.lassos:
            values = [curves[lassos[level]][i] for i, level in enumerate(suite.suite.levels)]
            beside.append({"name": "the best Lasso", "values": values, "lasso": True})
        found.append(
            {
                "suite": suite.suite.name,
                "axisTitle": axis_title(suite),
                "levels": list(suite.suite.levels),
                "style": row.style,
                "own": row.curves["mse"],
                "beside": beside,
            }
        )
    return found
