"""Representation errors on disk, computed once for the same weights and search."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from csbench.core.dataset import Dataset
from csbench.core.files import write_atomically
from csbench.priors import checkpoint
from csbench.results.store import floor_path
from csbench.solvers.latent import projection as project


def update(results: Path, name: str, dataset: Dataset, images: int) -> float:
    """Store the errors, unless those of the same weights and search on at least as many images are there.

    Returns:
        the mean error over the images.
    """
    path = floor_path(results, name, dataset.name)
    if path.is_file():
        stored = pd.read_parquet(path)
        search = project.SEARCH
        wanted = (checkpoint.card(name)["sha256"], search.restarts, search.rung * search.rungs)
        made_by = set(stored[["sha256", "restarts", "steps"]].itertuples(index=False, name=None))
        if len(stored) >= images and made_by == {wanted}:
            return float(stored["mse"].to_numpy()[:images].mean())
    errors = project.representation_errors(name, dataset, images)
    buffer = io.BytesIO()
    errors.to_parquet(buffer, index=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
    return float(errors["mse"].to_numpy().mean())
