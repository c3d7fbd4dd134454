"""What `csbench run` and `csbench status` do, from suite to exit code."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from csbench.errors import MissingWeights
from csbench.files import write_atomically
from csbench.progress import progress_bar
from csbench.report.leaderboard import render_suite, terminal_table
from csbench.report.standings import Standings, standings
from csbench.runner import provenance
from csbench.runner.kept import keep
from csbench.runner.local import Limits
from csbench.runner.plan import Cell, State, make_cells, states
from csbench.runner.score import Finished
from csbench.store import Journal, load_results, published_cells
from csbench.suites import Suite


class Place(Protocol):
    """Where cells run: `local.ThisMachine` or `cluster.Cluster`; str() says it in a sentence about a run."""

    def facts(self) -> dict[str, Any]:
        """For the provenance of a run."""
        ...

    def run(self, cells: Iterable[Cell], limits: Limits, run_id: str) -> Generator[Finished, None, None]:
        """Run and score cells, each as it ends; closing the generator stops what runs."""
        ...


INTERRUPTED = 130
DONE = ("fresh", "not_applicable")


def suite_states(suite: Suite, results: Path) -> tuple[dict[str, dict[State, int]], set[Path]]:
    """Method to the number of its cells in each state, and the data files of all methods."""
    found, files = _states(suite, results), set()
    for method in {cell.method_name: cell.method for cell, _ in found}.values():
        with contextlib.suppress(MissingWeights):
            files |= set(method.data_files())
    return _counts(suite, found), files


def _counts(suite: Suite, found: list[tuple[Cell, State]]) -> dict[str, dict[State, int]]:
    table: dict[str, Counter] = {name: Counter() for name in suite.methods}
    for cell, state in found:
        table[cell.method_name][state] += 1
    return {name: {state: count[state] for state in State.__args__} for name, count in table.items()}


def run_suite(
    whole: Suite, part: Suite, results: Path, place: Place, limits: Limits, fresh: bool, as_json: bool
) -> int:
    """Run what is missing, stale or failed of `part`, store it, and report on it.

    Every finished cell is in the journal before the next is looked at; the Parquet files are written at the end, and
    also when the run is interrupted. Cells that a killed run left in the journal are taken over.

    Args:
        whole: the suite of which `part` is to run; the leaderboard shows it.
        place: this machine or a cluster.

    Returns:
        the exit code: 0 where all cells are ok or do not apply, 1 where one is not, 130 where the run was interrupted.
    """
    started = time.monotonic()
    console = Console(stderr=True)
    with Journal(results) as journal:
        journal.compact()
        if journal.damaged:
            console.print(f"{journal.damaged} cells in {journal.path} were damaged and run again")
        found = _states(part, results)
        todo = [cell for cell, state in found if fresh or state not in DONE]
        run_id = uuid.uuid4().hex[:12]
        facts = provenance.collect() | place.facts()
        journal.begin_run(run_id, facts)
        try:
            done = _run(todo, journal, results, place, limits, run_id, console)
            interrupted = False
        except KeyboardInterrupt:
            done, interrupted = [], True
        finally:
            journal.begin_run(run_id, facts | {"ended": provenance.now()})
            written = journal.compact()
            journal.end_run(run_id)
    if interrupted:
        console.print(f"interrupted; what is finished is kept. Go on with: csbench {' '.join(sys.argv[1:])}")
        return INTERRUPTED
    if todo:
        found = _states(part, results)
    bad = sum(state not in DONE for _, state in found)
    board = whole if whole.name == part.name else part  # the leaderboard is of all m and draws
    frame = load_results(part.name, results)
    table = standings(frame, board) if len(frame) else None
    files = [*written, *(_report(table, results) if table else [])]
    seconds = time.monotonic() - started
    if as_json:
        print(json.dumps(_summary(board.name, _counts(part, found), table, files, seconds), indent=2))
        return 1 if bad else 0
    out = Console()
    if table:
        out.print(terminal_table(table, out.width))
    if done:
        out.print(_overview(done))
    ok = sum(cell.ok for cell in done)
    out.print(f"{len(todo)} cells run, {ok} ok, in {seconds:.0f} s on {place}. Files:")
    for path in files:
        out.print(f"  {path}", soft_wrap=True, highlight=False)
    if bad:
        out.print(f"[red]{bad} cells of {part.name} are not ok[/]; run again to retry them")
    return 1 if bad else 0


@dataclass(frozen=True)
class _Done:
    """A cell that has run, for the summary."""

    method: str
    where: str
    seconds: float | None
    ok: bool


def _run(
    cells: list[Cell], journal: Journal, results: Path, place: Place, limits: Limits, run_id: str, console: Console
) -> list[_Done]:
    """Run the cells under progress bars, one line for each that is not ok."""
    done, failed = [], 0
    with progress_bar("{task.fields[note]}") as progress:
        totals = Counter(cell.method_name for cell in cells)
        of_method = {name: progress.add_task(f"  {name}", total=count, note="") for name, count in totals.items()}
        task = progress.add_task("cells", total=len(cells), note="starting workers")
        with contextlib.closing(place.run(cells, limits, run_id)) as stream:
            for one in stream:
                journal.commit(one.rows)
                cell = one.cell
                if one.x_hat is not None:
                    with contextlib.suppress(OSError):  # rescoring can do without, and a full disk shows in commit
                        keep(results, cell.suite.name, cell.method_name, cell.id, run_id, one.x_hat)
                statuses = set(one.rows["status"].to_pylist())
                ok = not statuses - {"ok", "not_applicable"}
                where = f"m={cell.problem.m} draw={cell.problem.draw}"
                if not ok:
                    reasons = [text for text in one.rows["reason"].to_pylist() if text]
                    last_line = reasons[0].strip().splitlines()[-1] if reasons else ""
                    said = f"{cell.method_name} {where}: {', '.join(sorted(statuses))}: {last_line}"
                    progress.console.print(said, markup=False)
                done.append(_Done(cell.method_name, where, one.seconds, ok))
                failed += not ok
                progress.advance(of_method[cell.method_name])
                progress.update(task, advance=1, note=f"{failed} failed" if failed else "")
    return done


def _overview(done: list[_Done]) -> Table:
    """What ran, by method, with the slowest cell of each."""
    table = Table("method", "cells", "not ok", "seconds", "slowest cell", title="what has run")
    for name in dict.fromkeys(one.method for one in done):
        mine = [one for one in done if one.method == name]
        timed = [one for one in mine if one.seconds is not None]
        slowest = max(timed, key=lambda one: one.seconds or 0.0, default=None)
        table.add_row(
            name,
            str(len(mine)),
            str(sum(not one.ok for one in mine)),
            f"{sum(one.seconds or 0.0 for one in timed):.1f}",
            f"{slowest.where}, {slowest.seconds:.1f} s" if slowest else "",
        )
    return table


def _states(suite: Suite, results: Path) -> list[tuple[Cell, State]]:
    stored = list(published_cells(results, suite))
    if (results / ".journal.sqlite").exists():
        with Journal(results) as journal:
            stored += journal.finished()
    return list(states(make_cells(suite), stored))


def _report(table: Standings, results: Path) -> list[Path]:
    """Leaderboard and curve of one suite beside its results; the curve is drawn only where the leaderboard changed."""
    folder = results / f"suite={table.suite.name}"
    page, curve = folder / "leaderboard.md", folder / "error-vs-m.png"
    text = render_suite(table).encode()
    if page.is_file() and curve.is_file() and page.read_bytes() == text:
        return [page, curve]
    write_atomically(page, text)
    if not any(len(row.errors) > 1 for row in table.rows):
        return [page]
    from csbench.report.curves import plot  # imports matplotlib, which takes half a second

    plot(table, curve)
    return [page, curve]


def _summary(
    suite: str, counts: dict[str, dict[State, int]], table: Standings | None, files: list[Path], seconds: float
) -> dict[str, Any]:
    return {
        "suite": suite,
        "seconds": round(seconds, 1),
        "files": [str(path) for path in files],
        "states": counts,
        "methods": [
            {"method": r.method, "rank": r.rank, "mse": {str(m): e.value for m, e in r.errors.items()}}
            for r in (table.rows if table else ())
        ],
    }
