"""The Lasso, exactly, for many right-hand sides and one design: homotopy along the whole path of penalties.

    minimise  P(theta) = 1/2 ||y - B theta||^2 + alpha ||theta||_1        for every row y of a batch

The minimiser is piecewise linear in alpha (Osborne, Presnell, Turlach 2000; Efron, Hastie, Johnstone, Tibshirani
2004). From alpha_max = max |B^T y|, where it is zero, the path is followed down, one coordinate entering or leaving the
support at each knot, on one Gram matrix that the whole batch shares. At each wanted alpha the optimality conditions are
solved afresh on the support, so no rounding error builds up, and the result is certified by its duality gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor


@dataclass(frozen=True)
class LassoSolution:
    """A batch of minimisers with their certificates.

    Attributes:
        theta: float64, shape [batch, n].
        objective: P(theta), shape [batch].
        gap: relative duality gap, (P - D) / P, shape [batch].
        residual: ||y - B theta||, shape [batch].
        knots: how many times the support changed on the way, plus the iterations of ADMM if any, shape [batch].
    """

    theta: Tensor
    objective: Tensor
    gap: Tensor
    residual: Tensor
    knots: Tensor

    def diagnostics(self, tol: float) -> dict[str, Tensor]:
        """As a method reports them; converged means gap <= tol."""
        return {
            "iterations": self.knots,
            "objective": self.objective,
            "residual": self.residual,
            "duality_gap": self.gap,
            "support_size": (self.theta != 0).sum(1),
            "converged": self.gap <= tol,
        }


def lasso_path(B: Tensor, y: Tensor, alphas: list[float]) -> list[LassoSolution]:
    """The minimisers for several penalties, at the cost of the smallest.

    Args:
        B: design, shape [m, n]; computed on in float64 on the CPU, whatever it is given in.
        y: shape [batch, m].
        alphas: positive, in any order.

    Returns:
        one solution for each alpha, in the order given, on y's device.
    """
    if not alphas or not all(alpha > 0 for alpha in alphas):
        raise ValueError(f"penalties must be positive, got {alphas}")
    design, measured = B.double().cpu(), y.double().cpu()
    gram = (design.T @ design).numpy()
    correlation = np.ascontiguousarray((measured @ design).numpy())
    order = np.argsort(alphas)[::-1]
    targets = np.asarray(alphas, dtype=np.float64)[order]
    theta = np.zeros((len(alphas), *correlation.shape))
    knots = np.zeros((len(alphas), len(correlation)), dtype=np.int64)
    for row in range(len(correlation)):
        _follow_path(gram, correlation[row], targets, min(B.shape), theta[:, row], knots[:, row])
    solutions: list[LassoSolution] = [None] * len(alphas)  # type: ignore[list-item]
    for rank, index in enumerate(order):
        minimiser = torch.from_numpy(theta[rank])
        objective, gap, residual = duality_gap(design, measured, alphas[index], minimiser)
        parts = (minimiser, objective, gap, residual, torch.from_numpy(knots[rank]))
        solutions[index] = LassoSolution(*(part.to(y.device) for part in parts))
    return solutions


def solve_lasso(B: Tensor, y: Tensor, alpha: float) -> LassoSolution:
    """The minimiser for one penalty; arguments as `lasso_path`."""
    return lasso_path(B, y, [alpha])[0]


def duality_gap(B: Tensor, y: Tensor, alpha: float, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Objective, relative duality gap and residual norm, each of shape [batch]."""
    r = y - theta @ B.T
    return certificate(y, alpha, theta, r, r @ B)


