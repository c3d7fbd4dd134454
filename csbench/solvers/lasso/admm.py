"""The Lasso for many right-hand sides and a design too large for its Gram matrix: ADMM, then an active-set method.

    minimise  P(theta) = 1/2 ||y - B theta||^2 + alpha ||theta||_1,   B = A Psi^T,   for every row y of a batch

ADMM (Boyd, Parikh, Chu, Peleato, Eckstein 2011, section 6.4) runs in float32 on increments to a float64 iterate, whose
residual and dual are computed exactly now and then, as in iterative refinement: the accuracy of float64 in the time of
float32. Where nearly as many coefficients as measurements are active it closes in on the minimiser but slowly, and
`active_set` goes the rest of the way exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from scipy.linalg import blas, lapack
from torch import Tensor

from csbench.core.transforms import Transform
from csbench.solvers.lasso.active_set import ActiveSet
from csbench.solvers.lasso.newton import newton_step, signs_after
from csbench.solvers.lasso.path import LassoSolution, certificate

BLOCK_ROWS = 64  # of A that are held in float64 at a time; larger temporaries linger in the allocator


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How the solver spends its time; none of it changes the minimiser.

    Attributes:
        relaxation: over-relaxation of ADMM, in [1, 2).
        iterations: of ADMM between two certificates in float64.
        rounds: of so many iterations, at most, before the active-set method takes over.
        last_rounds: for an image on which that fails too, as it may where columns are dependent.
        ratio: a penalty smaller than the one before by more than this is approached in steps, of one round each.
        newton_steps: of the primal-dual active-set method for an image, at most, after the first round.
        saturated: share of the measurements with an active coefficient from which on they are not tried.
        refinements: paths that the active-set method follows for an image, each from an exact residual, at most.
    """

    relaxation: float = 1.7
    iterations: int = 50
    rounds: int = 6
    last_rounds: int = 24
    ratio: float = 10.0
    refinements: int = 6
    newton_steps: int = 8
    saturated: float = 0.95


DEFAULT = Effort()


@dataclass(frozen=True)
class Design:
    """B = A Psi^T, applied in float64 without a float64 copy.

    Attributes:
        A: shape [m, n], any dtype.
        psi: orthonormal.
    """

    A: Float[Tensor, "m n"]
    psi: Transform

    def __call__(self, theta: Float64[Tensor, "batch n"]) -> Float64[Tensor, "batch m"]:
        """B theta, float64, shape [batch, n] -> [batch, m]."""
        x = self.psi.inverse(theta)
        image = x.new_empty(len(x), len(self.A))  # at once, for small pieces kept among large temporaries waste memory
        for rows, part in zip(self.A.split(BLOCK_ROWS), image.split(BLOCK_ROWS, 1), strict=True):
            part.copy_(x @ rows.double().T)
        return image

    def adjoint(self, r: Float64[Tensor, "batch m"]) -> Float64[Tensor, "batch n"]:
        """B^T r, float64, shape [batch, m] -> [batch, n]."""
        x = r.new_zeros(len(r), self.A.shape[1])
        for rows, part in zip(self.A.split(BLOCK_ROWS), r.split(BLOCK_ROWS, 1), strict=True):
            x += part @ rows.double()
        return self.psi(x)

    def columns(self) -> Float32[Tensor, "n m"]:
        """B^T rounded to float32, shape [n, m]."""
        m, n = self.A.shape
        columns = torch.empty(n, m, device=self.A.device)
        for rows, out in zip(self.A.split(BLOCK_ROWS), columns.split(BLOCK_ROWS, 1), strict=True):
            out.copy_(self.psi(rows.double()).T)
        return columns


@dataclass(frozen=True)
class Certificate:
    """What is known of a batch of theta.

    Attributes:
        correlation: B^T (y - B theta), shape [batch, n].
        objective, gap, residual: as in `LassoSolution`.
    """

    correlation: Float64[Tensor, "batch n"]
    objective: Float64[Tensor, " batch"]
    gap: Float64[Tensor, " batch"]
    residual: Float64[Tensor, " batch"]


def certify(
    design: Design, y: Float64[Tensor, "batch m"], alpha: float, theta: Float64[Tensor, "batch n"]
) -> Certificate:
    """In float64, with the dual point of `csbench.solvers.lasso.path.certificate`."""
    r = y - design(theta)
    correlation = design.adjoint(r)
    return Certificate(correlation, *certificate(y, alpha, theta, r, correlation))


