"""The union of two folders of results: nothing is dropped without a word."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from csbench.core.errors import ResultsError, UsageError
from csbench.core.names import check_distinct
from csbench.results.folder import results_files
from csbench.results.journal import Journal
from csbench.results.schema import COORDINATES, METRICS
from csbench.results.store import read_file, read_provenance, write_file

SAME = (*METRICS, "status", "made_by", "params", "y_sha256")  # what two copies of a row must agree on


@dataclass
class Merged:
    """What came of it.

    Attributes:
        written: file to its number of rows.
        conflicts: one line for each cell that both folders have and that differs.
    """

    written: dict[Path, int] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)


def merge_folders(first: Path, second: Path, output: Path, prefer: str | None = None) -> Merged:
    """Unite `first` (A) and `second` (B) in `output`.

    A cell that only one has is kept. One that both have with the same numbers is kept once, A's copy. Where the numbers
    differ it is a conflict: without `prefer` its whole file is left unwritten.

    Args:
        prefer: "A" or "B", whose copy of a cell in conflict to keep.

    Raises:
        UsageError: a folder has no results, or cells in its journal; a third folder for output has the file already.
        ResultsError: a file cannot be trusted; nothing has been written then.
    """
    folders = (first, second)
    for folder in folders:
        if not results_files(folder):
            raise UsageError(f"no results in {folder}/: they belong in suite=NAME/method=NAME.parquet there")
    with contextlib.ExitStack() as locks:
        for folder in {folder.resolve(): folder for folder in folders}.values():
            _lock(folder, locks)
        return _merge(folders, output, prefer)


def _merge(folders: tuple[Path, Path], output: Path, prefer: str | None) -> Merged:
    files = sorted({path.relative_to(folder) for folder in folders for path in results_files(folder)})
    check_distinct(map(str, files), f"{' and '.join(map(str, folders))}: the files", ResultsError)
    if output.resolve() not in [folder.resolve() for folder in folders]:
        for name in files:
            if (output / name).exists():
                raise UsageError(f"{output / name} is there already and would be replaced; merge two folders at a time")
    outcome = Merged()
    ready = []
    for name in files:
        paths = [folder / name for folder in folders if (folder / name).exists()]
        tables = [read_file(path) for path in paths]
        known: dict[str, object] = {}
        for path in reversed(paths):
            known |= read_provenance(path)
        conflicts: list[str] = []
        if len(tables) == 2:
            _check_problem(name, *tables)
            tables, conflicts = _united(name, tables[0], tables[1], prefer)
        outcome.conflicts += conflicts
        if not conflicts or prefer:
            ready.append((output / name, pa.concat_tables(tables, promote_options="default"), known))
    for path, table, known in ready:
        write_file(path, table, known)  # type: ignore[arg-type]
        outcome.written[path] = len(table)
    return outcome


def _lock(folder: Path, locks: contextlib.ExitStack) -> None:
    """No run writes to this folder until the merge is done; one that is under way is not merged by halves."""
    if (folder / ".journal.sqlite").exists():
        journal = locks.enter_context(Journal(folder))
        locks.enter_context(journal.exclusive())
        if cells := len(journal.finished()):
            raise UsageError(
                f"{folder}/ has {cells} finished cells of a run that has not ended; end it with `csbench run` first"
            )


def _check_problem(name: Path, a: pa.Table, b: pa.Table) -> None:
    """Rows of two versions of a suite never stand in one file."""
    for column in ("suite_version", "dataset", "operator", "noise_norm"):
        ours, theirs = (sorted(set(table[column].to_pylist())) for table in (a, b))
        if ours != theirs:
            raise ResultsError(
                f"{name}: {column} is {ours} in A and {theirs} in B; rows of one suite version belong together"
            )


def _united(name: Path, a: pa.Table, b: pa.Table, prefer: str | None) -> tuple[list[pa.Table], list[str]]:
    """The rows of each that stay, and the cells in conflict."""
    ours, theirs = _cells(a), _cells(b)
    conflicts = []
    for cell in sorted(ours.keys() & theirs.keys()):
        differing = _differing(a.take(ours[cell]), b.take(theirs[cell]))
        if differing:
            m, draw = cell[COORDINATES.index("m")], cell[COORDINATES.index("draw")]
            conflicts.append(f"{name}: m = {m}, draw {draw}: A and B differ in {', '.join(differing)}")
        del (ours if differing and prefer == "B" else theirs)[cell]
    return [_rows(a, ours), _rows(b, theirs)], conflicts


def _cells(table: pa.Table) -> dict[tuple, list[int]]:
    """Coordinates of each cell to the numbers of its rows."""
    cells: dict[tuple, list[int]] = {}
    for i, cell in enumerate(zip(*(table[name].to_pylist() for name in COORDINATES), strict=True)):
        cells.setdefault(cell, []).append(i)
    return cells


def _rows(table: pa.Table, cells: dict[tuple, list[int]]) -> pa.Table:
    return table.take(pa.array([row for rows in cells.values() for row in rows], pa.int64()))


def _differing(a: pa.Table, b: pa.Table) -> list[str]:
    """Names of the columns in which two copies of a cell differ."""
    a, b = a.sort_by("image"), b.sort_by("image")
    if a["image"].to_pylist() != b["image"].to_pylist():
        return ["image"]
    return [name for name in SAME if not a[name].equals(b[name])]
