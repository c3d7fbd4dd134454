"""Progress bars on a terminal, on stderr; nothing is drawn where there is none."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def progress_bar(extra: str = "") -> Progress:
    """A bar with a description, the count, the time so far and the time left.

    Args:
        extra: a format string for one more column, such as `{task.fields[note]}`.
    """
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
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)
