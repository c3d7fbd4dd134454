"""What stands in the tables of the pages: the texts of `leaderboard.md`, and what columns are sorted by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from csbench.report import leaderboard
from csbench.report.standings import MARKS, Estimate, Standing, Standings
from csbench.suites import Suite

FAMILIES = ("sparse", "untrained", "learned", "generative", "ambient-trained", "baseline")  # in this order
NEVER = 1e300  # what "never" is sorted as


@dataclass(frozen=True)
class Cell:
    """What stands in a table: the text, its interval below it, and what the column is sorted by.

    Attributes:
        signs, words: what is to be said of it, as in `standings.MARKS`.
    """

    text: str
    sort: float | str | None
    interval: str = ""
    best: bool = False
    signs: str = ""
    words: str = ""


def cells_of(own: Standing, table: Standings) -> dict[str, Cell]:
    """Column to cell; the text is that of `leaderboard.md`."""
    suite = table.suite
    notes, seconds = leaderboard.notes_text(own), own.cpu_seconds_per_image
    cells = {
        "rank": _rank_cell(own),
        "family": Cell(own.family, FAMILIES.index(own.family)),
        "learned": Cell(own.learned_from or "-", own.learned_from),
        "score": Cell("-", None) if own.score is None else _split(leaderboard.factor_text(own.score), own.score.value),
        "mean": _error_cell(own.mean_error),
        "seconds": Cell(leaderboard.seconds_text(own), seconds if math.isfinite(seconds) else None),
        "applications": _operator_cell(own, suite),
        "evaluations": Cell(f"{own.generator_evaluations:.0f}" if own.generator_evaluations else "-",
                            own.generator_evaluations),
        "notes": Cell(notes, notes or None),
    }  # fmt: skip
    if any(other.savings for other in table.rows):
        cells["saving"] = saving_cell(own, suite, suite.levels[(len(suite.levels) - 1) // 2])
    for i, level in enumerate(suite.levels):
        cells[f"level-{i}"] = _error_cell(own.errors.get(level), level in own.best, own.marks.get(level, ()))
    return cells


def _operator_cell(own: Standing, suite: Suite) -> Cell:
    text, besides = leaderboard.operator_text(own, suite)
    most = max((one.per_image for one in own.operator_evaluations.values()), default=None)
    return Cell(text, most if text not in ("-", "matrix") else None, besides)


def _rank_cell(own: Standing) -> Cell:
    if own.ranks is None:
        return Cell("-", None)
    first, last = own.ranks
    return Cell(str(first), first + last / 1e6, "" if first == last else f"to {last}")


def _error_cell(estimate: Estimate | None, best: bool = False, marks: Sequence[str] = ()) -> Cell:
    signs, words = "".join(MARKS[mark] for mark in marks), ", ".join(marks)
    if estimate is None:
        return Cell("" if signs else "-", None, signs=signs, words=words)
    cell = _split(leaderboard.error_text(estimate), estimate.value)
    return replace(cell, best=best, signs=signs, words=words)


def saving_cell(own: Standing, suite: Suite, level: float) -> Cell:
    """How many times as many measurements the best Lasso needs for the same error."""
    found = own.savings.get(int(level))
    if found is None:
        return Cell("-", None)
    return _split(leaderboard.saving_text(found, suite, int(level)), min(found.value, NEVER))


def _split(text: str, sort: float) -> Cell:
    """`0.62 [0.58, 0.66]` as value and interval."""
    value, bracket, rest = text.partition(" [")
    return Cell(value, sort, f"[{rest}" if bracket else "")
