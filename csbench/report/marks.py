"""What is to be said of a method's rows at a level of a suite, and the signs for it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from csbench.catalogue.suites import Suite

STATUS_MARKS = {
    "skipped": "skipped",
    "not_applicable": "not applicable",
    "failed": "failed",
    "diverged": "failed",
    "out_of_memory": "failed",
    "timeout": "timed out",
}
MARKS = {  # what is said of a cell of a table, and the sign for it
    "not run": "○",
    "skipped": "–",
    "not applicable": "·",
    "failed": "✗",
    "timed out": "⊘",
    "not converged": "≈",
    "stale": "†",
}


def marks(own: pd.DataFrame, suite: Suite) -> dict[float, tuple[str, ...]]:
    """Level to what is to be said of a method's rows there, of `MARKS`.

    Rows that are not of the revision of the code that most rows of the method at that level of noise are of are stale.
    """
    levels, status = own[suite.axis].to_numpy(), own["status"].to_numpy(dtype=object)
    stale, flagged = _stale(own), not_converged(own)
    found = {}
    for level in suite.levels:
        here = levels == level
        said = {STATUS_MARKS.get(one) for one in set(status[here])}
        said.add("not run" if here.sum() < suite.images_at(level) * suite.draws else None)
        said.add("not converged" if flagged[here].any() else None)
        said.add("stale" if stale[here].any() else None)
        if shown := tuple(mark for mark in MARKS if mark in said):
            found[level] = shown
    return found


def not_converged(rows: pd.DataFrame) -> np.ndarray:
    """Which rows are flagged by their method, shape [rows]."""
    if "diag_converged" not in rows:
        return np.zeros(len(rows), dtype=bool)
    return rows["diag_converged"].to_numpy() == 0


def _stale(own: pd.DataFrame) -> np.ndarray:
    noise, revision = own["noise_norm"].to_numpy(), pd.factorize(own["made_by"])[0]
    stale = np.zeros(len(own), dtype=bool)
    for one in np.unique(noise):
        here = noise == one
        stale[here] = revision[here] != np.bincount(revision[here]).argmax()
    return stale
