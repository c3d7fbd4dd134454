"""The Lasso for one right-hand side by cyclic coordinate descent (Friedman, Hastie, Hoefling, Tibshirani 2007).

Slow, but it converges on every problem, also where columns are equal or opposite: the last resort of
`csbench.solvers.lasso.path`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from csbench.solvers.lasso.homotopy import add, dot

CHECK = 10  # sweeps between looks at the duality gap


@njit("i8(f8[:,::1], f8[::1], f8, f8, f8, i8, f8[::1])", cache=True, nogil=True, error_model="numpy")
def descend(gram, correlation, square, alpha, tol, sweeps, theta):
    """From theta to the minimiser, in place.

    Args:
        gram: B^T B, shape [n, n].
        correlation: B^T y, shape [n].
        square: ||y||^2.
        tol: relative duality gap at which to stop.
        sweeps: over all coordinates, at most.

    Returns:
        the number of sweeps.
    """
    n = len(theta)
    c = correlation.copy()  # B^T (y - B theta)
    for i in range(n):
        if theta[i] != 0.0:
            add(-theta[i], gram[i], c, n)
    for sweep in range(1, sweeps + 1):
        for i in range(n):
            scale = gram[i, i]
            if scale > 0.0:
                v = c[i] + scale * theta[i]
                new = np.sign(v) * max(abs(v) - alpha, 0.0) / scale
                if new != theta[i]:
                    add(theta[i] - new, gram[i], c, n)
                    theta[i] = new
        if sweep % CHECK == 0:
            fitted = dot(theta, correlation, n)
            rr, ry = square - fitted - dot(theta, c, n), square - fitted
            primal = 0.5 * rr + alpha * np.abs(theta).sum()
            scale = min(alpha / max(np.abs(c).max(), 1e-300), max(ry / max(rr, 1e-300), 0.0))
            if primal - (scale * ry - 0.5 * scale * scale * rr) <= tol * primal:
                return sweep
    return sweeps
