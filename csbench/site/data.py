"""Every number on the web pages, from the results files: standings, curves, costs, ratios, provenance, pictures.

The pages themselves are made by `csbench.site.pages`, which computes nothing. This module imports no torch.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csbench.catalogue.registry import entries
from csbench.catalogue.suites import Suite, load_suite
from csbench.freshness.lineage import Lineage
from csbench.report import columns, texts
from csbench.report import statistics as stats
from csbench.report.columns import Cell, Column
from csbench.report.curves import read_reference, representation_floors
from csbench.report.families import METHOD_KINDS
from csbench.report.gallery import MEASUREMENTS, TRUTH, read_gallery
from csbench.report.marks import MARKS
from csbench.report.ranking import Standing, Standings, standings
from csbench.report.samples import Estimate, Samples, samples
from csbench.results.artefact_kinds import EVALUATIONS
from csbench.results.store import load_results, read_provenance, results_digest, results_file

METRICS = ("mse", "psnr", "ssim", "relative_l2")


@dataclass(frozen=True)
class Row:
    """One method on one suite.

    Attributes:
        page: name of the method's page, without folder and extension.
        style: number of the colour, dashes and marker in `styles()`.
        oracle: whether the method is told what it could not know, the sparsity or the support.
        curves: metric to one estimate for each level, None where the level is not complete, or its metric infinite.
        params: hyper-parameters, as JSON, to the levels that they were used at.
        images: at each level, the images that were scored.
        seconds: CPU seconds per image at each level, NaN where there are none.
        applications: of A or A^T to each image, at each level, NaN where they were not counted or the matrix is taken.
        floor: representation error of the prior.
        cells: key of a column to what it says of the method.
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
    cells: dict[str, Cell]

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
        columns: of the leaderboard, after the rank and the method's name.
        ratios: shape [methods, methods, levels, 3]: the error of the first over that of the second and its 95%
            interval, NaN where one of the two is not complete.
    """

    table: Standings
    digest: str
    problem: str
    n: int
    restricted: bool
    columns: list[Column]
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
        return middle_of(self.suite)

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
    table = standings(frame, suite, EVALUATIONS.read(results, suite=suite.name), Lineage.read(results, suite.name))
    n, restricted = dataset_facts(suite.dataset)
    names = [row.method for row in table.rows]
    shown = board_columns(table)
    return SuiteData(
        table,
        results_digest(results, suite.name),
        texts.problem_text(suite),
        n,
        restricted,
        columns.told(shown, table.rows),
        _rows(table, frame, representation_floors(frame, suite, results), [columns.RANK, *shown]),
        published_curves(suite, references),
        names,
        _ratios([table.errors[name] for name in names]),
        None if restricted else stored_pictures(results, suite, names),
        {method: read_provenance(results_file(results, suite.name, method)) for method in names},
    )


def board_columns(table: Standings) -> list[Column]:
    """The columns of the leaderboard after the rank and the method's name, under the keys that the scripts know."""
    suite = table.suite
    middle = suite.levels[middle_of(suite)]
    return [
        columns.FAMILY,
        replace(columns.LEARNED, key="learned"),
        columns.SCORE,
        columns.mean(suite),
        *(replace(columns.error(suite, level), key=f"level-{i}") for i, level in enumerate(suite.levels)),
        replace(columns.saving(suite, middle), key="saving"),
        columns.SECONDS,
        columns.applications(suite),
        columns.EVALUATIONS,
        columns.NOTES,
    ]


def middle_of(suite: Suite) -> int:
    """Position of the level that is shown where there is room for one alone."""
    return (len(suite.levels) - 1) // 2


def _rows(table: Standings, frame: pd.DataFrame, floors: dict[str, float], shown: Sequence[Column]) -> list[Row]:
    suite, numbers = table.suite, _style_numbers(table)
    params, seconds = _params(frame, suite), _seconds(frame, suite)
    curves = {
        metric: {name: one.estimates() for name, one in samples(frame, suite, metric).items()} for metric in METRICS[1:]
    }
    rows = []
    for standing in table.rows:
        method = standing.method
        own = {"mse": standing.errors} | {metric: found[method] for metric, found in curves.items()}
        counted = [standing.operator_evaluations.get(level) for level in suite.levels]
        rows.append(
            Row(
                standing,
                page_name(method),
                numbers[method],
                _is_oracle(method),
                {metric: [_drawn(curve.get(level)) for level in suite.levels] for metric, curve in own.items()},
                [suite.images_at(level) if level in standing.errors else 0 for level in suite.levels],
                seconds[method],
                [math.nan if one is None else one.per_image for one in counted],
                floors.get(method),
                params[method],
                {column.key: column.cell(standing) for column in shown},
            )
        )
    return rows


def _style_numbers(table: Standings) -> dict[str, int]:
    """The first of every family before the second of any, so that those that pages draw at first differ in colour."""
    order = []
    for family in METHOD_KINDS:
        order += [(i, family, row.method) for i, row in enumerate(r for r in table.rows if r.family == family)]
    return {method: i for i, (*_, method) in enumerate(sorted(order, key=lambda o: (o[0], METHOD_KINDS.index(o[1]))))}


def page_name(method: str) -> str:
    """The method's name where it is fit for a file and a URL; else what is left of it, and a hash."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", method)
    return plain if plain == method else f"{plain}-{sha256(method.encode()).hexdigest()[:8]}"


@lru_cache
def dataset_facts(name: str) -> tuple[int, bool]:
    """n, and whether the licence forbids passing pictures on, from the dataset's source, for its import needs torch.

    A dataset that is not known here is taken to be restricted; n is 0 then.
    """
    from csbench.catalogue.registry import entries

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


def _drawn(estimate: Estimate | None) -> Estimate | None:
    """What a curve can show: the PSNR of an image that is exact is infinite."""
    return estimate if estimate and math.isfinite(estimate.value) else None


def _seconds(frame: pd.DataFrame, suite: Suite) -> dict[str, list[float]]:
    """Method to its CPU seconds per image at each level, NaN where there are none."""
    ok = frame.loc[frame["status"] == "ok"]
    means = (ok["cell_cpu_seconds"] / ok["batch_size"]).groupby([ok["method"], ok[suite.axis]], observed=True).mean()
    found = means.to_dict()
    return {
        name: [found.get((name, level), math.nan) for level in suite.levels] for name in map(str, set(frame["method"]))
    }


def _ratios(errors: Sequence[Samples]) -> np.ndarray:
    """`comparisons.ratios` of all pairs, shape [methods, methods, levels, 3]."""
    means = np.stack([one.mean for one in errors])
    resampled = np.stack([one.resampled for one in errors], axis=1)  # [resamples, methods, levels]
    found = np.empty((len(errors), *means.shape, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        for i in range(len(errors)):
            low, high = stats.interval(resampled[:, i : i + 1] / resampled)
            found[i] = np.stack([means[i] / means, low, high], axis=-1)
    return np.where(np.isfinite(found).all(-1, keepdims=True), found, np.nan)


def _params(frame: pd.DataFrame, suite: Suite) -> dict[str, dict[str, list[float]]]:
    """Method to its parameters, as JSON, each with the levels that it was run with; tuned ones depend on the noise."""
    found: dict[str, dict[str, list[float]]] = {}
    for method, params, level in (
        frame[["method", "params", suite.axis]].drop_duplicates().itertuples(index=False, name=None)
    ):
        found.setdefault(str(method), {}).setdefault(str(params), []).append(float(level))
    return found


def _is_oracle(method: str) -> bool:
    entry = entries("methods").get(method)
    return entry is not None and bool(entry.facts.get("oracle"))


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
