"""Recovers a few test images with every method of a suite, for the eye."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from csbench.catalogue.suites import Suite
from csbench.core import metrics
from csbench.core.errors import MissingWeights
from csbench.core.measurement import Measurement
from csbench.core.method import NotApplicable, Recovery, check_requirements
from csbench.core.seeding import seed_of
from csbench.freshness.lineage import Lineage
from csbench.report.gallery import MEASUREMENTS, TRUTH, frame_of
from csbench.results.artefacts import held
from csbench.runner.plan import Cell, make_cells


def missing(suite: Suite, images: int, stored: Mapping[str, pd.DataFrame], lineage: Lineage) -> list[Cell]:
    """The cells of the suite's first draw whose pictures are not there, or no longer hold."""
    rows = {name: frame.to_dict("records") for name, frame in stored.items()}

    def there(cell: Cell) -> bool:
        holds = partial(lineage.connects, cell.id.made_by)
        return len(held(rows.get(cell.method_name, ()), {"level": _level(cell)}, holds)) == images

    return [cell for cell in make_cells(replace(suite, draws=1)) if not there(cell)]


def _level(cell: Cell) -> float:
    return getattr(cell.problem, cell.suite.axis)


def recover(cells: list[Cell], images: int) -> Iterator[dict[str, pd.DataFrame]]:
    """For each cell, `truth`, `measurements` where they are pictures, and what its method made of the first images.

    Every y is that of the suite. A method that does not apply, or has no weights, has no rows.
    """
    known = None
    for cell in cells:
        problem = replace(cell.problem, images=images)
        if known is None or known[0] != problem:
            known = problem, *problem.simulate()
        _, given, truth = known
        shape, level = given.image_shape, _level(cell)
        found = {TRUTH: frame_of(0, truth.ids, truth.x.reshape(-1, *shape).numpy(), None, "")}
        measured = measurement_pictures(given)
        if measured is not None:
            found[MEASUREMENTS] = frame_of(level, truth.ids, measured, None, "")
        rng = torch.Generator().manual_seed(seed_of(*problem.method_seed_names()))
        try:
            check_requirements(cell.method)
            answer = cell.method.recover(given, rng)
        except (NotApplicable, MissingWeights):
            yield found
            continue
        x_hat = answer.x_hat if isinstance(answer, Recovery) else answer
        error = metrics.mse(x_hat, truth.x).numpy()
        found[cell.method_name] = frame_of(level, truth.ids, _pixels(x_hat, shape), error, cell.id.made_by)
        yield found


def measurement_pictures(given: Measurement) -> np.ndarray | None:
    """y as images, shape [batch, c, h, w], for operators whose measurements look like something; None for others.

    Blurred images are y itself; hidden pixels and Fourier coefficients that were not measured are zero; means of blocks
    are shown as large as their blocks.
    """
    if given.A.picture_like is None:
        return None
    if given.A.picture_like == "y":
        return _pixels(given.y, given.image_shape)
    scale = given.n / given.y.shape[1] if given.A.picture_like == "blocks" else 1
    return _pixels(given.A.adjoint(given.y) * scale, given.image_shape)


def _pixels(x: Tensor, image_shape: tuple[int, int, int]) -> np.ndarray:
    return x.reshape(-1, *image_shape).float().numpy()
