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
from csbench.seeding import seed_of

from csbench.runner import score
from csbench.runner.worker import Task, share, solve

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
    columns = getattr(score, "metric_columns", _metric_columns)(x_hat, given, truth)
    metrics = {f"metric_{name}": np.array(values) for name, values in columns.items()}
    diagnostics = {f"diag_{name}": value for name, value in outcome.diagnostics.items()}
    finite = {"finite": np.array(torch.isfinite(x_hat).all(1).tolist())}
    return answer | {"x_hat": outcome.x_hat} | finite | diagnostics | metrics


def _metric_columns(x_hat: torch.Tensor, given: Any, truth: Any) -> dict[str, list[float]]:
    """As the earliest of these commits have it in the middle of a function."""
    metrics = score.metrics
    values = {
        "mse": metrics.mse(x_hat, truth.x),
        "relative_l2": metrics.relative_l2(x_hat, truth.x),
        "psnr": metrics.psnr(x_hat, truth.x),
        "ssim": metrics.ssim(x_hat, truth.x, given.image_shape),
        "measurement_error": (given.A(x_hat) - given.y).double().norm(dim=1),
    }
    return {name: value.tolist() for name, value in values.items()}


def tell(suite: str, methods: list[str]) -> dict[str, Any]:
    """Nothing: the commit has other hashes."""
    return {}
