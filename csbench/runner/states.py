"""The state of every cell of a suite, as it is in Parquet and in the journal."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

from csbench.catalogue.registry import entries
from csbench.catalogue.suites import Suite
from csbench.core.errors import MissingWeights
from csbench.core.method import unmet_requirements
from csbench.freshness.lineage import Lineage
from csbench.freshness.made_by import MadeOf
from csbench.freshness.states import ACCEPTED, STATES, Stored, Verdict
from csbench.results.journal import Journal
from csbench.results.store import methods_with_results, published_cells
from csbench.runner.plan import Cell, make_cells, verdicts


@dataclass(frozen=True)
class States:
    """The cells of a suite, each with its state."""

    suite: Suite
    cells: list[tuple[Cell, Verdict]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Method to the number of its cells in each state."""
        table: dict[str, Counter] = {name: Counter() for name in self.suite.methods}
        for cell, verdict in self.cells:
            table[cell.method_name][verdict.state] += 1
        return {name: {state: count[state] for state in STATES} for name, count in table.items()}

    def without_missing(self, methods: Container[str]) -> States:
        """Without the cells of these methods that have never run."""
        there = [(c, v) for c, v in self.cells if v.state != "missing" or c.method_name not in methods]
        return States(self.suite, there)

    def reasons(self) -> dict[str, dict[str, int]]:
        """Method to why its cells are not fresh, with the number of cells that each reason holds for."""
        table: dict[str, Counter] = {}
        for cell, verdict in self.cells:
            if verdict.state not in ACCEPTED and verdict.reason:
                table.setdefault(cell.method_name, Counter())[f"{verdict.state}: {verdict.reason}"] += 1
        return {name: dict(count) for name, count in table.items()}

    def unmet_requirements(self) -> list[str]:
        """What is to be said of each method that has cells to run and whose packages are not installed."""
        done = ("fresh", "proved")
        methods = {cell.method_name: cell.method for cell, verdict in self.cells if verdict.state not in done}
        return [unmet for method in methods.values() if (unmet := unmet_requirements(method))]

    def data_files(self) -> set[Path]:
        """The data files of all methods."""
        files: set[Path] = set()
        for method in {cell.method_name: cell.method for cell, _ in self.cells}.values():
            with contextlib.suppress(MissingWeights):
                files |= set(method.data_files())
        return files


def with_published(suite: Suite, results: Path) -> Suite:
    """The suite with the methods that have results in it though it does not name them."""
    known = entries("methods")
    others = [name for name in methods_with_results(results, suite) if name in known and name not in suite.methods]
    return replace(suite, methods=(*suite.methods, *others))


def suite_states(suite: Suite, results: Path) -> States:
    """The state of each cell, as it is in Parquet and in the journal."""
    published = {
        place: Stored(cell.key, cell.made_by, status, MadeOf.told(cell.made_by, made_of))
        for place, (cell, status, made_of) in published_cells(results, suite).items()
    }
    cells = make_cells(suite)
    finished: dict[str, Stored] = {}
    if (results / ".journal.sqlite").exists():
        with Journal(results) as journal:
            made_of = journal.made_of()
            for cell, status in journal.finished():
                parts = made_of.get(cell.made_by)
                finished[cell.key] = Stored(cell.key, cell.made_by, status, MadeOf.told(cell.made_by, parts))
    return States(suite, list(verdicts(cells, published, finished, Lineage.read(results, suite.name))))
