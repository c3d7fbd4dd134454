"""A run as it is shown while it goes on: progress bars, and a line for each cell that is not ok."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.progress import Progress, TaskID

from csbench.cli.progress import progress_bar
from csbench.runner.plan import Cell
from csbench.runner.score import Finished
from csbench.runner.states import States


class Bars:
    """A `Watch` for people, on standard error.

    Args:
        suite: what they would type to prove changed code.
        fresh: whether accepted cells are run again on purpose.
    """

    def __init__(self, suite: str, fresh: bool):
        self.suite, self.fresh = suite, fresh
        self.console = Console(stderr=True)
        self.failed = 0

    def planned(self, found: States, todo: list[Cell], damaged: int) -> None:
        if damaged:
            self.console.print(f"{damaged} cells in the journal were damaged and run again")
        for unmet in found.unmet_requirements():
            self.console.print(f"not applicable: {unmet}")
        changed = sum(verdict.state == "changed" for _, verdict in found.cells)
        if changed and not self.fresh:
            self.console.print(
                f"{changed} of {len(todo)} cells are run again only because code changed; where it makes the same "
                f"numbers, `csbench prove {self.suite}` shows so in less time"
            )

    @contextlib.contextmanager
    def watching(self, todo: list[Cell]) -> Iterator[None]:
        with progress_bar("{task.fields[note]}") as progress:
            self.progress: Progress = progress
            totals = Counter(cell.method_name for cell in todo)
            self.of_method = {n: progress.add_task(f"  {n}", total=count, note="") for n, count in totals.items()}
            self.task: TaskID = progress.add_task("cells", total=len(todo), note="starting workers")
            yield

    def finished(self, one: Finished) -> None:
        cell, statuses = one.cell, set(one.rows["status"].to_pylist())
        if statuses - {"ok", "not_applicable"}:
            self.failed += 1
            reasons = [text for text in one.rows["reason"].to_pylist() if text]
            last_line = reasons[0].strip().splitlines()[-1] if reasons else ""
            said = f"{cell.method_name} {cell.where}: {', '.join(sorted(statuses))}: {last_line}"
            self.progress.console.print(said, markup=False)
        self.progress.advance(self.of_method[cell.method_name])
        self.progress.update(self.task, advance=1, note=f"{self.failed} failed" if self.failed else "")