def certificate(
    y: Tensor, alpha: float, theta: Tensor, r: Tensor, correlation: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`duality_gap` from the residuals r = y - B theta and their correlations B^T r.

    The dual point is the residual, scaled into the feasible set ||B^T u||_inf <= alpha (Kim, Koh, Lustig, Boyd,
    Gorinevsky 2007, section III). The gap is relative to the objective; where the objective is zero, so is the gap.
    """
    tiny = torch.finfo(y.dtype).tiny
    rr, ry = (r * r).sum(1), (r * y).sum(1)
    primal = 0.5 * rr + alpha * theta.abs().sum(1)
    feasible = alpha / correlation.abs().amax(1).clamp_min(tiny)
    scale = torch.minimum(feasible, ry / rr.clamp_min(tiny)).clamp_min(0)
    dual = scale * ry - 0.5 * scale**2 * rr
    return primal, (primal - dual).clamp_min(0) / primal.clamp_min(tiny), rr.sqrt()


# Signatures are given so that compiling, or loading from the cache, happens at import and never inside a timed cell.
@njit("void(f8[:,::1], i8, f8[::1], f8[::1])", cache=True, nogil=True)
def cholesky_solve(L, s, b, out):
    """out = (L L^T)^-1 b for the leading s x s block of L."""
    for i in range(s):
        t = b[i]
        row = L[i]
        for k in range(i):
            t -= row[k] * out[k]
        out[i] = t / row[i]
    for i in range(s - 1, -1, -1):
        t = out[i] / L[i, i]
        out[i] = t
        row = L[i]
        for k in range(i):
            out[k] -= row[k] * t


@njit("void(f8[:,::1], i8, i8)", cache=True, nogil=True)
def remove_row(L, s, r):
    """Delete row r from the s x s Cholesky factor and restore its triangle by Givens rotations."""
    for i in range(r, s - 1):
        for k in range(i + 2):
            L[i, k] = L[i + 1, k]
    for i in range(r, s - 1):
        a, b = L[i, i], L[i, i + 1]
        h = np.hypot(a, b)
        c, d = a / h, b / h
        L[i, i], L[i, i + 1] = h, 0.0
        for k in range(i + 1, s - 1):
            p, q = L[k, i], L[k, i + 1]
            L[k, i], L[k, i + 1] = c * p + d * q, c * q - d * p


@njit("void(f8[:,::1], i8[::1], i8, f8[::1], f8[::1])", cache=True, nogil=True, fastmath=True)
def _combine_rows(gram, support, s, weight, out):
    """out = sum over k of weight[k] gram[support[k]], four rows at a time."""
    n = out.shape[0]
    out[:] = 0.0
    k = 0
    while k + 3 < s:
        w0, w1, w2, w3 = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        g0, g1, g2, g3 = gram[support[k]], gram[support[k + 1]], gram[support[k + 2]], gram[support[k + 3]]
        for i in range(n):
            out[i] += w0 * g0[i] + w1 * g1[i] + w2 * g2[i] + w3 * g3[i]
        k += 4
    while k < s:
        w0, g0 = weight[k], gram[support[k]]
        for i in range(n):
            out[i] += w0 * g0[i]
        k += 1


@njit("void(f8[:,::1], f8[::1], f8[::1], i8, f8[:,:], i8[:])", cache=True, nogil=True)
def _follow_path(gram, correlation, targets, rank, theta, knots):
    """Follow one path; theta[t] and knots[t] are filled for each of the descending penalties targets[t]."""
    n = gram.shape[0]
    L = np.zeros((rank, rank))
    support = np.empty(rank, np.int64)
    sign, value, direction, work = np.empty(rank), np.zeros(rank), np.empty(rank), np.empty(rank)
    outside = np.ones(n, np.bool_)
    slope = np.empty(n)
    c = correlation.copy()
    s = 0
    entering = np.argmax(np.abs(c))
    alpha = abs(c[entering])
    just_left = -1
    t = 0
    while t < len(targets) and alpha <= targets[t]:
        t += 1  # theta = 0 is the minimiser
    steps = 0
    while t < len(targets) and steps < 20 * rank + 100:
        steps += 1
        if entering >= 0:
            j = entering
            outside[j] = False
            if s < rank:
                for k in range(s):
                    work[k] = gram[j, support[k]]
                square = gram[j, j]
                for i in range(s):
                    v = work[i]
                    row = L[i]
                    for k in range(i):
                        v -= row[k] * L[s, k]
                    v /= row[i]
                    L[s, i] = v
                    square -= v * v
                if square > 1e-11 * gram[j, j]:  # else the column depends on those of the support and changes nothing
                    L[s, s] = np.sqrt(square)
                    support[s] = j
                    sign[s] = 1.0 if c[j] > 0 else -1.0
                    value[s] = 0.0
                    s += 1
        cholesky_solve(L, s, sign, direction)
        _combine_rows(gram, support, s, direction, slope)

        step = alpha - targets[t]
        entering, leaving = -1, -1
        for i in range(n):
            if outside[i]:  # what has just left may come back with the other sign, but not at once with the same
                up, down = 1.0 - slope[i], 1.0 + slope[i]
                if up > 1e-12 and not (i == just_left and c[i] > 0):
                    d = max((alpha - c[i]) / up, 0.0)
                    if d < step:
                        step, entering = d, i
                if down > 1e-12 and not (i == just_left and c[i] < 0):
                    d = max((alpha + c[i]) / down, 0.0)
                    if d < step:
                        step, entering = d, i
        for k in range(s):
            if direction[k] * sign[k] < 0:
                d = -value[k] / direction[k]
                if 0 <= d < step:
                    step, entering, leaving = d, -1, k

        for k in range(s):
            value[k] += step * direction[k]
        for i in range(n):
            c[i] -= step * slope[i]
        alpha -= step
        just_left = -1
        if leaving >= 0:
            just_left = support[leaving]
            outside[just_left] = True
            remove_row(L, s, leaving)
            for k in range(leaving, s - 1):
                support[k], sign[k], value[k] = support[k + 1], sign[k + 1], value[k + 1]
            s -= 1
        elif entering < 0:  # the wanted penalty is reached: solve the optimality conditions afresh
            alpha = targets[t]
            for k in range(s):
                work[k] = correlation[support[k]] - alpha * sign[k]
            cholesky_solve(L, s, work, value)
            for k in range(s):
                theta[t, support[k]] = value[k]
            knots[t] = steps
            t += 1
            while t < len(targets) and alpha <= targets[t]:
                theta[t], knots[t] = theta[t - 1], steps
                t += 1
