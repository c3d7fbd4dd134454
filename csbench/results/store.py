"""Results on disk: results/suite=S/method=M.parquet, one row per image; sorted, the same bytes for the same rows.

A cell is (suite version, dataset, operator, m, noise, draw, images, method with its parameters); its key is a hash of
these, and `made_by` a hash of all that can move its numbers (`csbench.freshness`). Cells of runs that have not ended
are in `csbench.results.journal`. This module imports no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from csbench.catalogue.suites import Suite, load_suite, suite_names
from csbench.core.errors import ResultsError
from csbench.core.files import write_atomically
from csbench.core.names import shown
from csbench.results.checks import distinct, fault_of_columns, fault_of_diagnostic, fault_of_rows
from csbench.results.folder import method_of, results_files, suite_of
from csbench.results.parquet import DAMAGE, encode, open_file, unreadable
from csbench.results.schema import ORDER, SCHEMA, STATUSES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CellId:
    """Which cell a group of rows is, and what made it."""

    key: str
    made_by: str


def make_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as a table of the schema; keys that begin with `diag_` become float64 columns of their own.

    Raises:
        ResultsError: a column that the schema does not have.
    """
    return pa.Table.from_pylist(list(rows), schema=_schema_with(frozenset().union(*rows)))


@lru_cache
def _schema_with(columns: frozenset[str]) -> pa.Schema:
    extra = sorted(columns - set(SCHEMA.names))
    for name in extra:
        if fault := fault_of_diagnostic(name):
            raise ResultsError(fault)
    return pa.schema([*SCHEMA, *((name, pa.float64()) for name in extra)])


def read_file(path: Path, suite: Suite | None = None, may_lack: Sequence[str] = ()) -> pa.Table:
    """A results file, whole and checked.

    Args:
        suite: the suite that the rows must be of, at its version.
        may_lack: columns that are null where the file does not have them.

    Raises:
        ResultsError: not Parquet or truncated, of another schema, of a newer csbench, of another suite or version; the
            message names the file and the reason.
    """
    content = open_file(path)
    if fault := fault_of_columns(content.file.schema_arrow, may_lack):
        raise ResultsError(f"{path}: {fault}")
    try:
        table = content.file.read()
        table.validate(full=True)  # texts are UTF-8
    except DAMAGE as error:
        raise unreadable(path, error) from error
    for name in may_lack:
        if name not in table.schema.names:
            table = table.append_column(SCHEMA.field(name), pa.nulls(len(table), SCHEMA.field(name).type))
    for column, place in (("suite", suite_of(path)), ("method", method_of(path))):
        if (values := distinct(table, column)) - {place}:
            raise ResultsError(f"{path}: holds rows of {column} {', '.join(sorted(map(shown, values)))}")
    if fault := fault_of_rows(table, content.runs, may_lack):
        raise ResultsError(f"{path}: {fault}; restore the file, or delete it and run again")
    if suite is not None:
        _check_suite(path, table, suite)
    return table


def _check_suite(path: Path, table: pa.Table, suite: Suite) -> None:
    """Rows must be of the suite's version and of its problem."""
    if versions := distinct(table, "suite_version") - {suite.version}:
        raise ResultsError(
            f"{path}: rows of version {', '.join(map(str, sorted(versions)))} of suite {suite.name}, which is now at "
            f"version {suite.version}; delete the file and run the suite again"
        )
    expected = {"dataset": [suite.dataset], "operator": [suite.operator], "noise_norm": suite.noise_norms}
    for column, values in expected.items():
        if others := distinct(table, column) - set(values):
            raise ResultsError(
                f"{path}: rows with {column} = {', '.join(map(str, sorted(others)))}, but suite {suite.name} has "
                f"{', '.join(map(str, values))}; a changed suite needs a new version: raise it and delete the file"
            )


