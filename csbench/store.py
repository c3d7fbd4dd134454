"""Results on disk: one row per image in Parquet, and a journal of cells that are finished but not yet in Parquet.

    results/suite=S/method=M.parquet    what is published; sorted rows, the same bytes for the same rows
    results/.journal.sqlite             cells of runs that have not ended; each commit is atomic and durable

A cell is (suite version, dataset, operator, m, noise, draw, images, method with its parameters); its key is a hash of
these, and its fingerprint a hash of the code, parameters and weights that made it. This module imports no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from csbench.errors import ResultsError
from csbench.files import write_atomically
from csbench.suites import Suite, load_suite, suite_names

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
SPACE = "Free space on that disk, see that it can be written to and that no other run holds the file, and run again"
JOURNAL_VERSION = 1  # of the rows that are not yet in Parquet
DIGEST_BYTES = 32  # of the sha256 before the rows of a cell in the journal
STATUSES = ("ok", "not_applicable", "skipped", "diverged", "out_of_memory", "timeout", "failed")  # from good to bad
METRICS = ("mse", "relative_l2", "psnr", "ssim", "measurement_error")
DIAGNOSTIC = "diag_"

SCHEMA = pa.schema(
    [
        ("suite", pa.string()),
        ("suite_version", pa.int32()),
        ("dataset", pa.string()),
        ("operator", pa.string()),
        ("m", pa.int32()),
        ("noise_norm", pa.float64()),
        ("draw", pa.int32()),
        ("method", pa.string()),
        ("params", pa.string()),  # JSON
        ("key", pa.string()),
        ("image", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        *((metric, pa.float64()) for metric in METRICS),  # null unless ok
        ("seconds_per_image", pa.float64()),
        ("cell_wall_seconds", pa.float64()),
        ("cell_cpu_seconds", pa.float64()),
        ("peak_memory_mb", pa.float64()),
        ("batch_size", pa.int32()),
        ("threads", pa.int32()),
        ("device", pa.string()),
        ("y_sha256", pa.string()),
        ("fingerprint", pa.string()),
        ("run_id", pa.string()),
    ]
)
COORDINATES = ("suite", "suite_version", "dataset", "operator", "m", "noise_norm", "draw", "method")
ORDER = [("m", "ascending"), ("noise_norm", "ascending"), ("draw", "ascending"), ("image", "ascending")]


@dataclass(frozen=True)
class CellId:
    """Which cell a group of rows is, and what made it."""

    key: str
    fingerprint: str


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
        raise ResultsError(f"{path}: schema version {version} is older than {SCHEMA_VERSION}; run the suite again")
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
    runs = {run: provenance.get(run, {}) for run in sorted(_distinct(table, "run_id"))}
    metadata = {
        "csbench_schema_version": str(SCHEMA_VERSION),
        "csbench_provenance": json.dumps(runs, sort_keys=True),
    }
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd", write_page_checksum=True)
    write_atomically(path, buffer.getvalue())


def read_provenance(path: Path) -> dict[str, Any]:
    """Run id to provenance, as stored in a results file."""
    metadata = pq.read_schema(path).metadata or {}
    return json.loads(metadata.get(b"csbench_provenance", b"{}"))


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


class Journal:
    """Finished cells of runs that have not ended, in SQLite (write-ahead log, synchronous commits).

    Commits of several processes take turns. Use as a context manager.
    """

    def __init__(self, results: Path):
        self.results = results
        self.damaged = 0
        results.mkdir(parents=True, exist_ok=True)
        self.path = results / ".journal.sqlite"
        with self._explained():
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS cell "
                "(key TEXT PRIMARY KEY, fingerprint TEXT, suite TEXT, method TEXT, status TEXT, rows BLOB)"
            )
            self._db.execute("CREATE TABLE IF NOT EXISTS run (id TEXT PRIMARY KEY, provenance TEXT)")
            self._check_version()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Errors of SQLite with their remedy; only a damaged journal is one to give up."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise ResultsError(f"{self.path}: {error}; all finished cells are kept. {SPACE}") from error
        except sqlite3.DatabaseError as error:
            raise ResultsError(
                f"{self.path}: {error}; move it away to go on without the cells that it holds"
            ) from error

    def _check_version(self) -> None:
        """A journal of another format is refused while it holds cells, lest these be taken for damaged ones."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version != JOURNAL_VERSION:
            (cells,) = self._db.execute("SELECT count(*) FROM cell").fetchone()
            if cells:
                raise ResultsError(
                    f"{self.path}: holds {cells} finished cells in format {version}, this csbench writes format "
                    f"{JOURNAL_VERSION}; finish that run with the csbench that began it, or move the file away"
                )
            self._db.execute(f"PRAGMA user_version = {JOURNAL_VERSION}")

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def begin_run(self, run_id: str, provenance: Mapping[str, Any]) -> None:
        """Remember what is known of a run."""
        with self._explained():
            values = (run_id, json.dumps(provenance, sort_keys=True))
            self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", values)

    def end_run(self, run_id: str) -> None:
        """Forget a run whose cells are all in Parquet; runs beside it keep theirs."""
        with self._explained():
            self._db.execute("DELETE FROM run WHERE id = ?", (run_id,))

    def commit(self, table: pa.Table) -> None:
        """Add one finished cell; when this returns it is on disk."""
        first = table.slice(0, 1).to_pylist()[0]
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        status = worst(table["status"].to_pylist())
        rows = sink.getvalue()
        blob = hashlib.sha256(rows).digest() + rows
        values = (first["key"], first["fingerprint"], first["suite"], first["method"], status, blob)
        with self._explained():
            self._db.execute("INSERT OR REPLACE INTO cell VALUES (?, ?, ?, ?, ?, ?)", values)

    def finished(self) -> Iterator[tuple[CellId, str]]:
        """Every cell in the journal with its status."""
        for key, fingerprint, status in self._db.execute("SELECT key, fingerprint, status FROM cell"):
            yield CellId(key, fingerprint), status

    def compact(self) -> list[Path]:
        """Move every cell into its Parquet file; a cell there with the same coordinates is replaced.

        A cell whose bytes have changed since they were written is left out, and so runs again; `damaged` counts these.

        Returns:
            the files that were written.

        Raises:
            ResultsError: a file cannot be read or written, or the journal is damaged; it keeps its cells then.
        """
        written = []
        try:
            with self._explained(), self.exclusive():
                provenance = {run: json.loads(text) for run, text in self._db.execute("SELECT id, provenance FROM run")}
                groups = self._db.execute("SELECT DISTINCT suite, method FROM cell ORDER BY suite, method").fetchall()
                for suite, method in groups:
                    tables, fresh = self._gathered(suite, method)
                    if not fresh:
                        continue
                    path = results_file(self.results, suite, method)
                    known = provenance
                    if path.exists():
                        tables = [_without(read_file(path), fresh), *tables]
                        known = read_provenance(path) | provenance
                    write_file(path, pa.concat_tables(tables, promote_options="default"), known)
                    written.append(path)
                self._db.execute("DELETE FROM cell")
        except OSError as error:
            raise ResultsError(
                f"{error}; the finished cells are kept in {self.path}. Mend that and run again"
            ) from error
        return written

    def _gathered(self, suite: str, method: str) -> tuple[list[pa.Table], set[tuple]]:
        """The rows of a method's whole cells, in few tables since thousands take much memory; and their coordinates."""
        tables, seen = [], set()
        blobs = self._db.execute("SELECT rows FROM cell WHERE suite = ? AND method = ?", (suite, method))
        while stored := [blob for (blob,) in blobs.fetchmany(500)]:
            whole = [_unpacked(blob) for blob in stored if _whole(blob)]
            self.damaged += len(stored) - len(whole)
            cells = {_coordinates(cell): cell for cell in whole}
            if twins := seen & cells.keys():  # under another key, which is damaged then
                tables = [_without(table, twins) for table in tables]
            seen |= cells.keys()
            if cells:
                tables.append(pa.concat_tables(cells.values(), promote_options="default").combine_chunks())
        return tables, seen

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else commits or compacts meanwhile."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.DatabaseError):  # a full disk may have rolled back already
                self._db.execute("ROLLBACK")
            raise


