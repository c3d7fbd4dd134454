"""The Lasso, exactly, for many right-hand sides and one design of at most a few thousand columns.

    minimise  P(theta) = 1/2 ||y - B theta||^2 + alpha ||theta||_1        for every row y of a batch

The minimiser is piecewise linear in alpha (Osborne, Presnell, Turlach 2000; Efron, Hastie, Johnstone, Tibshirani
2004). From alpha_max = max |B^T y|, where it is zero, `homotopy` follows the path down, one coordinate entering or
leaving the support at each knot, on one Gram matrix that the whole batch shares. Where most measurements have their
coefficient the knots are many, and `splitting` is the faster way to one penalty. Every solution is certified by its
duality gap in float64; what fails is followed once more in float64, and then left to `coordinates`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, Shaped
from torch import Tensor

EXACT = 1e-10  # relative duality gap of a solution that is left as it is,
ROUNDING = 1e-14  # or as much as rounding makes of alpha_max, where that is more
NARROW = 1e-6  # of alpha_max, above which a path may be followed in float32
CROWDED, SATURATED = 0.2, 0.85  # `splitting` is faster with more than this share of columns and less of rows in support
FEW = 8  # images, for which `splitting` does not pay
SWEEPS = 3_000
LEAST = 1e-10  # of alpha_max: where a path ends that is followed to a residual
TOL = 1e-6  # relative duality gap up to which a solution counts as converged


@dataclass(frozen=True)
class LassoSolution:
    """A batch of minimisers with their certificates.

    Attributes:
        theta: float64, shape [batch, n].
        alpha: shape [batch].
        objective: P(theta), shape [batch].
        gap: relative duality gap, (P - D) / P, shape [batch].
        residual: ||y - B theta||, shape [batch].
        iterations: how many times the support changed on the way, or what was done instead of following it, shape
            [batch].
        converged: whether the gap is as small as was asked for, shape [batch].
    """

    theta: Float64[Tensor, "batch n"]
    alpha: Float64[Tensor, " batch"]
    objective: Float64[Tensor, " batch"]
    gap: Float64[Tensor, " batch"]
    residual: Float64[Tensor, " batch"]
    iterations: Int64[Tensor, " batch"]
    converged: Bool[Tensor, " batch"]

    def to(self, device: torch.device) -> LassoSolution:
        """The same solutions on another device."""
        return LassoSolution(*(getattr(self, f.name).to(device) for f in fields(self)))

    def judged(self, tol: float) -> LassoSolution:
        """The same solutions, of which those count as converged whose gap is at most tol."""
        return replace(self, converged=self.gap <= tol)

    def diagnostics(self) -> dict[str, Shaped[Tensor, " batch"]]:
        """As a method reports them."""
        return {
            "iterations": self.iterations,
            "alpha": self.alpha,
            "objective": self.objective,
            "residual": self.residual,
            "duality_gap": self.gap,
            "support_size": (self.theta != 0).sum(1),
            "converged": self.converged,
        }


def lasso_path(
    B: Float[Tensor, "m n"], y: Float[Tensor, "batch m"], alphas: list[float], *, tol: float = TOL
) -> list[LassoSolution]:
    """The minimisers for several penalties, at the cost of the smallest.

    Images are shared among as many threads as torch has.

    Args:
        B: design, shape [m, n]; computed on in float64 on the CPU, whatever it is given in.
        y: shape [batch, m].
        alphas: positive, in any order.
        tol: relative duality gap up to which a solution counts as converged; solutions are as exact as they get.

    Returns:
        one solution for each alpha, in the order given, on y's device.
    """
    if not alphas or not all(alpha > 0 for alpha in alphas):
        raise ValueError(f"penalties must be positive, got {alphas}")
    problem = _Problem.of(B, y)
    targets = np.sort(np.asarray(alphas, dtype=np.float64))[::-1].copy()
    path = _first_try(problem, targets)
    solutions = problem.solutions(path)
    for again in (_in_float64, _by_coordinates):
        wrong = np.flatnonzero(problem.inexact(solutions).any(1))
        if len(wrong) == 0:
            break
        path.improve(problem, wrong, again(problem.rows(wrong), path.rows(wrong)))
        solutions = problem.solutions(path)
    ranks = {alpha: rank for rank, alpha in enumerate(targets.tolist())}
    return [solutions[ranks[alpha]].judged(tol).to(y.device) for alpha in map(float, alphas)]


def solve_lasso(
    B: Float[Tensor, "m n"], y: Float[Tensor, "batch m"], alpha: float, *, tol: float = TOL
) -> LassoSolution:
    """The minimiser for one penalty; arguments as `lasso_path`."""
    return lasso_path(B, y, [alpha], tol=tol)[0]


def solve_discrepancy(
    B: Float[Tensor, "m n"], y: Float[Tensor, "batch m"], noise_norm: float, *, tol: float = TOL
) -> LassoSolution:
    """The point of each path where ||y - B theta|| has fallen to `noise_norm` (Morozov 1966), with the penalty there.

    Where the path ends above, as it may where m > n, its end is returned; where ||y|| is smaller, zero.
    """
    problem = _Problem.of(B, y)
    floor = np.array([LEAST * max(np.abs(problem.correlation).max(initial=0.0), np.finfo(np.float64).tiny)])
    return problem.solutions(_homotopy(problem, floor, np.float64, noise_norm))[0].judged(tol).to(y.device)


def basis_pursuit(B: Float[Tensor, "m n"], y: Float[Tensor, "batch m"], *, tol: float = TOL) -> LassoSolution:
    """The limit alpha -> 0: argmin ||theta||_1 subject to B theta = y, in the least-squares sense (Chen, Donoho,
    Saunders 1998). Objective and gap are those of this problem; the penalty is 0.
    """
    problem = _Problem.of(B, y)
    path = _homotopy(problem, np.zeros(1), np.float64)
    theta = torch.from_numpy(path.theta[:, 0])
    dual = torch.stack([_dual_of(problem, row) for row in theta]) if len(theta) else torch.zeros_like(problem.y)
    dual /= (dual @ problem.B).abs().amax(1, keepdim=True).clamp_min(1)  # feasible: ||B^T u||_inf <= 1
    objective = theta.abs().sum(1)
    tiny = torch.finfo(torch.float64).tiny
    gap = (objective - (dual * problem.y).sum(1)).abs() / objective.clamp_min(tiny)
    r = problem.y - theta @ problem.B.T
    largest = torch.from_numpy(np.abs(problem.correlation).max(1, initial=0.0)).clamp_min(tiny)
    unexplained = (r @ problem.B).abs().amax(1) / largest  # zero where theta solves the normal equations
    gap, knots = gap.maximum(unexplained), torch.from_numpy(path.knots[:, 0])
    solution = LassoSolution(theta, torch.zeros_like(gap), objective, gap, r.norm(dim=1), knots, gap <= tol)
    return solution.to(y.device)


def _dual_of(problem: _Problem, theta: Tensor) -> Tensor:
    """The u in the span of the support's columns whose correlations with them are the signs of theta."""
    support = theta.nonzero().flatten()
    columns, sign = problem.B[:, support], theta[support].sign()
    factor, failed = torch.linalg.cholesky_ex(columns.T @ columns)
    if failed:
        return torch.zeros(len(problem.B), dtype=theta.dtype)  # proves nothing, but is feasible
    return columns @ torch.cholesky_solve(sign[:, None], factor)[:, 0]


