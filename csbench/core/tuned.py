"""Penalties that were tuned on validation images: `methods/tuned.json`, written by `csbench tune`."""

from __future__ import annotations

import json

from csbench.core.paths import TUNED


def key(method: str, dataset: str, operator: str, noise_norm: float) -> str:
    """How an entry is called."""
    return f"{method} on {dataset}, {operator}, noise_norm {noise_norm:.6g}"


def lookup(method: str, dataset: str, operator: str, noise_norm: float) -> float | None:
    """The tuned penalty, or None where nobody has tuned it."""
    entry = table().get(key(method, dataset, operator, noise_norm))
    return None if entry is None else entry["alpha"]


def table() -> dict[str, dict]:
    """Every entry."""
    return json.loads(TUNED.read_text()) if TUNED.is_file() else {}