def _whole(blob: bytes) -> bool:
    return hashlib.sha256(blob[DIGEST_BYTES:]).digest() == blob[:DIGEST_BYTES]


def _unpacked(blob: bytes) -> pa.Table:
    return pa.ipc.open_stream(blob[DIGEST_BYTES:]).read_all()


def published_cells(results: Path, suite: Suite) -> Iterator[tuple[CellId, str]]:
    """Every cell of a suite in the Parquet files with its status.

    Raises:
        ResultsError: a file cannot be trusted.
    """
    for path in sorted((results / f"suite={suite.name}").glob("method=*.parquet")):
        columns = ["key", "fingerprint", "status"]
        cells: dict[CellId, set[str]] = {}
        for group in read_file(path, suite).group_by(columns).aggregate([]).to_pylist():
            cells.setdefault(CellId(group["key"], group["fingerprint"]), set()).add(group["status"])
        yield from ((cell_id, worst(statuses)) for cell_id, statuses in cells.items())


def worst(statuses: Iterable[str]) -> str:
    """The status of a cell from those of its images: ok only where all are."""
    return max(statuses, key=STATUSES.index)


def _coordinates(cell: pa.Table) -> tuple:
    first = cell.slice(0, 1).to_pylist()[0]
    return tuple(first[name] for name in COORDINATES)


def _without(table: pa.Table, coordinates: set[tuple]) -> pa.Table:
    rows = zip(*(table[name].to_pylist() for name in COORDINATES), strict=True)
    return table.filter(pa.array([row not in coordinates for row in rows], pa.bool_()))


def floor_path(results: Path, prior: str, dataset: str) -> Path:
    """Where the representation errors of a prior on test images are kept; `csbench project` writes them."""
    return results / "representation" / f"prior={prior}" / f"dataset={dataset}.parquet"
