"""From an outcome to rows: the truth meets the reconstruction here, in the parent, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from csbench.core.measurement import Measurement
from csbench.results.schema import DIAGNOSTIC
from csbench.results.store import make_table
from csbench.runner.answers import NOT_FINITE, words
from csbench.runner.plan import Cell
from csbench.runner.problem import Truth, digest
from csbench.runner.scoring import finite, metric_columns
from csbench.runner.solving import Outcome


@dataclass(frozen=True)
class Finished:
    """A cell that has run: its rows, and what they were computed from.

    Attributes:
        x_hat: shape [batch, n]; None unless ok.
        seconds: of `recover` on the wall; None where it did not end.
    """

    cell: Cell
    rows: pa.Table
    x_hat: np.ndarray | None
    seconds: float | None


def finished(cell: Cell, outcome: Outcome, given: Measurement, truth: Truth, run_id: str) -> Finished:
    """The outcome of a cell with its rows; one that cannot be scored has failed."""
    try:
        rows = score(cell, outcome, given, truth, run_id)
    except Exception as error:  # a metric that such images do not have, for instance
        outcome = Outcome("failed", words(f"what came of it cannot be scored: {type(error).__name__}: {error}"))
        rows = score(cell, outcome, given, truth, run_id)
    return Finished(cell, rows, outcome.x_hat, outcome.wall_seconds)


def score(cell: Cell, outcome: Outcome, given: Measurement, truth: Truth, run_id: str) -> pa.Table:
    """One row per image; an image whose reconstruction is not finite is `diverged` and has no metrics.

    An image whose y is not finite was given to nobody, and has failed, whatever came of the others.
    """
    problem = cell.problem
    measured = torch.isfinite(given.y).all(1).tolist()
    batch = sum(measured) or given.batch
    common = {
        "suite": cell.suite.name,
        "suite_version": cell.suite.version,
        "dataset": problem.dataset,
        "operator": problem.operator,
        "m": problem.m,
        "noise_norm": problem.noise_norm,
        "draw": problem.draw,
        "method": cell.method_name,
        "params": json.dumps(cell.method.params(), sort_keys=True),
        "key": cell.id.key,
        "status": outcome.status,
        "reason": outcome.reason,
        "seconds_per_image": None if outcome.wall_seconds is None else outcome.wall_seconds / batch,
        "cell_wall_seconds": outcome.wall_seconds,
        "cell_cpu_seconds": outcome.cpu_seconds,
        "peak_memory_mb": outcome.peak_memory_mb,
        "batch_size": batch,
        "threads": outcome.threads,
        "device": str(given.y.device),
        "made_by": cell.id.made_by,
        "run_id": run_id,
    }
    rows = [
        common | {"image": image, "y_sha256": digest(y)} for image, y in zip(truth.ids.tolist(), given.y, strict=True)
    ]
    for row, known in zip(rows, measured, strict=True):
        if not known and outcome.status != "not_applicable":
            row |= {"status": "failed", "reason": NOT_FINITE}
    if outcome.x_hat is None:
        return make_table(rows)
    x_hat = torch.from_numpy(outcome.x_hat)
    columns = metric_columns(x_hat, given, truth)
    columns |= {f"{DIAGNOSTIC}{name}": value.tolist() for name, value in outcome.diagnostics.items()}
    whole = finite(x_hat)
    for i, row in enumerate(rows):
        if whole[i]:
            row |= {name: column[i] for name, column in columns.items()}
        elif measured[i]:
            row |= {"status": "diverged", "reason": "x_hat is not finite"}
    return make_table(rows)
