"""Columns and the methods of a suite as Markdown, LaTeX or CSV, or as a table for a terminal."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from rich.table import Table
from tabulate import tabulate

from csbench.catalogue.papers import escaped
from csbench.report.columns import Cell, Column
from csbench.report.ranking import Standing
from csbench.report.samples import Estimate

LATEX_MARKS = {
    "not run": r"\circ",
    "skipped": "-",
    "not applicable": r"\cdot",
    "failed": r"\times",
    "timed out": r"\oslash",
    "not converged": r"\approx",
    "stale": r"\dagger",
}
FIGURE = re.compile(r"(<= |> )?([0-9.]+)(?:e([+-][0-9]+))?")
INTERVAL = re.compile(r"\[(.*), (.*)\]")


def markdown(columns: Sequence[Column], rows: Sequence[Standing]) -> str:
    """A GitHub table, with intervals behind the figures and the best in bold."""
    body = [[markdown_cell(column.cell(row)) for column in columns] for row in rows]
    return tabulate(body, [column.header for column in columns], tablefmt="github", disable_numparse=True)


def markdown_cell(cell: Cell) -> str:
    """Text, small print and signs."""
    text = f"[{cell.text}]({cell.link})" if cell.link else f"**{cell.text}**" if cell.best else cell.text
    return " ".join(part for part in (text, cell.small, cell.signs) if part)


def terminal(columns: Sequence[Column], rows: Sequence[Standing], title: str) -> Table:
    """A table without small print, the best in bold."""
    grid = Table(title=title)
    for column in columns:
        grid.add_column(column.short or column.header, justify="right" if column.numeric else "left", no_wrap=True)
    for row in rows:
        cells = [column.cell(row) for column in columns]
        shown = [cell.brief or cell.text or "-" for cell in cells]
        grid.add_row(*(f"[bold green]{s}[/]" if c.best else s for c, s in zip(cells, shown, strict=True)))
    return grid


def latex(columns: Sequence[Column], rows: Sequence[Standing], caption: str, label: str) -> str:
    """A table for a paper; the legend stands in comments, with the marks that occur."""
    cells = [[column.cell(row) for column in columns] for row in rows]
    used = dict.fromkeys(mark for line in cells for cell in line for mark in cell.marks)
    legend = [f"% {column.header}: {column.says}" for column in columns]
    legend += [f"% {LATEX_MARKS[mark]}: {mark}" for mark in used]
    lines = [
        "% needs \\usepackage{booktabs}",
        *legend,
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in columns)}}}",
        r"\toprule",
        " & ".join(latex_text(column.header) for column in columns) + r" \\",
        r"\midrule",
        *(" & ".join(map(latex_cell, line)) + r" \\" for line in cells),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex_cell(cell: Cell) -> str:
    """A figure with its interval as mathematics, anything else as text; marks are superscripts."""
    signs = f"^{{{' '.join(LATEX_MARKS[mark] for mark in cell.marks)}}}" if cell.marks else ""
    if not FIGURE.fullmatch(cell.text):
        words = " ".join(part for part in (cell.text, cell.small) if part)
        return ("--" if words == "-" else latex_text(words)) + (f"${signs}$" if signs else "")
    value = (rf"\mathbf{{{_figure(cell.text)}}}" if cell.best else _figure(cell.text)) + signs
    if ends := INTERVAL.fullmatch(cell.small):
        return rf"${value}\,[{_figure(ends[1])}, {_figure(ends[2])}]$"
    return f"${value}$" + (f" {latex_text(cell.small)}" if cell.small else "")


def latex_text(text: str) -> str:
    """Plain text, with what TeX would take for a command quoted."""
    return re.sub("([<>])", r"$\1$", escaped(text)).replace("^", r"\^{}").replace("~", r"\~{}")


def _figure(text: str) -> str:
    """`<= 1.2e-05` as mathematics."""
    found = FIGURE.fullmatch(text)
    if not found:
        return text
    sign, digits, power = found.groups()
    sign = {None: "", "> ": "> ", "<= ": r"\le "}[sign]
    return sign + digits + (rf" \times 10^{{{int(power)}}}" if power else "")


def as_csv(columns: Sequence[Column], rows: Sequence[Standing]) -> str:
    """Values as they are, an interval in two columns of its own, KEY_low and KEY_high; empty where there is nothing."""
    names: list[str] = []
    values: list[list[float | str | None]] = [[] for _ in rows]
    for column in columns:
        cells = [column.cell(row).value for row in rows]
        intervals = any(isinstance(cell, Estimate) for cell in cells)
        names += [column.key, f"{column.key}_low", f"{column.key}_high"] if intervals else [column.key]
        for line, cell in zip(values, cells, strict=True):
            if isinstance(cell, Estimate):
                line += [cell.value, cell.low, cell.high]
            else:
                line += [cell, None, None] if intervals else [cell]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *values])
    return text.getvalue()
