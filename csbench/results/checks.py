"""Whether rows are such as csbench writes: columns, ranges, names, and what belongs together."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from csbench.core.names import fault_of, shown
from csbench.results.parquet import json_object
from csbench.results.schema import COORDINATES, DIAGNOSTIC, METRICS, SCHEMA, STATUSES

GREATEST = float(np.finfo(np.float64).max)
ROUNDING = 1e-6  # by which an SSIM may be above 1


@dataclass(frozen=True)
class Range:
    """What numbers a column may hold; null says that there is none.

    Attributes:
        nan: whether one that is not defined may stand there as NaN.
        required: whether no row goes without.
    """

    low: float
    high: float = GREATEST
    nan: bool = False
    required: bool = False

    @property
    def words(self) -> str:
        return f"{self.low:g} or more" if self.high >= GREATEST else f"from {self.low:g} to {self.high:g}"

    def outside(self, values: np.ndarray) -> np.ndarray:
        """Which values are not in the range."""
        return ~((values >= self.low) & (values <= self.high) | (np.isnan(values) & self.nan))


RANGES = {
    "suite_version": Range(1, required=True),
    "m": Range(1, required=True),
    "noise_norm": Range(0, required=True),
    "draw": Range(0, required=True),
    "image": Range(0, required=True),
    "mse": Range(0, math.inf),
    "relative_l2": Range(0, math.inf, nan=True),
    "psnr": Range(-math.inf, math.inf, nan=True),  # infinite where an image is exact
    "ssim": Range(-1 - ROUNDING, 1 + ROUNDING, nan=True),
    "measurement_error": Range(0, math.inf, nan=True),
    "seconds_per_image": Range(0),
    "cell_wall_seconds": Range(0),
    "cell_cpu_seconds": Range(0),
    "peak_memory_mb": Range(0),
    "batch_size": Range(1),
    "threads": Range(1),
}
NAMES = {"suite": "~", "dataset": "", "operator": ":", "method": "", "key": "", "made_by": "", "run_id": ""}
ONE_CELL = ("params", "key", "made_by", "run_id")  # what all rows of a cell have in common


def fault_of_columns(schema: pa.Schema, may_lack: Sequence[str] = ()) -> str | None:
    """What is wrong with the columns of a file; None where nothing is.

    Args:
        may_lack: columns that need not be there.
    """
    return next(_faults_of_columns(schema, may_lack), None)


def fault_of_rows(table: pa.Table, runs: Collection[str] | None = None, may_lack: Sequence[str] = ()) -> str | None:
    """What is wrong with the rows of a table whose columns are right; None where nothing is.

    Args:
        runs: the ids of all runs that rows may name, each of which some row names; None where that is not known.
        may_lack: metrics that rows may go without.
    """
    return next(_faults_of_rows(table, runs, may_lack), None)


def _faults_of_columns(schema: pa.Schema, may_lack: Sequence[str]) -> Iterator[str]:
    found = schema.names
    for name in found:
        if found.count(name) > 1:
            yield f"two columns are called {shown(name)}"
        if name not in SCHEMA.names and (fault := fault_of_diagnostic(name)):
            yield fault
        if name not in SCHEMA.names and schema.field(name).type != pa.float64():
            yield f"column {name!r} is {schema.field(name).type}, diagnostics are double"
    for field in SCHEMA:
        if field.name not in found and field.name not in may_lack:
            remedy = "; csbench rescore computes it" if field.name in METRICS else ""
            yield f"column {field.name!r} is missing{remedy}"
        elif field.name in found and schema.field(field.name).type != field.type:
            yield f"column {field.name!r} is {schema.field(field.name).type}, the schema says {field.type}"


def fault_of_diagnostic(name: str) -> str | None:
    """What is wrong with the name of a column that the schema does not have; None where it is a diagnostic's."""
    if not name.startswith(DIAGNOSTIC):
        return f"unknown column {shown(name)}; diagnostics begin with {DIAGNOSTIC!r}"
    fault = fault_of(name.removeprefix(DIAGNOSTIC))
    return f"the name of column {shown(name)} behind {DIAGNOSTIC!r} {fault}" if fault else None


def _faults_of_rows(table: pa.Table, runs: Collection[str] | None, may_lack: Sequence[str]) -> Iterator[str]:
    if not len(table):
        yield "holds no rows"
    for name, range_ in RANGES.items():
        yield from _faults_of_numbers(table, name, range_)
    for name, parameters in NAMES.items():
        for value in distinct(table, name):
            if fault := fault_of(value, parameters):
                yield f"column {name!r} {fault}, got {shown(value)}"
    for value in distinct(table, "status") - set(STATUSES):
        yield f"unknown status {shown(value)}; there are {', '.join(STATUSES)}"
    for text in distinct(table, "params"):
        params = json_object(text)
        prior = (params or {}).get("prior")
        if params is None or (prior and fault_of(prior)):
            yield f"column 'params' must be an object of JSON, whose prior is a name, got {shown(text)}"
    yield from _faults_of_metrics(table, may_lack)
    yield from _faults_of_cells(table)
    if runs is not None and set(runs) != distinct(table, "run_id"):
        yield "its rows are of other runs than its provenance"


def _faults_of_numbers(table: pa.Table, name: str, range_: Range) -> Iterator[str]:
    null = table[name].is_null().to_numpy()
    wrong = range_.outside(table[name].to_numpy().astype(np.float64)) & ~null | (null & range_.required)
    if wrong.any():
        row = int(wrong.argmax())
        yield f"column {name!r} is {table[name][row].as_py()} in row {row}, it must be {range_.words}"


def _faults_of_metrics(table: pa.Table, may_lack: Sequence[str]) -> Iterator[str]:
    """Rows have metrics if they are ok, and only then."""
    ok = np.array(table["status"].to_pylist()) == "ok"
    for name in METRICS:
        there = table[name].is_valid().to_numpy()
        if (there & ~ok).any():
            yield f"column {name!r} has a value in row {int((there & ~ok).argmax())}, which is not ok"
    lacking = ok & table["mse"].is_null().to_numpy()
    if "mse" not in may_lack and lacking.any():
        yield f"column 'mse' has no value in row {int(lacking.argmax())}, which is ok"


def _faults_of_cells(table: pa.Table) -> Iterator[str]:
    cells = _numbered(table, COORDINATES)
    images = _numbered(table, ["image"], cells)
    if len(np.unique(images)) < len(table):
        yield "an image stands there twice for one m, noise and draw"
    count = len(np.unique(cells))
    for name in ONE_CELL:
        if len(np.unique(_numbered(table, [name], cells))) > count:
            yield f"rows of one cell differ in column {name!r}"


def _numbered(table: pa.Table, columns: Sequence[str], within: np.ndarray | None = None) -> np.ndarray:
    """A number for each row, the same for rows with the same values, and the same number `within`; shape [rows]."""
    numbers = np.zeros(len(table), np.int64) if within is None else within
    for name in columns:
        encoded = table[name].combine_chunks().dictionary_encode()
        numbers = numbers * len(encoded.dictionary) + encoded.indices.to_numpy()
        if len(encoded.dictionary) > 1:
            numbers = np.unique(numbers, return_inverse=True)[1]  # they stay below the number of rows
    return numbers


def distinct(table: pa.Table, column: str) -> set:
    """The values of a column."""
    return set(table[column].unique().to_pylist())
