"""The Lasso for a batch whose supports are large, on one Gram matrix; see `csbench.solvers.lasso.path` for the problem.

Some iterations of ADMM in float32, products of matrices for the batch as a whole (Boyd, Parikh, Chu, Peleato, Eckstein
2011, section 6.4), find nearly the support. The primal-dual active-set method, which is Newton's (Hintermueller, Ito,
Kunisch 2003), mends it for each image: it solves the optimality conditions on the support in float64, takes out what
has the wrong sign, and adds what violates them. It may cycle; the caller certifies what comes back.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numba import njit
from scipy.linalg import lapack
from torch import Tensor

from csbench.solvers.lasso.homotopy import CLOSE, block_of, combine, solve_refined

STEP = 0.3  # of ADMM, in squared norms of a column; found by trial, as are these
ITERATIONS = 40
RELAXATION = 1.7
ROUNDS = 8  # of the active-set method, at most


def solve_batch(
    gram: Float64[np.ndarray, "n n"], correlation: Float64[np.ndarray, "batch n"], alpha: float, rank: int
) -> tuple[Float64[np.ndarray, "batch n"], Int64[np.ndarray, " batch"]]:
    """The minimisers, as far as this method finds them.

    Args:
        gram: B^T B, float64, shape [n, n].
        correlation: y B, float64, shape [batch, n].
        rank: of B, at most.

    Returns:
        theta, float64, shape [batch, n], and how many iterations and rounds it took, shape [batch].
    """
    theta = _admm(gram, correlation, alpha).double().numpy()
    rounds = np.zeros(len(theta), dtype=np.int64)
    for row in range(len(theta)):
        if np.count_nonzero(theta[row]) <= rank:
            try:
                rounds[row] = _mend(gram, correlation[row], alpha, rank, theta[row])
            except np.linalg.LinAlgError:  # columns of the support depend on each other
                theta[row] = 0.0
    return theta, ITERATIONS + rounds


def _admm(gram: np.ndarray, correlation: np.ndarray, alpha: float) -> Tensor:
    rho = STEP * gram.diagonal().mean()
    shifted = gram.astype(np.float32)
    np.fill_diagonal(shifted, shifted.diagonal() + rho)
    factor, failed = lapack.spotrf(shifted.T, lower=1, overwrite_a=1)  # type: ignore[attr-defined]
    if failed:
        return torch.zeros(correlation.shape)
    triangle, _ = lapack.spotri(factor, lower=1, overwrite_c=1)  # type: ignore[attr-defined]
    lower = torch.from_numpy(triangle.T).triu()
    inverse = lower + lower.triu(1).T
    fixed = torch.from_numpy(correlation).float() @ inverse
    inverse *= rho
    z, u = torch.zeros_like(fixed), torch.zeros_like(fixed)
    for _ in range(ITERATIONS):
        v = u.add_(torch.addmm(fixed, z - u, inverse), alpha=RELAXATION).add_(z, alpha=1 - RELAXATION)
        u = v.clamp(-alpha / rho, alpha / rho)
        z = v - u
    return z


@njit("i8(f8[:,::1], f8[::1], f8, i8, f8[::1])", cache=True, nogil=True, error_model="numpy")
def _mend(gram, correlation, alpha, rank, theta):
    """From a guess to the minimiser, in place; returns the number of rounds."""
    n = len(theta)
    c = np.empty(n)
    sign = np.sign(theta)
    for count in range(ROUNDS):
        support = np.flatnonzero(sign)
        s = len(support)
        if s > rank:
            return count
        exact = block_of(gram, support, s)
        b, value = np.empty(s), np.empty(s)
        for k in range(s):
            b[k] = correlation[support[k]] - alpha * sign[support[k]]
        L = np.linalg.cholesky(exact.astype(np.float32))
        solve_refined(exact, L, False, b, CLOSE, value)
        combine(gram, support, s, value, c)
        theta[:] = 0.0
        wrong = 0
        for i in range(n):
            violation = correlation[i] - c[i]
            if sign[i] == 0.0 and abs(violation) > alpha * (1 + 1e-12):
                sign[i] = np.sign(violation)
                wrong += 1
        for k in range(s):
            i = support[k]
            if value[k] * sign[i] > 0:
                theta[i] = value[k]
            else:
                sign[i] = 0.0
                wrong += 1
        if wrong == 0:
            return count + 1
    return ROUNDS