def write_file(path: Path, table: pa.Table, provenance: Mapping[str, Any]) -> None:
    """Replace a results file atomically; the same rows and provenance give the same bytes.

    Args:
        provenance: run id to what is known of that run; only runs that rows name are kept.

    Raises:
        ResultsError: rows are such as `read_file` would refuse; the file is as it was.
    """
    table = _in_schema_order(table).sort_by(ORDER)
    if fault := fault_of_rows(table):
        raise ResultsError(f"{path}: not written, since {fault}")
    runs = {run: _of_these_rows(provenance.get(run, {}), table) for run in sorted(distinct(table, "run_id"))}
    write_atomically(path, encode(table, runs))


def _of_these_rows(facts: Mapping[str, Any], table: pa.Table) -> dict[str, Any]:
    """What is known of a run, without what the numbers of others of its cells are made of."""
    made_by = distinct(table, "made_by")
    parts = {name: one for name, one in facts.get("made_of", {}).items() if name in made_by}
    return {**facts, "made_of": parts} if parts else {name: one for name, one in facts.items() if name != "made_of"}


def results_digest(results: Path, suite: str) -> str:
    """A short hash of a suite's files, so that a printed figure names the data that it was made from."""
    total = hashlib.sha256()
    for path in results_files(results, suite):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


def read_provenance(path: Path) -> dict[str, Any]:
    """Run id to provenance, as stored in a results file.

    Raises:
        ResultsError: the file cannot be trusted.
    """
    return open_file(path).runs


def read_made_of(path: Path) -> dict[str, dict]:
    """Hash `made_by` to what it is of, as stored in a results file."""
    return {
        made_by: one for facts in read_provenance(path).values() for made_by, one in facts.get("made_of", {}).items()
    }


def load_results(suite: str | None = None, results: str | Path = "results") -> pd.DataFrame:
    """Published rows as a data frame, one row per image.

    Args:
        suite: a name; None for every suite in the folder.
        results: the folder.

    Returns:
        columns as in `SCHEMA`, then diagnostics (`diag_*`, NaN where a method has none), sorted by suite, method, m,
        draw and image; empty where there are no results.

    Raises:
        ResultsError: a file cannot be trusted; nothing is returned then.
    """
    tables = []
    for path in results_files(Path(results), suite):
        name = suite_of(path)
        tables.append(read_file(path, load_suite(name) if name in suite_names() else None))
    table = pa.concat_tables([SCHEMA.empty_table(), *tables], promote_options="default")
    return table.to_pandas()


def _in_schema_order(table: pa.Table) -> pa.Table:
    diagnostics = sorted(set(table.schema.names) - set(SCHEMA.names))
    used = [name for name in diagnostics if table[name].null_count < len(table)]
    return table.select([*SCHEMA.names, *used])


def published_cells(results: Path, suite: Suite) -> dict[tuple, tuple[CellId, str, dict | None]]:
    """Every cell of a suite in the Parquet files, by method, m, noise norm and draw.

    Returns:
        its id, its status, and what its numbers are made of, where the file tells.

    Raises:
        ResultsError: a file cannot be trusted.
    """
    cells: dict[tuple, tuple[CellId, str, dict | None]] = {}
    for path in results_files(results, suite.name):
        made_of = read_made_of(path)
        place = ["method", "m", "noise_norm", "draw"]
        groups = read_file(path, suite).group_by([*place, "key", "made_by", "status"]).aggregate([]).to_pylist()
        for group in groups:
            where = tuple(group[name] for name in place)
            statuses = [group["status"], *([cells[where][1]] if where in cells else [])]
            made_by = group["made_by"]
            cells[where] = CellId(group["key"], made_by), worst(statuses), made_of.get(made_by)
    return cells


def methods_with_results(results: Path, suite: Suite) -> list[str]:
    """Names of the methods in the Parquet files of a suite, sorted, without those that are applicable nowhere in it.

    Raises:
        ResultsError: a file cannot be trusted.
    """
    paths = results_files(results, suite.name)
    statuses = {method_of(path): distinct(read_file(path, suite), "status") for path in paths}
    return [name for name, found in statuses.items() if found - {"not_applicable"}]


def worst(statuses: Iterable[str]) -> str:
    """The status of a cell from those of its images: ok only where all are."""
    return max(statuses, key=STATUSES.index)
