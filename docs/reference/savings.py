"""Prints the table of savings at the top of README.md: `python docs/reference/savings.py`."""

from __future__ import annotations

from tabulate import tabulate

from csbench.catalogue.suites import load_suite
from csbench.report import columns, tables
from csbench.report.ranking import Standings, standings
from csbench.results.store import load_results

SUITES = {  # name to the m at which the table shows it
    "mnist-gaussian": (25, 75, 200),
    "fashion-gaussian": (25, 75, 200),
    "generated-gaussian": (75,),
    "celeba-gaussian": (500,),
    "ambient-mnist": (75,),
    "ambient-fashion": (75,),
}
METHODS = (
    "csgm-vae", "csgm-conv-vae", "csgm-dcgan", "csgm-wgan", "csgm-ambient-block-pixels-p0.95",
    "csgm-ambient-block-pixels-p0.5", "csgm-ambient-gaussian-projection-m200", "mfa", "pca-gaussian", "tv-box",
)  # fmt: skip


def table() -> str:
    """The rows of METHODS and the columns of SUITES, in Markdown."""
    boards = {name: standings(load_results(name), load_suite(name)) for name in SUITES}
    headers = ["method", *(f"{name}, m = {m}" for name, ms in SUITES.items() for m in ms)]
    rows = [[method, *(cell(boards[name], method, m) for name, ms in SUITES.items() for m in ms)] for method in METHODS]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def cell(board: Standings, method: str, m: int) -> str:
    """The saving of a method at m with its interval; a dash where it did not run, or not on all of the suite."""
    column = columns.saving(board.suite, m)
    return next((tables.markdown_cell(column.cell(row)) for row in board.rows if row.method == method), "-")


if __name__ == "__main__":
    print(table())
