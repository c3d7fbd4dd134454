"""Progress on stderr: a bar on a terminal, a plain line every half minute elsewhere, in a log for instance."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS_PER_LINE = 30.0


def progress_bar(extra: str = "") -> Progress:
    """A bar with a description, the count, the time so far and the time left.

    Args:
        extra: a format string for one more column, such as `{task.fields[note]}`.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        return _Lines(console=console, disable=True)
    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]
    if extra:
        columns.append(TextColumn(extra))
    return Progress(*columns, console=console, redirect_stdout=sys.stdout.isatty())


class _Lines(Progress):
    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self._told = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:  # type: ignore[override]
        super().update(task_id, **changes)
        if time.monotonic() - self._told < SECONDS_PER_LINE:
            return
        self._told = time.monotonic()
        task = next(task for task in self.tasks if task.id == task_id)
        of = "" if task.total is None else f" of {task.total:g}"
        parts = [f"{task.description}: {task.completed:g}{of}", f"{task.elapsed or 0:.0f} s"]
        if task.time_remaining is not None:
            parts.append(f"{task.time_remaining:.0f} s left")
        if note := task.fields.get("note"):
            parts.append(note)
        self.console.print(", ".join(parts), markup=False, highlight=False, soft_wrap=True)
