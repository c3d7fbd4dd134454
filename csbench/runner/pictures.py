"""A few reconstructions for the eye, outside of the store of results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from csbench import metrics
from csbench.errors import MissingWeights
from csbench.method import NotApplicable, Recovery
from csbench.runner.plan import make_cells
from csbench.seeding import seed_of
from csbench.suites import Suite

ByMethod = dict[int, dict[str, np.ndarray]]  # m to method to an array


def reconstruct(
    suite: Suite, images: int, report: Callable[[], None] = lambda: None
) -> tuple[np.ndarray, ByMethod, ByMethod]:
    """Recover the first test images with every method of the suite, in this process.

    Args:
        report: called after each method and m.

    Returns:
        the images, shape [images, c, h, w]; what was recovered, likewise; and mean squared errors, shape [images].
        Methods that do not apply are left out.
    """
    recovered: ByMethod = {}
    errors: ByMethod = {}
    pictures = np.empty(0)
    for cell in make_cells(suite):
        problem = replace(cell.problem, images=images)
        given, truth = problem.simulate()
        rng = torch.Generator().manual_seed(seed_of(*problem.method_seed_names()))
        pictures = truth.x.reshape(-1, *given.image_shape).numpy()
        try:
            answer = cell.method.recover(given, rng)
        except (NotApplicable, MissingWeights):
            continue
        finally:
            report()
        x_hat = answer.x_hat if isinstance(answer, Recovery) else answer
        recovered.setdefault(problem.m, {})[cell.method_name] = x_hat.reshape(pictures.shape).numpy()
        errors.setdefault(problem.m, {})[cell.method_name] = metrics.mse(x_hat, truth.x).numpy()
    return pictures, recovered, errors
