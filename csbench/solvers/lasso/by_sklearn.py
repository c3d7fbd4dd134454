"""The Lasso by scikit-learn; a module of its own, for nothing else needs that package."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from sklearn.linear_model import Lasso


def minimise(
    B: Float64[np.ndarray, "m n"], y: Float64[np.ndarray, " m"], alpha: float, *, tol: float, iterations: int
) -> Float64[np.ndarray, " n"]:
    """The minimiser of 1/2 ||y - B theta||^2 + alpha ||theta||_1, shape [n], by coordinate descent.

    Args:
        tol: relative duality gap.
        iterations: sweeps over all coordinates, at most.
    """
    # minimises 1/(2 m) ||y - B theta||^2 + alpha' ||theta||_1 until gap <= tol ||y||^2; the objective is smaller
    model = Lasso(alpha=alpha / len(y), fit_intercept=False, tol=1e-2 * tol * min(1.0, alpha), max_iter=iterations)
    return model.fit(np.asfortranarray(B), y).coef_
