"""Results on disk: results/suite=S/method=M.parquet, one row per image; sorted, the same bytes for the same rows.

A cell is (suite version, dataset, operator, m, noise, draw, images, method with its parameters); its key is a hash of
these, and `made_by` a hash of all that can move its numbers (`csbench.freshness`). Cells of runs that have not ended
are in `csbench.results.journal`. This module imports no torch.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from csbench.catalogue.suites import Suite, load_suite, suite_names
from csbench.core.errors import ResultsError
from csbench.core.files import write_atomically
from csbench.results.schema import DIAGNOSTIC, METRICS, ORDER, SCHEMA, SCHEMA_VERSION, STATUSES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CellId:
    """Which cell a group of rows is, and what made it."""

    key: str
    made_by: str


def results_file(results: Path, suite: str, method: str) -> Path:
    """Where the rows of a method on a suite are published."""
    return results / f"suite={suite}" / f"method={method}.parquet"


def make_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as a table of the schema; keys that begin with `diag_` become float64 columns of their own.

    Raises:
        ResultsError: a column that the schema does not have.
    """
    return pa.Table.from_pylist(list(rows), schema=_schema_with(frozenset().union(*rows)))


@lru_cache
def _schema_with(columns: frozenset[str]) -> pa.Schema:
    extra = sorted(columns - set(SCHEMA.names))
    if wrong := [name for name in extra if not name.startswith(DIAGNOSTIC)]:
        raise ResultsError(f"unknown column {wrong[0]!r}; diagnostics begin with {DIAGNOSTIC!r}")
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
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException) as error:
        raise ResultsError(
            f"{path}: not a whole Parquet file ({str(error).splitlines()[0]}); restore or delete it"
        ) from error
    metadata = table.schema.metadata or {}
    version = metadata.get(b"csbench_schema_version", b"").decode()
    if not version.isdigit():
        raise ResultsError(f"{path}: no schema version in its metadata; it was not written by csbench")
    if int(version) > SCHEMA_VERSION:
        raise ResultsError(f"{path}: schema version {version} is newer than {SCHEMA_VERSION}; upgrade csbench")
    if int(version) < SCHEMA_VERSION:
        raise ResultsError(
            f"{path}: schema version {version} is older than {SCHEMA_VERSION}; move it away and run its suite again"
        )
    for field in SCHEMA:
        if field.name not in table.schema.names and field.name in may_lack:
            table = table.append_column(field, pa.nulls(len(table), field.type))
        elif field.name not in table.schema.names:
            remedy = "; csbench rescore computes it" if field.name in METRICS else ""
            raise ResultsError(f"{path}: column {field.name!r} is missing{remedy}")
        if table.schema.field(field.name).type != field.type:
            found = table.schema.field(field.name).type
            raise ResultsError(f"{path}: column {field.name!r} is {found}, the schema says {field.type}")
    for name in set(table.schema.names) - set(SCHEMA.names):
        if not name.startswith(DIAGNOSTIC):
            raise ResultsError(f"{path}: unknown column {name!r}")
    folder, stem = path.parent.name, path.stem
    for column, place in (("suite", folder), ("method", stem)):
        values = _distinct(table, column)
        if {f"{column}={value}" for value in values} - {place}:
            raise ResultsError(f"{path}: holds rows of {column} {', '.join(map(repr, sorted(values)))}")
    if strange := _distinct(table, "status") - set(STATUSES):
        raise ResultsError(f"{path}: unknown status {sorted(map(str, strange))[0]!r}")
    if suite is not None:
        _check_suite(path, table, suite)
    return table


def _distinct(table: pa.Table, column: str) -> set:
    return set(table[column].unique().to_pylist())


def _check_suite(path: Path, table: pa.Table, suite: Suite) -> None:
    """Rows must be of the suite's version and of its problem, each image once per m, noise and draw."""
    if versions := _distinct(table, "suite_version") - {suite.version}:
        raise ResultsError(
            f"{path}: rows of version {', '.join(map(str, sorted(versions)))} of suite {suite.name}, which is now at "
            f"version {suite.version}; delete the file and run the suite again"
        )
    expected = {"dataset": [suite.dataset], "operator": [suite.operator], "noise_norm": suite.noise_norms}
    for column, values in expected.items():
        if others := _distinct(table, column) - set(values):
            raise ResultsError(
                f"{path}: rows with {column} = {', '.join(map(str, sorted(others)))}, but suite {suite.name} has "
                f"{', '.join(map(str, values))}; a changed suite needs a new version: raise it and delete the file"
            )
    if len(table.group_by(["m", "noise_norm", "draw", "image"]).aggregate([])) < len(table):
        raise ResultsError(
            f"{path}: an image stands there twice for one m, noise and draw; delete the file and run again"
        )


def write_file(path: Path, table: pa.Table, provenance: Mapping[str, Any]) -> None:
    """Replace a results file atomically; the same rows and provenance give the same bytes.

    Args:
        provenance: run id to what is known of that run; only runs that rows name are kept.
    """
    table = _in_schema_order(table).sort_by(ORDER)
    runs = {run: _of_these_rows(provenance.get(run, {}), table) for run in sorted(_distinct(table, "run_id"))}
    metadata = {
        "csbench_schema_version": str(SCHEMA_VERSION),
        "csbench_provenance": json.dumps(runs, sort_keys=True),
    }
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd", write_page_checksum=True)
    write_atomically(path, buffer.getvalue())


def _of_these_rows(facts: Mapping[str, Any], table: pa.Table) -> dict[str, Any]:
    """What is known of a run, without what the numbers of others of its cells are made of."""
    made_by = _distinct(table, "made_by")
    parts = {name: one for name, one in facts.get("made_of", {}).items() if name in made_by}
    return {**facts, "made_of": parts} if parts else {name: one for name, one in facts.items() if name != "made_of"}


def results_digest(results: Path, suite: str) -> str:
    """A short hash of a suite's files, so that a printed figure names the data that it was made from."""
    total = hashlib.sha256()
    for path in sorted((results / f"suite={suite}").glob("method=*.parquet")):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


def read_provenance(path: Path) -> dict[str, Any]:
    """Run id to provenance, as stored in a results file."""
    metadata = pq.read_schema(path).metadata or {}
    return json.loads(metadata.get(b"csbench_provenance", b"{}"))


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
    for path in sorted(Path(results).glob(f"suite={suite or '*'}/method=*.parquet")):
        name = path.parent.name.removeprefix("suite=")
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
    for path in sorted((results / f"suite={suite.name}").glob("method=*.parquet")):
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
    paths = sorted((results / f"suite={suite.name}").glob("method=*.parquet"))
    statuses = {path.stem.removeprefix("method="): _distinct(read_file(path, suite), "status") for path in paths}
    return [name for name, found in statuses.items() if found - {"not_applicable"}]


def worst(statuses: Iterable[str]) -> str:
    """The status of a cell from those of its images: ok only where all are."""
    return max(statuses, key=STATUSES.index)
