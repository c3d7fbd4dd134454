"""Greedy pursuit and hard thresholding: theta with few entries that explains y, for every row y of a batch.

    y = B theta + noise,   theta with at most k entries that are not zero

`omp` adds one column at a time; `cosamp` and `iht` keep k and exchange many at once, and have guarantees where B nearly
keeps the norm of vectors with a few times k entries (the restricted isometry property of Candes and Tao 2005).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from scipy.linalg import lapack
from torch import Tensor

from csbench.core.transforms import Transform
from csbench.operators import LinearOperator

ROUNDING = 1e-7  # of ||y||: a residual that explains y given in float32, or squares summed in float64
CROWDED = 2 / 3  # of the rows: with more columns than this `cosamp` fits what no column should explain; found by trial
SMALLER = 1e-6  # by which a residual has to fall, of itself, to be smaller
SAFETY = 0.01  # by which the step of `iht` stays below the largest that certainly does not raise the residual

Projection = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class SparseSolution:
    """A batch of sparse vectors.

    Attributes:
        theta: shape [batch, n].
        residual: ||y - B theta||, shape [batch].
        iterations: shape [batch].
        converged: False where the iterations ran out, shape [batch].
    """

    theta: Float[Tensor, "batch n"]
    residual: Float[Tensor, " batch"]
    iterations: Int64[Tensor, " batch"]
    converged: Bool[Tensor, " batch"]

    def to(self, device: torch.device) -> SparseSolution:
        """The same on another device."""
        return SparseSolution(*(getattr(self, f.name).to(device) for f in fields(self)))

    def diagnostics(self) -> dict[str, Shaped[Tensor, " batch"]]:
        """As a method reports them."""
        return {
            "iterations": self.iterations,
            "residual": self.residual,
            "support_size": (self.theta != 0).sum(1),
            "converged": self.converged,
        }


def largest(v: Float[np.ndarray, "batch n"], k: int) -> Bool[np.ndarray, "batch n"]:
    """Where each row has its k entries of largest magnitude, less those that are zero; bool, shape [batch, n]."""
    chosen = np.zeros(v.shape, np.bool_)
    np.put_along_axis(chosen, np.argpartition(-np.abs(v), min(k, v.shape[1]) - 1, axis=1)[:, :k], True, axis=1)
    return chosen & (v != 0)


def omp(B: Float[Tensor, "m n"], y: Float[Tensor, "batch m"], k: int, *, noise_norm: float = 0.0) -> SparseSolution:
    """Orthogonal matching pursuit (Pati, Rezaiifar, Krishnaprasad 1993; Tropp and Gilbert 2007).

    Each step takes the column with the largest inner product with the residual, whatever the norms of the columns, and
    fits y on all that were taken. An image ends where its residual is at most the noise, k columns are in use, or all
    others are combinations of them.

    Args:
        B: design, shape [m, n]; computed on in float64 on the CPU, whatever it is given in.
        y: shape [batch, m].
        k: 1 or more.
        noise_norm: sqrt(E||noise||^2).
    """
    from csbench.solvers.sparse.omp import pursue  # imports numba, which takes a second

    problem = _Problem.of(B, y)
    theta = np.zeros(problem.correlation.shape)
    steps = np.zeros(len(theta), np.int64)
    squares = np.square(problem.y).sum(1)
    pursue(problem.gram, problem.correlation, squares, problem.goal(noise_norm) ** 2, min(k, len(B)), theta, steps)
    return problem.solution(theta, steps, np.ones(len(theta), np.bool_)).to(y.device)


def cosamp(
    B: Float[Tensor, "m n"],
    y: Float[Tensor, "batch m"],
    k: int,
    *,
    noise_norm: float = 0.0,
    project: Projection = largest,
    iterations: int = 50,
) -> SparseSolution:
    """CoSaMP (Needell and Tropp 2009); with another `project` model-based (Baraniuk, Cevher, Duarte, Hegde 2010).

    Each iteration fits y on the present support and on 2 k more columns that the residual points to, prunes the outcome
    to k entries, and fits again on these, as subspace pursuit does (Dai and Milenkovic 2009). An image ends where its
    residual is at most the noise or falls no more. Fewer than 2 k join where these would be many beside the rows.

    Args:
        B, y, k, noise_norm: as for `omp`.
        project: the best support of at most k entries for each row of v, from v, shape [batch, n], and k; bool, of v's
            shape.
        iterations: at most.
    """
    problem = _Problem.of(B, y)
    m, n = B.shape
    k = min(k, m, n)
    theta, residual = np.zeros(problem.correlation.shape), problem.y.copy()
    size, goal = np.linalg.norm(residual, axis=1), problem.goal(noise_norm)
    steps = np.zeros(len(theta), np.int64)
    live = np.flatnonzero(size > goal)
    for _ in range(iterations):
        merged = project(residual[live] @ problem.B, max(1, min(2 * k, int(CROWDED * m) - k))) | (theta[live] != 0)
        pruned = project(problem.fit(live, merged), k)
        candidate = problem.fit(live, pruned)
        left = problem.y[live] - candidate @ problem.B.T
        norm = np.linalg.norm(left, axis=1)
        steps[live] += 1
        smaller = norm < (1 - SMALLER) * size[live]
        live = live[smaller]
        theta[live], residual[live], size[live] = candidate[smaller], left[smaller], norm[smaller]
        live = live[size[live] > goal[live]]
        if len(live) == 0:
            break
    converged = np.ones(len(theta), np.bool_)
    converged[live] = False
    return problem.solution(theta, steps, converged).to(y.device)


def iht(
    A: LinearOperator,
    y: Float[Tensor, "batch m"],
    psi: Transform,
    k: int,
    *,
    noise_norm: float = 0.0,
    iterations: int = 500,
    tol: float = 1e-5,
) -> SparseSolution:
    """Normalised iterative hard thresholding (Blumensath and Davies 2009, 2010), in y's dtype and on its device.

    With B = A Psi^T, theta <- the k largest entries of theta + mu B^T (y - B theta), where mu minimises the residual if
    the support stays, and is halved until the residual certainly falls if it does not. An image ends where its residual
    is at most the noise or theta moves no more. No matrix is formed.

    Args:
        A: of y's dtype and device; psi is orthonormal, and y, k and noise_norm are as for `omp`.
        iterations: at most.
        tol: change of theta, relative to its norm, that counts as none.
    """
    k = min(k, *A.shape)
    tiny = torch.finfo(y.dtype).tiny
    found = SparseSolution(
        torch.zeros(len(y), A.shape[1], dtype=y.dtype, device=y.device),
        y.norm(dim=1),
        torch.zeros(len(y), dtype=torch.int64, device=y.device),
        torch.ones(len(y), dtype=torch.bool, device=y.device),
    )
    goal = (ROUNDING * found.residual).clamp_min(noise_norm)
    live = (found.residual > goal).nonzero()[:, 0]
    theta, r = found.theta[live], y[live]
    support = _thresholded(psi(A.adjoint(r)), k) != 0
    for _ in range(iterations):
        g = psi(A.adjoint(r))
        on_support = g * support
        mu = on_support.square().sum(1) / A(psi.inverse(on_support)).square().sum(1).clamp_min(tiny)
        moved = _thresholded(theta + mu[:, None] * g, k)
        image = A(psi.inverse(moved - theta))
        long = torch.arange(len(live), device=y.device)
        while True:
            other = ((moved[long] != 0) != support[long]).any(1)
            change = (moved[long] - theta[long]).square().sum(1)
            long = long[other & (mu[long] * image[long].square().sum(1) > (1 - SAFETY) * change)]
            if len(long) == 0:
                break
            mu[long] /= 2
            moved[long] = _thresholded(theta[long] + mu[long, None] * g[long], k)
            image[long] = A(psi.inverse(moved[long] - theta[long]))
        change = (moved - theta).norm(dim=1)
        theta, r, support = moved, r - image, moved != 0
        size = r.norm(dim=1)
        going = (change > tol * theta.norm(dim=1)) & (size > goal[live])
        found.theta[live], found.residual[live], found.converged[live] = theta, size, ~going
        found.iterations[live] += 1
        live, theta, r, support = live[going], theta[going], r[going], support[going]
        if len(live) == 0:
            break
    return found


def _thresholded(v: Tensor, k: int) -> Tensor:
    """v with all but the k entries of each row with the largest magnitude set to zero."""
    kept = v.abs().topk(k, dim=1, sorted=False).indices
    return torch.zeros_like(v).scatter_(1, kept, v.gather(1, kept))


@dataclass(frozen=True)
class _Problem:
    """One design and its right-hand sides, in float64 on the CPU.

    Attributes:
        B, y: shapes [m, n] and [batch, m].
        gram, correlation: B^T B and y B, shapes [n, n] and [batch, n].
    """

    B: np.ndarray
    y: np.ndarray
    gram: np.ndarray
    correlation: np.ndarray

    @classmethod
    def of(cls, B: Tensor, y: Tensor) -> _Problem:
        design, measured = (v.detach().double().cpu().contiguous().numpy() for v in (B, y))
        return cls(design, measured, design.T @ design, measured @ design)

    def goal(self, noise_norm: float) -> np.ndarray:
        """The residual at which to stop, shape [batch]."""
        return np.maximum(noise_norm, ROUNDING * np.linalg.norm(self.y, axis=1))

    def fit(self, rows: np.ndarray, support: np.ndarray) -> np.ndarray:
        """Least squares on a support for each of the rows, shape [len(rows), n]."""
        theta = np.zeros(support.shape)
        for i, row in enumerate(rows):
            chosen = np.flatnonzero(support[i])
            if len(chosen):
                _, value, failed = lapack.dposv(self.gram[np.ix_(chosen, chosen)], self.correlation[row, chosen])  # type: ignore[attr-defined]
                if failed:  # columns depend on each other: of all that fit as well, the one with the least norm
                    value = np.linalg.lstsq(self.B[:, chosen], self.y[row])[0]
                theta[i, chosen] = value
        return theta

    def solution(self, theta: np.ndarray, steps: np.ndarray, converged: np.ndarray) -> SparseSolution:
        residual = np.linalg.norm(self.y - theta @ self.B.T, axis=1)
        return SparseSolution(*map(torch.from_numpy, (theta, residual, steps, converged)))