def duality_gap(
    B: Float[Tensor, "m n"],
    y: Float[Tensor, "batch m"],
    alpha: float | Float[Tensor, " batch"],
    theta: Float[Tensor, "batch n"],
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Objective, relative duality gap and residual norm, each of shape [batch]; alpha for all or for each."""
    r = y - theta @ B.T
    return certificate(y, alpha, theta, r, r @ B)


def certificate(
    y: Float[Tensor, "batch m"],
    alpha: float | Float[Tensor, " batch"],
    theta: Float[Tensor, "batch n"],
    r: Float[Tensor, "batch m"],
    correlation: Float[Tensor, "batch n"],
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"], Float[Tensor, " batch"]]:
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


@dataclass
class _Paths:
    """Points on the paths of a batch.

    Attributes:
        theta: float64, shape [batch, points, n].
        alphas: shape [batch, points], descending.
        knots: shape [batch, points].
    """

    theta: np.ndarray
    alphas: np.ndarray
    knots: np.ndarray

    def rows(self, chosen: np.ndarray) -> _Paths:
        return _Paths(self.theta[chosen], self.alphas[chosen], self.knots[chosen])

    def improve(self, problem: _Problem, chosen: np.ndarray, other: _Paths) -> None:
        """Take over the points of another try at the chosen rows that have the smaller gap."""
        part = problem.rows(chosen)
        rows, points = np.nonzero(~(part.gaps(self.rows(chosen)) <= part.gaps(other)))
        self.theta[chosen[rows], points] = other.theta[rows, points]
        self.knots[chosen[rows], points] += other.knots[rows, points]


@dataclass(frozen=True)
class _Problem:
    """One design and its right-hand sides, in float64 on the CPU.

    Attributes:
        B, y: shapes [m, n] and [batch, m].
        gram, correlation: B^T B and y B, shapes [n, n] and [batch, n].
    """

    B: Tensor
    y: Tensor
    gram: np.ndarray
    correlation: np.ndarray

    @classmethod
    def of(cls, B: Tensor, y: Tensor) -> _Problem:
        design, measured = B.detach().double().cpu().contiguous(), y.detach().double().cpu().contiguous()
        array = design.numpy()
        return cls(design, measured, array.T @ array, measured.numpy() @ array)  # numpy halves a product with itself

    def rows(self, chosen: np.ndarray) -> _Problem:
        return _Problem(self.B, self.y[torch.from_numpy(chosen)], self.gram, self.correlation[chosen])

    def solutions(self, path: _Paths) -> list[LassoSolution]:
        """Every point with its certificate."""
        found = []
        for point in range(path.theta.shape[1]):
            theta, alpha = torch.from_numpy(path.theta[:, point]), torch.from_numpy(path.alphas[:, point])
            knots = torch.from_numpy(path.knots[:, point])
            objective, gap, residual = duality_gap(self.B, self.y, alpha, theta)
            found.append(LassoSolution(theta, alpha, objective, gap, residual, knots, gap <= TOL))
        return found

    def gaps(self, path: _Paths) -> np.ndarray:
        """Relative duality gaps, shape [batch, points]."""
        return np.stack([solution.gap.numpy() for solution in self.solutions(path)], 1)

    def inexact(self, solutions: list[LassoSolution]) -> np.ndarray:
        """Which could be better, shape [batch, points]."""
        largest = torch.from_numpy(np.abs(self.correlation).max(1, initial=0.0))
        exact = [s.gap <= (ROUNDING * largest / s.alpha).clamp_min(EXACT) for s in solutions]
        return ~torch.stack(exact, 1).numpy()


def _first_try(problem: _Problem, targets: np.ndarray) -> _Paths:
    largest = np.abs(problem.correlation).max(initial=0.0)
    dtype = np.float32 if targets[-1] >= NARROW * largest else np.float64
    m, n = problem.B.shape
    if len(targets) > 1 or len(problem.y) < FEW or SATURATED * m <= CROWDED * n:
        return _homotopy(problem, targets, dtype)
    first = _homotopy(problem.rows(np.arange(1)), targets, dtype)
    others = problem.rows(np.arange(1, len(problem.y)))
    crowded = CROWDED * n < np.count_nonzero(first.theta) < SATURATED * m
    rest = _split(others, targets) if crowded else _homotopy(others, targets, dtype)
    return _Paths(*(np.concatenate([getattr(p, name) for p in (first, rest)]) for name in ("theta", "alphas", "knots")))


def _homotopy(problem: _Problem, targets: np.ndarray, dtype: type, residual: float | None = None) -> _Paths:
    """Every path down to the targets, or to where the residual has fallen so far, but not below the only target."""
    from csbench.solvers.lasso.homotopy import follow_paths  # imports numba, which takes a second

    batch, n = problem.correlation.shape
    path = _Paths(
        np.zeros((batch, len(targets), n)), np.zeros((batch, len(targets))), np.zeros((batch, len(targets)), int)
    )
    gram, correlation = problem.gram.astype(dtype, copy=False), problem.correlation.astype(dtype, copy=False)
    squares = problem.y.square().sum(1).numpy()
    stop = -1.0 if residual is None else residual**2
    zero = (1e-6, 2e-6) if dtype is np.float32 else (1e-12, 1e-11)

    def follow(rows: slice) -> None:
        follow_paths(
            gram, correlation[rows], problem.gram, problem.correlation[rows], targets.astype(dtype), targets,
            squares[rows], stop, min(problem.B.shape), dtype(zero[0]), dtype(zero[1]), path.theta[rows],
            path.alphas[rows], path.knots[rows],
        )  # fmt: skip

    _in_threads(follow, batch)
    if residual is None:
        path.alphas[:] = targets  # also where a path was lost
    return path


def _split(problem: _Problem, targets: np.ndarray) -> _Paths:
    from csbench.solvers.lasso.splitting import solve_batch

    theta, iterations = solve_batch(problem.gram, problem.correlation, targets[0], min(problem.B.shape))
    return _Paths(theta[:, None], np.tile(targets, (len(theta), 1)), iterations[:, None])


def _in_float64(problem: _Problem, path: _Paths) -> _Paths:
    return _homotopy(problem, path.alphas[0], np.float64)


def _by_coordinates(problem: _Problem, path: _Paths) -> _Paths:
    from csbench.solvers.lasso.coordinates import descend

    better = _Paths(path.theta.copy(), path.alphas, np.zeros_like(path.knots))
    squares = problem.y.square().sum(1).tolist()
    for row, point in np.argwhere(problem.inexact(problem.solutions(path))):
        better.knots[row, point] = descend(
            problem.gram, problem.correlation[row], squares[row], path.alphas[row, point], EXACT / 10, SWEEPS,
            better.theta[row, point],
        )  # fmt: skip
    return better


def _in_threads(work: Callable[[slice], None], rows: int) -> None:
    """Shares rows among threads; the kernels hold no lock."""
    threads = max(1, min(torch.get_num_threads(), rows))
    bounds = np.linspace(0, rows, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, map(slice, bounds[:-1], bounds[1:])))
