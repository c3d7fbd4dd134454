"""Orthogonal matching pursuit of many right-hand sides on one Gram matrix, compiled; see `solvers.sparse.greedy`.

To orthonormalise the chosen columns, their inner products with all columns are enough (Rubinstein, Zibulevsky, Elad
2008). A step costs n times the number of chosen columns, and k steps n k^2 / 2, less than k products with B if k < m.
"""

from __future__ import annotations

import numpy as np
from numba import njit

DEPENDENT = 1e-10  # squared distance of a column from the span of the others, relative to its squared norm


@njit("i8(f8[:,::1], f8[::1], f8, f8, i8, f8[::1])", cache=True, nogil=True, error_model="numpy")
def _pursue(gram, correlation, squares, stop, most, theta):
    n = len(correlation)
    inner = np.empty((most, n))  # of the orthonormalised columns with all columns
    weight = np.empty(most)  # of the orthonormalised columns in y
    support = np.empty(most, np.int64)
    c = correlation.copy()  # B^T r, r the residual
    left = np.ones(n, np.bool_)
    s = 0
    while s < most and squares > stop:
        j, largest = -1, 0.0
        for i in range(n):
            if left[i] and abs(c[i]) > largest:
                j, largest = i, abs(c[i])
        if j < 0:
            break
        left[j] = False
        inner[s] = gram[j] - np.dot(inner[:s, j].copy(), inner[:s])
        if inner[s, j] <= DEPENDENT * gram[j, j]:
            continue
        inner[s] /= np.sqrt(inner[s, j])
        weight[s] = c[j] / inner[s, j]
        support[s] = j
        c -= weight[s] * inner[s]
        squares -= weight[s] ** 2
        s += 1
    for k in range(s - 1, -1, -1):
        t = weight[k]
        for i in range(k + 1, s):
            t -= inner[k, support[i]] * theta[support[i]]
        theta[support[k]] = t / inner[k, support[k]]
    return s


@njit("void(f8[:,::1], f8[:,::1], f8[::1], f8[::1], i8, f8[:,::1], i8[::1])", cache=True, nogil=True)
def pursue(gram, correlation, squares, stop, most, theta, steps):
    """Choose columns for every row of `correlation` until the squared residual is at most `stop`, or `most` are chosen.

    Args:
        gram, correlation: B^T B, shape [n, n], and y B, shape [batch, n].
        squares, stop: ||y||^2 and the squared residual at which to stop, shape [batch].
        theta: zeros; filled, shape [batch, n].
        steps: filled with the number of chosen columns, shape [batch].
    """
    for row in range(len(correlation)):
        steps[row] = _pursue(gram, correlation[row], squares[row], stop[row], most, theta[row])
