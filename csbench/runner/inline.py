"""One cell in this process, from coordinates to metrics.

Proofs call this in the checkout that older results were made with, so names, arguments and answers stay as they are.
"""

from __future__ import annotations

import dataclasses
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from csbench.catalogue.registry import get_method
from csbench.catalogue.suites import load_suite
from csbench.core.seeding import seed_of
from csbench.freshness.made_by import code_of, roots_of
from csbench.runner.plan import make_cells
from csbench.runner.problem import Problem, digest
from csbench.runner.scoring import finite, metric_columns
from csbench.runner.worker import Task, run, share


def run_inline(problem: Mapping[str, Any], method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What the code of this checkout makes of a cell.

    Args:
        problem: the fields of a `Problem`.
        method: a registered name.
        params: its hyper-parameters, as rows store them.

    Returns:
        `status`, `reason`, and arrays: `x_hat`, `y` as hashes, `finite`, `diag_NAME` and `metric_NAME` for each image.
    """
    where = Problem(**problem)
    given, truth = where.simulate()
    answer: dict[str, Any] = {"y": np.array([digest(y) for y in given.y])}
    bound = with_params(get_method(method)(), params)
    modules = tuple(code_of(roots_of(type(bound), where.operator, where.dataset)).modules)
    with tempfile.TemporaryDirectory(prefix="csbench-inline-") as folder:
        path = Path(folder, "given.pt")
        share(
            given, path
        )  # as workers get it, from a file that is mapped, for where A lies in memory shows in last bits
        outcome = run(Task(pickle.dumps(bound), path, seed_of(*where.method_seed_names()), modules, None))
    answer |= {"status": outcome.status, "reason": outcome.reason or ""}
    if outcome.x_hat is None:
        return answer
    x_hat = torch.from_numpy(outcome.x_hat)
    metrics = {f"metric_{name}": np.array(values) for name, values in metric_columns(x_hat, given, truth).items()}
    diagnostics = {f"diag_{name}": values for name, values in outcome.diagnostics.items()}
    return answer | {"x_hat": outcome.x_hat, "finite": np.array(finite(x_hat))} | diagnostics | metrics


def with_params(method: Any, params: Mapping[str, Any]) -> Any:
    """The method with hyper-parameters that come from JSON, which has no tuples."""
    values = {
        name: tuple(value) if isinstance(getattr(method, name), tuple) and isinstance(value, list) else value
        for name, value in params.items()
    }
    return dataclasses.replace(method, **values)


def tell(suite: str, methods: list[str]) -> dict[str, dict[str, Any]]:
    """What this checkout would make the cells of a suite of: `METHOD NOISE` to the fields of a `MadeOf`."""
    cells = make_cells(load_suite(suite).narrowed(methods=tuple(methods), draws=1))
    return {
        f"{cell.method_name} {cell.problem.noise_norm!r}": dataclasses.asdict(cell.made_of)
        | {"made_by": cell.id.made_by}
        for cell in cells
        if cell.made_of
    }
