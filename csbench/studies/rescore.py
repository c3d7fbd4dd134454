"""New metrics for old results, from the reconstructions that were kept on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa
import torch

from csbench.catalogue.suites import Suite
from csbench.core.errors import ResultsError
from csbench.core.measurement import Measurement
from csbench.freshness.lineage import Lineage
from csbench.results.folder import method_of, results_files
from csbench.results.journal import Journal
from csbench.results.reconstructions import kept
from csbench.results.schema import METRICS, SCHEMA
from csbench.results.store import CellId, read_file, read_provenance, write_file
from csbench.runner.problem import Problem, Truth
from csbench.runner.scoring import metric_columns


@dataclass
class Rescored:
    """One results file.

    Attributes:
        values: metric to its value in every row.
        cells: how many have been scored.
        lost: how many could not be, since their reconstructions are not here.
    """

    path: Path
    table: pa.Table
    values: dict[str, list[float | None]]
    cells: int = 0
    lost: int = 0


def rescore(suite: Suite, results: Path, report: Callable[[], None] = lambda: None) -> list[Rescored]:
    """Compute all metrics of a suite's results again. Rows without a kept reconstruction stay as they are.

    Args:
        report: called after each cell.

    Raises:
        ResultsError: a file cannot be trusted; nothing has been changed then.
    """
    files = []
    for path in results_files(results, suite.name):
        if method_of(path) in suite.methods:
            table = read_file(path, suite, may_lack=METRICS)
            files.append(Rescored(path, table, {name: table[name].to_pylist() for name in METRICS}))
    work = [(*place, file, rows) for file in files for place, rows in _cells(file.table, suite).items()]
    work.sort(key=lambda item: (item[0].m, item[0].draw))  # each problem is simulated once
    lineage = Lineage.read(results, suite.name)
    for problem, cell, run_id, file, rows in work:
        holds = partial(lineage.connects, cell.made_by)
        x_hat = kept(results, suite.name, method_of(file.path), cell.key, run_id, holds)
        simulated = None if x_hat is None else _simulated(problem)
        if x_hat is None or simulated is None or x_hat.shape != (simulated[0].batch, simulated[0].n):
            file.lost += 1  # or of another problem, as a file may be that somebody has copied
        else:
            columns = metric_columns(torch.from_numpy(x_hat), *simulated)
            place = {image: i for i, image in enumerate(simulated[1].ids.tolist())}
            for row, image in rows.items():
                for name in METRICS:
                    file.values[name][row] = columns[name][place[image]]
            file.cells += 1
        report()
    with Journal(results) as journal, journal.exclusive():
        for file in files:
            if not read_file(file.path, suite, may_lack=METRICS).equals(file.table):
                raise ResultsError(f"{file.path}: another run has changed it meanwhile; rescore again")
            table = file.table
            for name, column in file.values.items():
                field = SCHEMA.field(name)
                table = table.set_column(table.column_names.index(name), field, pa.array(column, field.type))
            write_file(file.path, table, read_provenance(file.path))
    return files


def _cells(table: pa.Table, suite: Suite) -> dict[tuple[Problem, CellId, str], dict[int, int]]:
    """Row number to image for the rows with a reconstruction, by cell and run."""
    cells: dict[tuple[Problem, CellId, str], dict[int, int]] = {}
    columns = ["key", "made_by", "run_id", "m", "noise_norm", "draw", "batch_size", "status", "image"]
    for i, row in enumerate(table.select(columns).to_pylist()):
        if row["status"] == "ok":
            where = (suite.dataset, suite.operator, row["m"], row["noise_norm"], row["draw"], row["batch_size"])
            place = (Problem(*where), CellId(row["key"], row["made_by"]), row["run_id"])
            cells.setdefault(place, {})[i] = row["image"]
    return cells


@lru_cache(maxsize=1)
def _simulated(problem: Problem) -> tuple[Measurement, Truth]:
    return problem.simulate()
