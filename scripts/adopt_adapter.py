"""What `csbench.runner.inline` does, for commits from before it was there; see `adopt_hashes.py`."""

from __future__ import annotations

import dataclasses
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from csbench.problem import Problem, digest
from csbench.registry import get_method
from csbench.runner.score import metric_columns
from csbench.runner.worker import Task, share, solve
from csbench.seeding import seed_of

GIVEN = Path(tempfile.mkdtemp(prefix="csbench-adopt-")) / "given.pt"


def run_inline(problem: dict[str, Any], method: str, params: dict[str, Any]) -> dict[str, Any]:
    """What the code of that commit makes of a cell."""
    where = Problem(**problem)
    given, truth = where.simulate()
    answer: dict[str, Any] = {"y": np.array([digest(y) for y in given.y])}
    plain = get_method(method)()
    values = {
        name: tuple(value) if isinstance(getattr(plain, name), tuple) and isinstance(value, list) else value
        for name, value in params.items()
    }
    GIVEN.unlink(missing_ok=True)
    share(given, GIVEN)
    bound = dataclasses.replace(plain, **values)  # type: ignore[type-var]
    outcome = solve(Task(pickle.dumps(bound), GIVEN, seed_of(*where.method_seed_names())))  # type: ignore[call-arg]
    answer |= {"status": outcome.status, "reason": outcome.reason or ""}
    if outcome.x_hat is None:
        return answer
    x_hat = torch.from_numpy(outcome.x_hat)
    metrics = {f"metric_{name}": np.array(values) for name, values in metric_columns(x_hat, given, truth).items()}
    diagnostics = {f"diag_{name}": value for name, value in outcome.diagnostics.items()}
    finite = {"finite": np.array(torch.isfinite(x_hat).all(1).tolist())}
    return answer | {"x_hat": outcome.x_hat} | finite | diagnostics | metrics


def tell(suite: str, methods: list[str]) -> dict[str, Any]:
    """Nothing: the commit has other hashes."""
    return {}
