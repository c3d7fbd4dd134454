"""Least squares with total variation, for a batch of right-hand sides and one operator.

    minimise  P(x) = 1/2 ||A x - y||^2 + alpha TV(x),   TV(x) = sum over pixels of |D x|,   optionally with 0 <= x <= 1

D takes forward differences, none of them across the border, and |D x| at a pixel is the Euclidean norm of those of all
channels (Rudin, Osher, Fatemi 1992; Chambolle 2004; for colour, Blomgren and Chan 1998). ADMM splits z = D x (Goldstein
and Osher 2009; Boyd, Parikh, Chu, Peleato, Eckstein 2011). Its quadratic step is solved exactly: D^T D is diagonal in
the 2-D DCT, A adds a part of rank m, and one eigendecomposition of an m x m matrix serves every penalty and every
image's own step size. On digits a relative gap of 1e-4 takes it some hundreds of iterations, and the primal-dual method
of Chambolle and Pock (2011) some thousands. Every image is certified by its duality gap, and goes on until that is
small, whatever the rest of the batch does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor

from csbench.core.transforms import DCT2
from csbench.operators import LinearOperator

# Found by trial: the step of ADMM, in penalties over the root mean square of the image, and the weight of x beside D x
FREE = 2.0, 0.1  # where the weight only keeps the quadratic step unique,
BOXED = 6.0, 3.0  # and where it holds x in [0, 1]
RELAXATION = 1.8
BLIND = 1e-6  # share of ||A|| below which A does not see a constant channel
CHECK = 20  # iterations between two certificates

State = tuple[Tensor, Tensor, Tensor, Tensor]
"""z = D x and its scaled dual u, shape [batch, 2, c, h, w]; x, in the box if there is one, and its scaled dual,
shape [batch, n]. In these units the duals hardly change with the penalty."""


@dataclass(frozen=True)
class TVSolution:
    """A batch of minimisers with their certificates, in float64.

    Attributes:
        x_hat: shape [batch, n].
        objective: P(x), shape [batch].
        gap: relative duality gap, (P - lower bound) / P, shape [batch].
        residual: ||y - A x||, shape [batch].
        iterations: shape [batch].
        converged: whether the gap is as small as was asked for, shape [batch].
    """

    x_hat: Float64[Tensor, "batch n"]
    objective: Float64[Tensor, " batch"]
    gap: Float64[Tensor, " batch"]
    residual: Float64[Tensor, " batch"]
    iterations: Float64[Tensor, " batch"]
    converged: Bool[Tensor, " batch"]

    def diagnostics(self) -> dict[str, Shaped[Tensor, " batch"]]:
        """As a method reports them."""
        return {
            "iterations": self.iterations,
            "objective": self.objective,
            "residual": self.residual,
            "duality_gap": self.gap,
            "converged": self.converged,
        }


def gradient(x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch 2 c h w"]:
    """D x: differences to the pixel below and to that on the right, shape [batch, c, h, w] -> [batch, 2, c, h, w]."""
    g = x.new_zeros(len(x), 2, *x.shape[1:])
    torch.sub(x[..., 1:, :], x[..., :-1, :], out=g[:, 0, :, :-1, :])
    torch.sub(x[..., 1:], x[..., :-1], out=g[:, 1, ..., :-1])
    return g


def gradient_adjoint(p: Float[Tensor, "batch 2 c h w"]) -> Float[Tensor, "batch c h w"]:
    """D^T p, shape [batch, 2, c, h, w] -> [batch, c, h, w]."""
    x = torch.zeros_like(p[:, 0])
    down, right = p[:, 0, :, :-1, :], p[:, 1, ..., :-1]
    x[..., 1:, :] += down
    x[..., :-1, :] -= down
    x[..., 1:] += right
    x[..., :-1] -= right
    return x


def length(g: Float[Tensor, "batch 2 c h w"]) -> Float[Tensor, "batch 1 1 h w"]:
    """|g| at each pixel, shape [batch, 2, c, h, w] -> [batch, 1, 1, h, w]."""
    return g.square().sum((1, 2), keepdim=True).sqrt()


def tv_path(
    A: LinearOperator,
    y: Float[Tensor, "batch m"],
    image_shape: tuple[int, int, int],
    alphas: Sequence[float],
    *,
    box: bool = False,
    tol: float = 1e-4,
    iterations: int = 2000,
) -> list[TVSolution]:
    """The minimisers for several penalties, each started from the one before; the largest comes first.

    What is done before the first iteration takes about m^2 n + 10 m^3 operations, and as much memory as two dense
    matrices of A's shape in float64, also where A is matrix-free.

    Args:
        y: shape [batch, m].
        alphas: positive, in any order.
        box: whether x is held in [0, 1].
        tol: relative duality gap at which an image is done.
        iterations: at most, for each penalty.

    Returns:
        one solution for each alpha, in the order given.
    """
    if not alphas or not all(alpha > 0 for alpha in alphas):
        raise ValueError(f"penalties must be positive, got {alphas}")
    problem = _Problem(A.to(torch.float64), image_shape, box)
    y = y.double()
    z, x = y.new_zeros(len(y), 2, *image_shape), y.new_zeros(len(y), A.shape[1])
    state = (z, z.clone(), x, x.clone())
    solutions = {alpha: problem.solve(y, alpha, state, tol, iterations) for alpha in sorted({*alphas}, reverse=True)}
    return [solutions[alpha] for alpha in alphas]


class _Problem:
    """One operator, and the factorisation that serves all penalties and images.

    The quadratic step minimises 1/2 ||A x - y||^2 + rho (1/2 <x, N x> - <v, x>) with N = D^T D + weight I. Where
    A N^-1 A^T = U diag(eigenvalues) U^T and W = U^T A N^-1, its solution is N^-1 v + W^T d with
    d = (U^T y - W v) / (rho + eigenvalues) (Woodbury 1950).
    """

    def __init__(self, A: LinearOperator, image_shape: tuple[int, int, int], box: bool):
        c, h, w = image_shape
        self.A, self.image_shape, self.box = A, image_shape, box
        self.psi = DCT2(image_shape)
        down, right = (2 - 2 * torch.cos(math.pi * torch.arange(k, dtype=A.dtype, device=A.device) / k) for k in (h, w))
        self.laplacian = (down[:, None] + right).expand(c, h, w).flatten()  # D^T D in the DCT basis
        self.step, self.weight = BOXED if box else FREE
        rows = A.adjoint(torch.eye(A.shape[0], dtype=A.dtype, device=A.device))
        self.frobenius = rows.norm()
        self.constants = rows.unflatten(1, (c, -1)).sum(2)  # A of a constant channel, shape [m, c]; maybe but rounding
        self.of_constants = torch.linalg.pinv(self.constants, atol=BLIND * self.frobenius)
        self.inverse = 1 / (self.laplacian + self.weight)  # N^-1 in the DCT basis
        smooth = self.filtered(rows, self.inverse)
        eigenvalues, self.U = torch.linalg.eigh(A(smooth))
        self.eigenvalues = eigenvalues.clamp_min(0)
        self.W = self.U.T @ smooth

    def solve(self, y: Tensor, alpha: float, state: State, tol: float, iterations: int) -> TVSolution:
        """The minimisers for one penalty; the state is moved there, in place."""
        wanting = torch.zeros(len(y), dtype=torch.bool, device=y.device)
        found = TVSolution(torch.zeros_like(state[2]), *y.new_zeros(4, len(y)).unbind(), converged=wanting)
        size = y.norm(dim=1) / self.frobenius  # about the root mean square of each image
        rho = alpha * self.step / torch.where((size > 0) & size.isfinite(), size, 1)
        active = torch.arange(len(y), device=y.device)
        for count in range(CHECK, iterations + 1, CHECK):
            part = self.advance(y[active], alpha, rho[active], _rows(state, active))
            certificate = self.certify(y[active], alpha, rho[active], part)
            for whole, moved in zip(state, part, strict=True):
                whole[active] = moved
            found.x_hat[active] = part[2]
            found.objective[active], found.gap[active], found.residual[active] = certificate
            found.iterations[active], found.converged[active] = count, certificate[1] <= tol
            active = active[certificate[1] > tol]
            if len(active) == 0:
                break
        return found

    def advance(self, y: Tensor, alpha: float, rho: Tensor, state: State) -> State:
        """Some iterations of ADMM."""
        z, u, x, s = state
        rho = rho[:, None]
        radius = (alpha / rho)[:, :, None, None, None]
        target = y @ self.U
        for _ in range(CHECK):
            v = gradient_adjoint(z - u).flatten(1) + self.weight * (x - s)
            d = (target - v @ self.W.T) / (rho + self.eigenvalues)
            step = torch.addmm(self.filtered(v, self.inverse), d, self.W)
            g = RELAXATION * gradient(self.images(step)) + (1 - RELAXATION) * z + u
            u = g * (radius / length(g).maximum(radius))
            z = g - u
            if self.box:
                free = RELAXATION * step + (1 - RELAXATION) * x + s
                x = free.clamp(0, 1)
                s = free - x
            else:
                x = step
        return z, u, x, s

    def certify(self, y: Tensor, alpha: float, rho: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """Objective, relative duality gap and residual of x, each of shape [batch].

        For all r and all p with |p| <= alpha at each pixel, <r, y> - 1/2 ||r||^2 - max <A^T r - D^T p, x> bounds P from
        below, the maximum being over all x that are allowed: without a box, A^T r must equal D^T p. Here r is the
        residual, without what constant images explain where there is no box, and p the dual of ADMM with the least
        change that makes A^T r - D^T p what it should be; then both are scaled so that p is feasible.
        """
        _, u, x, s = state
        r = y - self.A(x)
        residual = r.norm(dim=1)
        objective = residual.square() / 2 + alpha * length(gradient(self.images(x))).flatten(1).sum(1)
        if not self.box:
            r = r - r @ self.constants @ self.of_constants
        back, p = self.A.adjoint(r), rho[:, None, None, None, None] * u
        excess = back - self.weight * rho[:, None] * s - gradient_adjoint(p).flatten(1)
        inverse = torch.where(self.laplacian > 0, 1 / self.laplacian, 0)
        p = p + gradient(self.images(self.filtered(excess, inverse)))
        linear = (r * y).sum(1)
        if self.box:
            linear = linear - (back - gradient_adjoint(p).flatten(1)).clamp_min(0).sum(1)
        tiny = torch.finfo(y.dtype).tiny
        square = r.square().sum(1)
        feasible = alpha / length(p).flatten(1).amax(1).clamp_min(tiny)
        scale = torch.minimum(feasible, linear / square.clamp_min(tiny)).clamp_min(0)
        bound = scale * linear - scale.square() * square / 2
        return objective, (objective - bound).clamp_min(0) / objective.clamp_min(tiny), residual

    def filtered(self, x: Tensor, factor: Tensor) -> Tensor:
        """The DCT coefficients of each channel multiplied by a factor each, shape [..., n] -> [..., n]."""
        return self.psi.inverse(factor * self.psi(x))

    def images(self, x: Tensor) -> Tensor:
        return x.view(-1, *self.image_shape)


def _rows(state: State, chosen: Tensor) -> State:
    z, u, x, s = state
    return z[chosen], u[chosen], x[chosen], s[chosen]
