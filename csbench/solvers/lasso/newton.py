"""One step of the primal-dual active-set method for the Lasso, which is Newton's (Hintermueller, Ito, Kunisch 2003).

    minimise  1/2 ||y - B theta||^2 + alpha ||theta||_1

Where the support and its signs are nearly right, few steps lead to the minimiser, each at the price of one Cholesky
factorisation. It may cycle; the caller certifies what comes back.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64
from scipy.linalg import blas, lapack


def newton_step(
    columns: Float32[np.ndarray, "n m"],
    theta: Float64[np.ndarray, " n"],
    sign: Float64[np.ndarray, " n"],
    correlation: Float64[np.ndarray, " n"],
    alpha: float,
) -> Float64[np.ndarray, " n"] | None:
    """Solves the optimality conditions on a support with given signs.

    The correction is computed with columns in float32 from a correlation that is exact, so that further steps on the
    same support refine the solution.

    Args:
        columns: B^T, float32, shape [n, m]; they need only be close to the true ones.
        theta: the present point, float64, shape [n].
        sign: what the signs are to be, 0 off the support, shape [n].
        correlation: B^T (y - B theta), float64, shape [n].

    Returns:
        the new point; None where the support's columns depend on each other, or are more than m.
    """
    support = np.flatnonzero(sign)
    if len(support) > columns.shape[1]:
        return None
    if len(support) == 0:
        return np.zeros_like(theta)
    B = columns[support].astype(np.float64)
    left = np.flatnonzero((theta != 0) & (sign == 0))
    right = correlation[support] - alpha * sign[support]
    if len(left):
        right += B @ (theta[left] @ columns[left].astype(np.float64))
    gram = blas.dsyrk(1.0, B.T, trans=1)  # type: ignore[attr-defined]
    _, change, failed = lapack.dposv(gram, right, overwrite_a=1)  # type: ignore[attr-defined]
    if failed:
        return None
    moved = np.zeros_like(theta)
    moved[support] = theta[support] + change
    return moved


def signs_after(
    theta: Float64[np.ndarray, " n"],
    sign: Float64[np.ndarray, " n"],
    correlation: Float64[np.ndarray, " n"],
    alpha: float,
) -> Float64[np.ndarray, " n"]:
    """The signs for the next step: entries that came out with the wrong one leave, and violators enter."""
    kept = np.where(theta * sign > 0, sign, 0.0)
    violated = (sign == 0) & (np.abs(correlation) > alpha * (1 + 1e-9))
    return np.where(violated, np.sign(correlation), kept)
