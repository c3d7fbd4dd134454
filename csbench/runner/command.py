"""What `csbench run` and `csbench status` do, from suite to exit code."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from csbench.files import write_atomically
from csbench.progress import progress_bar
from csbench.report.curves import plot
from csbench.report.leaderboard import render_suite, terminal_table
from csbench.report.standings import standings
from csbench.runner import provenance
from csbench.runner.kept import keep
from csbench.runner.local import default_jobs, run_cells
from csbench.runner.plan import Cell, State, make_cells, states
from csbench.runner.score import score
from csbench.store import Journal, load_results, published_cells
from csbench.suites import Suite

INTERRUPTED = 130


def suite_states(suite: Suite, results: Path) -> dict[str, dict[State, int]]:
    """Method to the number of its cells in each state."""
    table: dict[str, Counter] = {name: Counter() for name in suite.methods}
    for cell, state in _states(suite, results):
        table[cell.method_name][state] += 1
    return {name: {state: count[state] for state in State.__args__} for name, count in table.items()}


def run_suite(
    whole: Suite, part: Suite, results: Path, jobs: int | None, timeout: float | None, fresh: bool, as_json: bool
) -> int:
    """Run what is missing, stale or failed of `part`, store it, and report on it.

    Every finished cell is in the journal before the next is looked at; the Parquet files are written at the end, and
    also when the run is interrupted. Cells that a killed run left in the journal are taken over.

    Returns:
        the exit code: 0 where all cells are ok or do not apply, 1 where one is not, 130 where the run was interrupted.
    """
    jobs = jobs or default_jobs()
    started = time.monotonic()
    console = Console(stderr=True)
    with Journal(results) as journal:
        journal.compact()
        todo = [cell for cell, state in _states(part, results) if fresh or state not in ("fresh", "not_applicable")]
        run_id = uuid.uuid4().hex[:12]
        facts = provenance.collect(jobs)
        journal.begin_run(run_id, facts)
        try:
            failures = _run(todo, journal, results, jobs, timeout, run_id, console)
            interrupted = False
        except KeyboardInterrupt:
            failures, interrupted = 0, True
        finally:
            journal.begin_run(run_id, facts | {"ended": provenance.now()})
            written = journal.compact()
            journal.end_run(run_id)
    if interrupted:
        console.print(f"interrupted; what is finished is kept. Go on with: csbench {' '.join(sys.argv[1:])}")
        return INTERRUPTED
    bad = sum(state != "fresh" and state != "not_applicable" for _, state in _states(part, results))
    board = whole if whole.name == part.name else part  # the leaderboard is of all m and draws
    files = [*written, *_report(board, results)]
    seconds = time.monotonic() - started
    if as_json:
        print(json.dumps(_summary(part, board, results, files, seconds), indent=2))
        return 1 if bad else 0
    out = Console()
    frame = load_results(part.name, results)
    if len(frame):
        out.print(terminal_table(standings(frame, board), out.width))
    out.print(f"{len(todo)} cells run, {len(todo) - failures} ok, in {seconds:.0f} s with {jobs} workers. Files:")
    for path in files:
        out.print(f"  {path}", soft_wrap=True, highlight=False)
    if bad:
        out.print(f"[red]{bad} cells of {part.name} are not ok[/]; run again to retry them")
    return 1 if bad else 0


def _run(
    cells: list[Cell], journal: Journal, results: Path, jobs: int, timeout: float | None, run_id: str, console: Console
) -> int:
    """Run the cells under a progress bar; returns how many are not ok."""
    failures = 0
    with progress_bar("{task.fields[note]}") as progress:
        task = progress.add_task("cells", total=len(cells), note="starting workers")
        with contextlib.closing(run_cells(cells, jobs, timeout)) as outcomes:
            for cell, outcome, given, truth in outcomes:
                table = score(cell, outcome, given, truth, run_id)
                journal.commit(table)
                if outcome.x_hat is not None:
                    keep(results, cell.suite.name, cell.method_name, cell.id, outcome.x_hat)
                statuses = set(table["status"].to_pylist())
                where = f"{cell.method_name} m={cell.problem.m} draw={cell.problem.draw}"
                if statuses - {"ok", "not_applicable"}:
                    failures += 1
                    reasons = [text for text in table["reason"].to_pylist() if text]
                    last_line = reasons[0].strip().splitlines()[-1] if reasons else ""
                    progress.console.print(f"{where}: {', '.join(sorted(statuses))}: {last_line}", markup=False)
                note = where + (f", {failures} failed" if failures else "")
                progress.update(task, advance=1, note=note)
    return failures


def _states(suite: Suite, results: Path) -> list[tuple[Cell, State]]:
    stored = list(published_cells(results, suite))
    if (results / ".journal.sqlite").exists():
        with Journal(results) as journal:
            stored += journal.finished()
    return list(states(make_cells(suite), stored))


def _report(suite: Suite, results: Path) -> list[Path]:
    """Leaderboard and curve of one suite beside its results."""
    frame = load_results(suite.name, results)
    if not len(frame):
        return []
    table = standings(frame, suite)
    folder = results / f"suite={suite.name}"
    page = folder / "leaderboard.md"
    write_atomically(page, render_suite(table).encode())
    files = [page]
    if any(len(row.errors) > 1 for row in table.rows):
        plot(table, folder / "error-vs-m.png")
        files.append(folder / "error-vs-m.png")
    return files


def _summary(part: Suite, board: Suite, results: Path, files: list[Path], seconds: float) -> dict[str, Any]:
    table = standings(load_results(board.name, results), board)
    return {
        "suite": board.name,
        "seconds": round(seconds, 1),
        "files": [str(path) for path in files],
        "states": suite_states(part, results),
        "methods": [
            {"method": r.method, "rank": r.rank, "mse": {str(m): e.value for m, e in r.errors.items()}}
            for r in table.rows
        ],
    }
