"""Representation errors on disk, computed once for the same weights and search."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from csbench.core.dataset import Dataset
from csbench.freshness.lineage import Lineage
from csbench.priors import checkpoint
from csbench.results.artefact_kinds import FLOORS
from csbench.results.artefacts import digest, held
from csbench.solvers.latent import projection as project


def update(results: Path, name: str, dataset: Dataset, images: int, lineage: Lineage) -> float:
    """Store the errors, unless some that hold are there, on at least as many images.

    Returns:
        the mean error over the images.
    """
    search = project.SEARCH
    made_by = digest([checkpoint.card(name)["sha256"], search.restarts, search.rung * search.rungs])
    place = {"prior": name, "dataset": dataset.name}
    rows = held(FLOORS.read(results, **place), {}, partial(lineage.connects, made_by))
    if len(rows) < images:
        rows = project.representation_errors(name, dataset, images).to_dict("records")
        FLOORS.put(results, rows, **place)
    return float(FLOORS.frame(rows[:images])["mse"].to_numpy().mean())