class Admm:
    """The iteration for one design and one step size; one inverse serves every penalty.

    Args:
        columns: B^T, float32, shape [n, m].
        rho: step size.
        relaxation: in [1, 2).
    """

    def __init__(self, columns: Float32[Tensor, "n m"], rho: float, relaxation: float):
        self.columns, self.rho, self.relaxation = columns, rho, relaxation
        self.inverse = _inverse(columns.cpu().numpy(), rho).to(columns.device)

    def advance(
        self,
        theta: Float64[Tensor, "batch n"],
        u: Float64[Tensor, "batch n"],
        exact: Float64[Tensor, "batch n"],
        alpha: float,
        iterations: int,
    ) -> tuple[Float64[Tensor, "batch n"], Float64[Tensor, "batch n"]]:
        """Some iterations from theta and the scaled dual u; all tensors are float64 of shape [batch, n].

        With `exact` = B^T (y - B theta) / rho for u, the x-update at theta is theta itself, however the inverse was
        rounded. So only the increments, d to theta and e to `exact`, are computed in float32, and rounding errors
        vanish as they do.
        """
        start, dual, e = theta.float(), exact.float(), (u - exact).float()
        base, threshold = start + dual, alpha / self.rho
        above, below, d = dual - threshold, dual + threshold, torch.zeros_like(start)
        for _ in range(iterations):
            v = d - e
            w = (
                self.relaxation * (v - (v @ self.columns) @ self.inverse @ self.columns.T)
                + (1 - self.relaxation) * d
                + e
            )
            s = base + w
            d = torch.where(s > threshold, w + above, torch.where(s < -threshold, w + below, -start))
            e = w - d
        return torch.where(d == -start, 0, theta + d.double()), exact + e.double()


def _inverse(columns: np.ndarray, rho: float) -> Tensor:
    """(B B^T + rho I)^-1 in float32 by Cholesky, in the memory of one such matrix.

    Raises:
        numpy.linalg.LinAlgError: B has values that are not finite, or B B^T / rho is too large for float32.
    """
    gram = blas.ssyrk(1.0, columns.T)  # type: ignore[attr-defined]  # upper triangle
    np.fill_diagonal(gram, gram.diagonal() + rho)
    upper, failed = lapack.spotrf(gram, overwrite_a=1)  # type: ignore[attr-defined]
    if failed:
        raise np.linalg.LinAlgError("B B^T + rho I is not positive definite in float32")
    inverse, _ = lapack.spotri(upper, overwrite_c=1)  # type: ignore[attr-defined]
    for start in range(0, len(inverse), BLOCK_ROWS):
        block = inverse[start : start + BLOCK_ROWS, start:]
        square = block[:, : len(block)]
        square[:] = np.triu(square) + np.triu(square, 1).T
        inverse[start + len(block) :, start : start + BLOCK_ROWS] = block[:, len(block) :].T
    return torch.from_numpy(inverse.T)


def lasso_path(
    A: Float[Tensor, "m n"],
    y: Float[Tensor, "batch m"],
    psi: Transform,
    alphas: list[float],
    *,
    tol: float,
    options: Effort = DEFAULT,
) -> list[LassoSolution]:
    """The minimisers for several penalties, each started from the one before; the largest comes first.

    Args:
        A: shape [m, n].
        y: shape [batch, m].
        psi: orthonormal transform of R^n, so that B = A Psi^T.
        alphas: positive, in any order.
        tol: relative duality gap at which an image is done.

    Returns:
        one solution for each alpha, in the order given, on y's device.
    """
    if not alphas or not all(alpha > 0 for alpha in alphas):
        raise ValueError(f"penalties must be positive, got {alphas}")
    design, measured = Design(A, psi), y.double()
    solver = _Path(design, measured, tol, options)
    solutions = {alpha: solver.descend(alpha) for alpha in sorted(set(alphas), reverse=True)}
    return [solutions[alpha] for alpha in alphas]


