"""The columns of a leaderboard, each defined once; `csbench.report.tables` and the web pages render them.

A board is a list of columns. What a column says of a method is a cell: its text, and the value that machines read and
sort by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from csbench.catalogue.papers import papers_of
from csbench.catalogue.registry import entries
from csbench.catalogue.suites import Suite
from csbench.report import texts
from csbench.report.families import METHOD_KINDS
from csbench.report.marks import MARKS
from csbench.report.ranking import Standing, Standings
from csbench.report.samples import Estimate

NEVER = 1e300  # what "never" is sorted as
ERROR_WORDS = (
    "mean squared error per pixel on [0, 1], times 1000, over all images and draws of A, with its 95% interval"
)


@dataclass(frozen=True)
class Cell:
    """What a column says of one method.

    Attributes:
        value: for machines; None where there is none.
        sort: what the column is sorted by; None comes last.
        small: what stands in small print after the text, such as its interval.
        below: the same where it stands below the text, and `brief`, text and small print where there is little room;
            where these are empty, `small` and the text alone.
        best: whether it is the best of the column, or cannot be told apart from it.
        marks: what is to be said of it, of `csbench.report.marks.MARKS`.
        link: an address.
    """

    text: str = "-"
    value: Estimate | float | str | None = None
    sort: float | str | None = None
    small: str = ""
    below: str = ""
    brief: str = ""
    best: bool = False
    marks: tuple[str, ...] = ()
    link: str = ""

    @property
    def signs(self) -> str:
        return "".join(MARKS[mark] for mark in self.marks)

    @property
    def words(self) -> str:
        """What the signs say."""
        return ", ".join(self.marks)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: its name for machines.
        says: one sentence for legends.
        cell: what it says of a method.
        numeric: whether it holds figures, which are aligned to the right.
        optional: whether it is left out where no method has anything in it.
        short: the header where there is little room.
    """

    key: str
    header: str
    says: str
    cell: Callable[[Standing], Cell]
    numeric: bool = True
    optional: bool = False
    short: str = ""


def told(columns: Iterable[Column], rows: Sequence[Standing]) -> list[Column]:
    """The columns without the optional ones in which no method has anything."""
    return [one for one in columns if not one.optional or any(one.cell(row).text != "-" for row in rows)]


def error(suite: Suite, level: float) -> Column:
    """The errors at one level."""
    header = texts.level_name(suite, level)

    def cell(row: Standing) -> Cell:
        marks = row.marks.get(level, ())
        if level not in row.errors:
            return Cell("" if marks else "-", marks=marks)
        return replace(_estimated(row.errors[level], texts.thousandths), best=level in row.best, marks=marks)

    key = f"error_{header.replace(' = ', '')}"
    return Column(key, header, f"The {ERROR_WORDS}, at {header}.", cell, short=header.replace(" ", ""))


def mean(suite: Suite) -> Column:
    """The geometric mean of the errors."""
    levels = "m" if suite.axis == "m" else "noise"
    says = f"The geometric mean over all {levels} of the {ERROR_WORDS}."
    return Column("mean", f"all {levels}", says, lambda row: _estimated(row.mean_error, texts.thousandths))


def saving(suite: Suite, level: float) -> Column:
    """The savings at one level."""

    def cell(row: Standing) -> Cell:
        found = row.savings.get(int(level))
        if found is None:
            return Cell()
        shown = _estimated(found, lambda times: texts.saving_times(times, suite, int(level)))
        alike = shown.small == f"[{shown.text}, {shown.text}]"
        return replace(shown, sort=min(found.value, NEVER), small="" if alike else shown.small)

    at = texts.level_name(suite, level)
    says = f"How many times as many measurements the best Lasso needs for the error that the method has at {at}."
    return Column(f"saving_{at.replace(' = ', '')}", f"saving at {at}", says, cell, optional=True)


def needed(table: Standings) -> Column:
    """The measurements for the error of the best Lasso at `suite.reference_m`."""
    suite = table.suite
    reached = "-" if table.reference_error is None else texts.thousandths(table.reference_error)
    best = f"{table.reference_method} at m = {suite.reference_m}"

    def cell(row: Standing) -> Cell:
        found = row.needed
        shown = _estimated(found, lambda m: texts.needed_text(m, suite))
        return replace(shown, small="") if found and found.low == found.high == found.value else shown

    says = f"The measurements needed for the error of {best}."
    return Column("needed", f"m for {reached} ({best})", says, cell, optional=True)


