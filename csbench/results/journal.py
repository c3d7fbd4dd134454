"""results/.journal.sqlite: cells that are finished but not yet in Parquet; each commit is atomic and durable."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from csbench.core.errors import ResultsError
from csbench.results.checks import fault_of_columns, fault_of_rows
from csbench.results.disks import is_local
from csbench.results.folder import results_file
from csbench.results.parquet import DAMAGE, json_object
from csbench.results.schema import COORDINATES
from csbench.results.store import CellId, read_file, read_provenance, worst, write_file

SPACE = "Free space on that disk, see that it can be written to and that no other run holds the file, and run again"
JOURNAL_VERSION = 2  # of the rows that are not yet in Parquet
DIGEST_BYTES = 32  # of the sha256 before the rows of a cell in the journal
TABLES = {
    "cell": "key TEXT PRIMARY KEY, made_by TEXT, suite TEXT, method TEXT, status TEXT, rows BLOB",
    "run": "id TEXT PRIMARY KEY, provenance TEXT",
}


class Journal:
    """Finished cells of runs that have not ended, in SQLite, with synchronous commits.

    Commits of several processes take turns. On a disk of this machine SQLite writes ahead, which is fastest; on any
    other, where processes of several machines cannot share the memory that this takes, it keeps a rollback journal. Use
    as a context manager.

    Raises:
        ResultsError: the folder cannot be written to, or the journal is damaged or of another csbench.
    """

    def __init__(self, results: Path):
        self.results = results
        self.damaged = 0
        self.path = results / ".journal.sqlite"
        with self._explained():
            self._open()

    def _open(self) -> None:
        self.results.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        mode = "WAL" if is_local(self.results) else "DELETE"
        try:
            (found,) = self._db.execute(f"PRAGMA journal_mode={mode}").fetchone()
        except sqlite3.OperationalError:
            found = ""
        if found.upper() != mode:  # this disk cannot do it after all
            self._db.execute("PRAGMA journal_mode=DELETE")
        self._db.execute("PRAGMA synchronous=FULL")
        for name, columns in TABLES.items():
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
        self._check_version()
        self._inode = os.stat(self.path).st_ino

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Errors of SQLite with their remedy; only a damaged journal is one to give up."""
        try:
            yield
        except OSError as error:
            raise ResultsError(f"{error.filename or self.path}: {error.strerror}; name another folder") from error
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
        self._put("run", (run_id, json.dumps(provenance, sort_keys=True)))

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
        self._put("cell", (first["key"], first["made_by"], first["suite"], first["method"], status, blob))

    def _put(self, table: str, values: tuple) -> None:
        with self._explained():
            self._rescue()
            self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(values))})", values)

    def _rescue(self) -> None:
        """Where somebody has removed the file, what this process still holds of it goes into a new one.

        SQLite would write on into the file that nobody finds any more.
        """
        with contextlib.suppress(FileNotFoundError):
            if os.stat(self.path).st_ino == self._inode:
                return
        old = self._db
        for suffix in ("-wal", "-shm"):  # of the file that is gone; they would be taken for those of the new one
            if not self.path.exists():
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self._open()
        with contextlib.closing(old):
            for name, columns in TABLES.items():
                marks = ", ".join("?" * (columns.count(",") + 1))
                self._db.executemany(
                    f"INSERT OR IGNORE INTO {name} VALUES ({marks})", old.execute(f"SELECT * FROM {name}").fetchall()
                )

    def finished(self) -> list[tuple[CellId, str]]:
        """Every cell in the journal with its status."""
        with self._explained():
            rows = self._db.execute("SELECT key, made_by, status FROM cell").fetchall()
        return [(CellId(key, made_by), status) for key, made_by, status in rows]

    def made_of(self) -> dict[str, dict]:
        """Hash `made_by` to what it is of, for the runs that have not ended."""
        with self._explained():
            runs = [_facts(text) for (text,) in self._db.execute("SELECT provenance FROM run").fetchall()]
        return {made_by: parts for facts in runs for made_by, parts in facts.get("made_of", {}).items()}

    def compact(self) -> list[Path]:
        """Move every cell into its Parquet file; a cell there with the same coordinates is replaced.

        A cell whose bytes have changed since they were written, or that no results file may hold, is left out, and so
        runs again; `damaged` counts these.

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
                    self._written(path, pa.concat_tables(tables, promote_options="default"), known)
                    written.append(path)
                self._db.execute("DELETE FROM cell")
        except ResultsError as error:
            raise error if str(self.path) in str(error) else self._kept(error) from error
        return written

    def _written(self, path: Path, table: pa.Table, known: Mapping[str, Any]) -> None:
        try:
            write_file(path, table, known)
        except OSError as error:
            raise self._kept(error) from error

    def _kept(self, error: Exception) -> ResultsError:
        return ResultsError(f"{error}; the finished cells are kept in {self.path}. Mend that and run again")

    def _gathered(self, suite: str, method: str) -> tuple[list[pa.Table], set[tuple]]:
        """The rows of a method's whole cells, in few tables since thousands take much memory; and their coordinates."""
        tables, seen = [], set()
        blobs = self._db.execute("SELECT rows FROM cell WHERE suite IS ? AND method IS ?", (suite, method))
        while stored := [blob for (blob,) in blobs.fetchmany(500)]:
            whole = [cell for blob in stored if (cell := _unpacked(blob)) is not None]
            whole = _fit(whole, {"suite": suite, "method": method})
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


def _facts(text: object) -> dict[str, Any]:
    """What is known of a run; nothing where it is damaged, and then its rows count as stale."""
    facts = json_object(text) or {}
    made_of = facts.get("made_of", {})
    whole = isinstance(made_of, dict) and all(isinstance(parts, dict) for parts in made_of.values())
    return facts if whole else {}


def _unpacked(blob: object) -> pa.Table | None:
    """The rows of a cell; None where they are not those that were written."""
    if not isinstance(blob, bytes) or hashlib.sha256(blob[DIGEST_BYTES:]).digest() != blob[:DIGEST_BYTES]:
        return None
    try:
        return pa.ipc.open_stream(blob[DIGEST_BYTES:]).read_all()
    except DAMAGE:
        return None


def _fit(cells: list[pa.Table], of: Mapping[str, str]) -> list[pa.Table]:
    """Those that may stand in a results file of what `of` says."""
    cells = [cell for cell in cells if fault_of_columns(cell.schema) is None]
    if cells and _fits(pa.concat_tables(cells, promote_options="default"), of):
        return cells  # all at once, in the time of one
    return [cell for cell in cells if _fits(cell, of)]


def _fits(rows: pa.Table, of: Mapping[str, str]) -> bool:
    return fault_of_rows(rows) is None and all(rows[name].unique().to_pylist() == [of[name]] for name in of)


def _coordinates(cell: pa.Table) -> tuple:
    first = cell.slice(0, 1).to_pylist()[0]
    return tuple(first[name] for name in COORDINATES)


def _without(table: pa.Table, coordinates: set[tuple]) -> pa.Table:
    rows = zip(*(table[name].to_pylist() for name in COORDINATES), strict=True)
    return table.filter(pa.array([row not in coordinates for row in rows], pa.bool_()))
