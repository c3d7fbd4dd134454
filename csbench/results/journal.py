"""results/.journal.sqlite: cells that are finished but not yet in Parquet; each commit is atomic and durable."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from csbench.core.errors import ResultsError
from csbench.results.schema import COORDINATES
from csbench.results.store import CellId, read_file, read_provenance, results_file, worst, write_file

SPACE = "Free space on that disk, see that it can be written to and that no other run holds the file, and run again"
JOURNAL_VERSION = 2  # of the rows that are not yet in Parquet
DIGEST_BYTES = 32  # of the sha256 before the rows of a cell in the journal


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
                "(key TEXT PRIMARY KEY, made_by TEXT, suite TEXT, method TEXT, status TEXT, rows BLOB)"
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
        values = (first["key"], first["made_by"], first["suite"], first["method"], status, blob)
        with self._explained():
            self._db.execute("INSERT OR REPLACE INTO cell VALUES (?, ?, ?, ?, ?, ?)", values)

    def finished(self) -> Iterator[tuple[CellId, str]]:
        """Every cell in the journal with its status."""
        for key, made_by, status in self._db.execute("SELECT key, made_by, status FROM cell"):
            yield CellId(key, made_by), status

    def made_of(self) -> dict[str, dict]:
        """Hash `made_by` to what it is of, for the runs that have not ended."""
        runs = [_facts(text) for (text,) in self._db.execute("SELECT provenance FROM run")]
        return {made_by: parts for facts in runs for made_by, parts in facts.get("made_of", {}).items()}

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
                provenance = {run: _facts(text) for run, text in self._db.execute("SELECT id, provenance FROM run")}
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


def _facts(text: str) -> dict[str, Any]:
    """What is known of a run; nothing where it is damaged, and then its rows count as stale."""
    try:
        return dict(json.loads(text))
    except ValueError:
        return {}


def _whole(blob: bytes) -> bool:
    return hashlib.sha256(blob[DIGEST_BYTES:]).digest() == blob[:DIGEST_BYTES]


def _unpacked(blob: bytes) -> pa.Table:
    return pa.ipc.open_stream(blob[DIGEST_BYTES:]).read_all()


def _coordinates(cell: pa.Table) -> tuple:
    first = cell.slice(0, 1).to_pylist()[0]
    return tuple(first[name] for name in COORDINATES)


def _without(table: pa.Table, coordinates: set[tuple]) -> pa.Table:
    rows = zip(*(table[name].to_pylist() for name in COORDINATES), strict=True)
    return table.filter(pa.array([row not in coordinates for row in rows], pa.bool_()))
