"""The Lasso by cvxpy; a module of its own, for nothing else needs that package."""

from __future__ import annotations

import cvxpy
import numpy as np
from jaxtyping import Float64


def minimise(B: Float64[np.ndarray, "m n"], y: Float64[np.ndarray, " m"], alpha: float) -> Float64[np.ndarray, " n"]:
    """The minimiser of 1/2 ||y - B theta||^2 + alpha ||theta||_1, shape [n], by the interior-point solver CLARABEL."""
    theta, r = cvxpy.Variable(B.shape[1]), cvxpy.Variable(len(y))
    objective = 0.5 * cvxpy.sum_squares(r) + alpha * cvxpy.norm1(theta)
    problem = cvxpy.Problem(cvxpy.Minimize(objective), [r == B @ theta - y])
    problem.solve(solver=cvxpy.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-9, tol_feas=1e-10)
    assert theta.value is not None
    return theta.value
