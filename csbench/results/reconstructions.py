"""Reconstructions on this machine, so that a new metric needs scoring and no solving: `results/.reconstructions/`.

They are not published: git ignores them, and a missing one costs no more than running its cell again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from csbench.results.artefact_kinds import RECONSTRUCTIONS
from csbench.results.artefacts import Holds, held
from csbench.results.store import CellId


def keep(results: Path, suite: str, method: str, cell: CellId, run_id: str, x_hat: np.ndarray) -> None:
    """Store x_hat, shape [batch, n], in place of what an earlier run made of the same cell."""
    facts = {"made_by": cell.made_by, "run_id": run_id, "sha256": _digest(x_hat)}
    rows = [{"x_hat": image, **facts} for image in x_hat]
    RECONSTRUCTIONS.put(results, rows, suite=suite, method=method, key=cell.key)


def kept(results: Path, suite: str, method: str, key: str, run_id: str, holds: Holds) -> np.ndarray | None:
    """What this run stored of a cell, shape [batch, n], or None where nothing that holds is there."""
    rows = held(RECONSTRUCTIONS.read(results, suite=suite, method=method, key=key), {"run_id": run_id}, holds)
    if not rows:
        return None
    x_hat, digest = np.stack([row["x_hat"] for row in rows]), rows[0]["sha256"]
    return x_hat if digest in ("", _digest(x_hat)) else None  # older files have none


def _digest(x_hat: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(x_hat, dtype=np.float32).tobytes()).hexdigest()