class _Path:
    """Where the descent of the penalties stands: the penalty, theta and the scaled dual u of ADMM."""

    def __init__(self, design: Design, y: Tensor, tol: float, effort: Effort):
        self.design, self.y, self.tol, self.effort = design, y, tol, effort
        self.columns = design.columns()
        self.theta = y.new_zeros(len(y), len(self.columns))
        self.u = torch.zeros_like(self.theta)
        largest = max(design.adjoint(y).abs().max().item(), torch.finfo(y.dtype).tiny)
        self.alpha = largest / (3 * effort.ratio)  # from theta = 0 the first step may be longer
        squares = sum(rows.double().square().sum().item() for rows in design.A.split(BLOCK_ROWS))
        self.scale = max(squares / len(self.columns), torch.finfo(y.dtype).tiny)  # mean squared norm of a column
        self.rho = self.scale
        self.admm: Admm | None = None

    def descend(self, alpha: float) -> LassoSolution:
        """The minimiser for a penalty below the present one."""
        self.spent = torch.zeros(len(self.y), dtype=torch.int64, device=self.y.device)
        self._set_step(alpha)
        while alpha < self.alpha / self.effort.ratio:
            self._iterate(self.alpha / self.effort.ratio, 1)
        for rounds in (1, self.effort.rounds, self.effort.last_rounds):
            found = self._iterate(alpha, rounds)
            if rounds == 1:
                found = self._newton(found)
            wrong = found.gap > self.tol
            if not wrong.any():
                break
            ready = wrong & self._small() if rounds == 1 else wrong
            for row in ready.nonzero().flatten().tolist():
                self._finish(row, found.gap[row])
            found = certify(self.design, self.y, alpha, self.theta)
            self.u[ready] = found.correlation[ready] / self.rho
        alphas = torch.full_like(found.gap, alpha)
        return LassoSolution(
            self.theta.clone(), alphas, found.objective, found.gap, found.residual, self.spent, found.gap <= self.tol
        )

    def _iterate(self, alpha: float, rounds: int) -> Certificate:
        """ADMM on the images that are not done, until all are or the rounds are up."""
        self.u *= min(alpha / self.alpha, 1)  # at the minimiser |u| = alpha / rho on the support
        self.alpha = alpha
        found = certify(self.design, self.y, alpha, self.theta)
        for _ in range(rounds):
            todo = (found.gap > self.tol).nonzero().flatten()
            if len(todo) == 0:
                break
            exact = found.correlation[todo] / self.rho
            moved = self.stepper.advance(self.theta[todo], self.u[todo], exact, alpha, self.effort.iterations)
            self.theta[todo], self.u[todo] = moved
            self.spent[todo] += self.effort.iterations
            found = certify(self.design, self.y, alpha, self.theta)
        return found

    def _set_step(self, alpha: float) -> None:
        """The step size for a penalty. One value serves a decade of them, for each takes an inverse.

        Found by trial on faces: as large as the penalty where few coefficients are active, and like its square root
        where nearly as many are as there are measurements.
        """
        decade = math.ceil(math.log10(10 * alpha / self.scale) - 1e-9)
        rho = self.scale * (10 ** (decade - 1) if decade > 0 else 0.3 * 10 ** ((decade - 1) / 2))
        if rho != self.rho:
            self.u *= self.rho / rho
            self.rho, self.admm = rho, None

    @property
    def stepper(self) -> Admm:
        """ADMM with the present step size, made when it is first needed."""
        if self.admm is None:
            self.admm = Admm(self.columns, self.rho, self.effort.relaxation)
        return self.admm

    def _small(self) -> Tensor:
        """Images whose support allows an exact method early: clearly smaller than m, and cheap.

        Cheap: a Newton step, which is mostly a Gram matrix of the support, costs less than a round of ADMM.
        """
        n, m = self.columns.shape
        support = (self.theta != 0).sum(1).double()
        cheap = support.square() * (m + support / 3) < self.effort.iterations * (4 * n * m + 2 * m**2)
        return cheap & (support < self.effort.saturated * m)

    def _newton(self, found: Certificate) -> Certificate:
        """Steps of the primal-dual active-set method on images that are not done and have a small support."""
        rows = ((found.gap > self.tol) & self._small()).nonzero().flatten()
        columns = self.columns.cpu().numpy()
        theta, correlation = self.theta[rows].cpu().numpy(), found.correlation[rows].cpu().numpy()
        sign = np.sign(theta)
        going = np.arange(len(rows))
        for _ in range(self.effort.newton_steps):
            moved = {i: newton_step(columns, theta[i], sign[i], correlation[i], self.alpha) for i in going}
            going = np.array([i for i in going if moved[i] is not None], dtype=np.int64)
            if len(going) == 0:
                break
            theta[going] = [moved[i] for i in going]
            here, point = rows[going], torch.from_numpy(theta[going]).to(self.theta)
            now = certify(self.design, self.y[here], self.alpha, point)
            better = now.gap < found.gap[here]
            self.theta[here[better]], self.u[here[better]] = point[better], now.correlation[better] / self.rho
            found.gap[here[better]] = now.gap[better]
            self.spent[here] += 1
            correlation[going] = now.correlation.cpu().numpy()
            for i in going:
                sign[i] = signs_after(theta[i], sign[i], correlation[i], self.alpha)
            going = going[(now.gap > self.tol).cpu().numpy()]
        return certify(self.design, self.y, self.alpha, self.theta)

    def _finish(self, row: int, gap: Tensor) -> None:
        """One image to the end with the active-set method, on the CPU; kept where it betters the gap of ADMM."""
        active = ActiveSet.of(self.columns.cpu().numpy(), self.theta[row].cpu().numpy())
        one = slice(row, row + 1)
        for _ in range(self.effort.refinements):
            theta = torch.from_numpy(active.theta).to(self.theta.device)[None]
            found = certify(self.design, self.y[one], self.alpha, theta)
            if found.gap < gap:
                self.theta[row], gap = theta[0], found.gap
            if gap <= self.tol:
                break
            self.spent[row] += active.move(found.correlation[0].cpu().numpy(), self.alpha, 2 * len(active.columns))