def applications(suite: Suite) -> Column:
    """How often A or A^T is applied: least to most over the levels."""

    def cell(row: Standing) -> Cell:
        found = [row.operator_evaluations[level] for level in suite.levels if level in row.operator_evaluations]
        if not found:
            return Cell()
        if any(one.takes_matrix for one in found):
            return Cell("matrix", "matrix")
        once = texts.span([one.once for one in found])
        besides = [f"+ {once}"] if once != "0" else []
        besides += [f"{len(found)} of {len(suite.levels)} levels"] if len(found) < len(suite.levels) else []
        most = max(one.per_image for one in found)
        text = texts.span([one.per_image for one in found])
        return Cell(text, most, most, f"({'; '.join(besides)})" if besides else "")

    says = (
        "How often a method applies A or its adjoint for each image and, in brackets, once for A; "
        '"matrix" where it takes the matrix of A instead.'
    )
    return Column("applications", "A / image (+ once)", says, cell, optional=True)


def linked(row: Standing) -> Cell:
    """The name, with a link to the first paper that the method's docstring names."""
    known = entries("methods")
    papers = papers_of(known[row.method]) if row.method in known else []
    return Cell(row.method, row.method, row.method, link=papers[0].url if papers else "")


def _rank(row: Standing) -> Cell:
    if row.ranks is None:
        return Cell()
    first, last = row.ranks
    shown = Cell(str(first), Estimate(first, first, last), first + last / 1e6)
    if first == last:
        return shown
    return replace(shown, small=f"({first} to {last})", below=f"to {last}", brief=f"{first}-{last}")


def _seconds(row: Standing) -> Cell:
    seconds = row.cpu_seconds_per_image
    known = None if math.isnan(seconds) else seconds
    return Cell(texts.seconds_text(seconds), known, known)


def _evaluations(row: Standing) -> Cell:
    count = row.generator_evaluations
    return Cell(f"{count:.0f}" if count else "-", count, count)


def _notes(row: Standing) -> Cell:
    """What is to be said of a method as a whole: failures, holes, what did not converge."""
    notes = [f"{count} images {status}" for status, count in row.failed.items()]
    if row.missing:
        notes.append(f"{row.missing} cells not run")
    if row.not_converged:
        notes.append(f"{row.not_converged} of {row.images} not converged")
    if row.revisions > 1:
        notes.append(f"{row.revisions} revisions mixed")
    text = "not applicable" if row.not_applicable else ", ".join(notes)
    return Cell(text, text or None, text or None)


def _words(text: str | None) -> Cell:
    return Cell(text or "-", text, text)


def _estimated(estimate: Estimate | None, show: Callable[[float], str]) -> Cell:
    """A figure with its interval."""
    if estimate is None:
        return Cell()
    value, low, high = (show(one) for one in (estimate.value, estimate.low, estimate.high))
    return Cell(value, estimate, estimate.value, f"[{low}, {high}]")


RANK = Column(
    "rank",
    "rank",
    "One more than the number of methods that are better beyond chance; behind it stands the last rank that the method "
    "may have.",
    _rank,
)
METHOD = Column(
    "method", "method", "The name of the method.", lambda row: Cell(row.method, row.method, row.method), numeric=False
)
FAMILY = Column(
    "family",
    "family",
    "What kind of method it is.",
    lambda row: Cell(row.family, row.family, METHOD_KINDS.index(row.family)),
    numeric=False,
)
PRIOR = Column("prior", "prior", "The name of the weights.", lambda row: _words(row.prior), numeric=False)
LEARNED = Column(
    "learned_from",
    "learned from",
    "What the prior of the method was learned from.",
    lambda row: _words(row.learned_from),
    numeric=False,
    optional=True,
)
SCORE = Column(
    "score",
    "score",
    "The score is the error as a multiple of that of the best Lasso at the same m or noise, the geometric mean over "
    "all levels of the suite: below 1 is better than the Lasso.",
    lambda row: _estimated(row.score, texts.number),
)
SECONDS = Column("seconds", "CPU s / image", "CPU seconds per image, of one core.", _seconds, short="s/image")
EVALUATIONS = Column(
    "evaluations",
    "G / image",
    "How often a method evaluates its generator for each image.",
    _evaluations,
    optional=True,
)
NOTES = Column("notes", "notes", "Failures, holes, and what did not converge.", _notes, numeric=False)
