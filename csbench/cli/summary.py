"""What a run says when it ends: the leaderboard, what has run, the files, the exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from csbench.catalogue.suites import Suite
from csbench.core.files import write_atomically
from csbench.report.leaderboard import render_suite, terminal_table
from csbench.report.ranking import Standings, standings
from csbench.results.store import load_results
from csbench.runner.ran import Done, Ran
from csbench.runner.remembered import open_cells


def report(
    whole: Suite,
    part: Suite,
    results: Path,
    as_json: bool,
    ran: Ran,
) -> int:
    """Write leaderboard and curve beside the results, and print them with what has run.

    Args:
        whole: the suite of which `part` was to run; the leaderboard shows it.
        ran: with the states of the cells of `part`.

    Returns:
        the exit code: 0 where all cells are ok or do not apply, else 1.
    """
    bad = open_cells(ran.counts)
    board = whole if whole.name == part.name else part  # the leaderboard is of all m and draws
    frame = load_results(part.name, results)
    table = standings(frame, board) if len(frame) else None
    files = [*ran.written, *(_drawn(table, results) if table else [])]
    if as_json:
        print(json.dumps(_for_machines(board.name, ran.counts, table, files, ran.seconds), indent=2))
        return 1 if bad else 0
    out = Console()
    if table:
        out.print(terminal_table(table, out.width))
    if ran.done:
        out.print(_overview(ran.done))
    ok = sum(cell.ok for cell in ran.done)
    out.print(f"{ran.cells} cells run, {ok} ok, in {ran.seconds:.0f} s on {ran.place}. Files:")
    for path in files:
        out.print(f"  {path}", soft_wrap=True, highlight=False)
    if bad:
        out.print(f"[red]{bad} cells of {part.name} are not ok[/]; run again to retry them")
    return 1 if bad else 0


def _overview(done: Sequence[Done]) -> Table:
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


def _drawn(table: Standings, results: Path) -> list[Path]:
    """Leaderboard and curve of one suite; the curve is drawn only where the leaderboard changed."""
    folder = results / f"suite={table.suite.name}"
    page, curve = folder / "leaderboard.md", folder / f"error-vs-{table.suite.axis.replace('_norm', '')}.png"
    text = render_suite(table).encode()
    if page.is_file() and curve.is_file() and page.read_bytes() == text:
        return [page, curve]
    write_atomically(page, text)
    if not any(len(row.errors) > 1 for row in table.rows):
        return [page]
    from csbench.report.curves import plot  # imports matplotlib, which takes half a second

    plot(table, curve)
    return [page, curve]


def _for_machines(
    suite: str,
    counts: Mapping[str, Mapping[str, int]],
    table: Standings | None,
    files: list[Path],
    seconds: float,
) -> dict[str, Any]:
    return {
        "suite": suite,
        "seconds": round(seconds, 1),
        "files": [str(path) for path in files],
        "states": counts,
        "methods": [
            {"method": r.method, "rank": r.rank, "mse": {str(level): e.value for level, e in r.errors.items()}}
            for r in (table.rows if table else ())
        ],
    }
