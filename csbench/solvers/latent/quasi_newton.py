"""The search of `csbench.solvers.latent.csgm` by a quasi-Newton method: the same minima in far fewer evaluations of G.

    minimise  f(z) = ||A G(z) - y||^2 + lmbd ||z||^2   over z,

in three steps, none of which knows more of G than how to differentiate it:

1. Screening. All images of a call share one matrix of candidates z ~ N(0, I), whose measurements A G(z) are computed
   once; the few candidates with the smallest f are an image's starts.
2. Descent by BFGS (Nocedal and Wright 2006, section 6.1) from all starts of all images as one batch. The first Hessian
   is twice the Gauss-Newton matrix J^T J + lmbd I of Levenberg (1944) and Marquardt (1963), J the Jacobian of A G,
   averaged over the candidates: it knows which directions of z the measurements see, so that the first steps are long.
   J itself is never formed: E[(J^T v)(J^T v)^T] = J^T J for v ~ N(0, I), so one backward pass through the screening
   gives the average (as Hutchinson 1990 estimates a trace). Gauss-Newton matrices of every point cost ten gradients
   each and gain less, since the network's ReLUs bend f between one step and the next; BFGS behaves well on such kinks
   (Lewis and Overton 2013).
3. Successive halving (Jamieson and Talwalkar 2016). Every few steps each image drops the worse half of its starts, and
   the images whose last start lies flat leave the batch.

Where the processor computes fast in bfloat16, the screening and the first rungs, which are most of the work, run in it,
with z, the sums and BFGS in float32: while f still falls by tenths, such rounding does not matter.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from csbench.operators import LinearOperator
from csbench.priors.generator import Generator
from csbench.priors.precision import fast_bf16
from csbench.solvers.latent.csgm import LatentSolution, check_penalty

CHUNK_BYTES = 100e6  # about what the rows that move together may take
COPIES = 8  # of a row's image and of its inverse Hessian, autograd's memory of the activations included
DAMPING = 0.01  # of the mean curvature, lest the first steps run off along directions that hardly change G
REACH = 0.5  # no step is longer than this times sqrt(latent_dim), the length of a typical z


@dataclass(frozen=True, kw_only=True)
class FastSearch:
    """How z is searched for.

    Attributes:
        candidates: draws z ~ N(0, I) among which every image finds its starts.
        restarts: starts per image, the best of the candidates.
        rung: steps between two halvings of an image's starts.
        rungs: at most `rung * rungs` steps are made from a start.
        flat: an image is converged if the objective of its last start fell by at most this fraction over a rung.
        rough: rungs from the first that compute in bfloat16 where it is used; 0 to `rungs - 1`.
        bf16: whether it is used, as it only ever is for float32; None: where the processor is fast at it.
    """

    candidates: int = 1000
    restarts: int = 10
    rung: int = 6
    rungs: int = 40
    flat: float = 1e-4
    rough: int = 3
    bf16: bool | None = None

    def __post_init__(self) -> None:
        if not self.flat >= 0 or min(self.restarts, self.rung, self.rungs) < 1:
            raise ValueError(f"{self}: flat >= 0 and counts of one or more are needed")
        if self.candidates < self.restarts:
            raise ValueError(f"{self}: no fewer candidates than restarts are needed")
        if not 0 <= self.rough < self.rungs:
            raise ValueError(f"{self}: fewer rough rungs than rungs are needed")

    def in_bf16(self, y: Float[Tensor, "batch m"]) -> bool:
        """Whether bfloat16 is used for y."""
        fast = fast_bf16(y.device) if self.bf16 is None else self.bf16
        return fast and self.rough > 0 and y.dtype == torch.float32


DEFAULT = FastSearch()


def search_latent_fast(
    A: LinearOperator,
    y: Float[Tensor, "batch m"],
    generator: Generator,
    lmbd: float,
    *,
    rng: torch.Generator,
    options: FastSearch = DEFAULT,
) -> LatentSolution:
    """Run the search for every row of y. The answer to a row does not depend on the other rows, up to rounding.

    Args:
        A: operator of shape (m, n).
        y: shape [batch, m].
        generator: of n pixels, its weights frozen.
        lmbd: weight of ||z||^2, zero or more.
        rng: draws the candidates, which all images share.

    Returns:
        the best start of each image, as `search_latent` does, but that `generator_evaluations` counts
        all the candidates for each image, `restart_spread` compares the last objective of every start, be it dropped or
        not, `winning_restart` is the start's rank in the screening and `late_decrease` is that over the last rung.
    """
    check_penalty(lmbd)
    latent_dim = generator.latent_dim
    candidates = torch.randn(options.candidates, latent_dim, generator=rng, dtype=torch.float32).to(y)
    low = options.in_bf16(y)
    objective = _Objective(generator, A, lmbd)
    rough = _Objective(deepcopy(generator).bfloat16(), A.to(torch.bfloat16), lmbd) if low else objective
    rows = max(1, int(CHUNK_BYTES / (COPIES * (A.shape[1] + latent_dim**2) * y.element_size())))
    measured, pulled = map(
        torch.cat,
        zip(*(rough.measured_and_pulled_back(z, rng) for z in candidates.split(rows)), strict=True),
    )
    metric = _inverse_hessian(pulled, lmbd)
    parts = []
    for target in y.split(max(1, rows // options.restarts)):
        # f up to ||y||^2, which is the same for all candidates of an image
        screened = measured.square().sum(1) + lmbd * candidates.square().sum(1) - 2 * (target @ measured.T)
        starts = candidates[screened.topk(options.restarts, 1, largest=False).indices]
        parts.append(_descend(objective, rough, target, starts, metric, options))
    found = LatentSolution(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(LatentSolution)))
    found.generator_evaluations.add_(len(candidates))
    return found


def first_metric(
    A: LinearOperator,
    generator: nn.Module,
    lmbd: float,
    *,
    draws: Float[Tensor, "draws latent_dim"],
    rng: torch.Generator,
) -> Float[Tensor, "latent_dim latent_dim"]:
    """The first inverse Hessian of the search, from draws of z; `rng` draws directions for it."""
    objective = _Objective(generator, A, lmbd)
    return _inverse_hessian(objective.measured_and_pulled_back(draws, rng)[1], lmbd)


def descend_from(
    A: LinearOperator,
    y: Float[Tensor, "batch m"],
    generator: nn.Module,
    lmbd: float,
    *,
    starts: Float[Tensor, "batch latent_dim"],
    metric: Float[Tensor, "latent_dim latent_dim"],
    options: FastSearch = DEFAULT,
) -> LatentSolution:
    """BFGS from one given start for each row of y, which is not dropped on the way.

    Args:
        metric: of `first_metric`.
    """
    objective = _Objective(generator, A, lmbd)
    return _descend(objective, objective, y, starts[:, None], metric, options)


@dataclass(frozen=True)
class _Objective:
    """f(z) = ||A G(z) - target||^2 + lmbd ||z||^2, row by row; G and A may be of a lower precision than z and f."""

    generator: nn.Module
    A: LinearOperator
    lmbd: float

    def measured(self, z: Float[Tensor, "rows latent_dim"]) -> Float[Tensor, "rows m"]:
        """A G(z), shape [rows, m]."""
        return self.A(self.generator(z.to(self.A.dtype))).to(z.dtype)

    def value_and_gradient(
        self, z: Float[Tensor, "rows latent_dim"], target: Float[Tensor, "rows m"]
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows latent_dim"]]:
        """Shapes [rows] and [rows, latent_dim], for z of shape [rows, latent_dim] and target of shape [rows, m]."""
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            value = (self.measured(z) - target).square().sum(1) + self.lmbd * z.square().sum(1)
            (gradient,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), gradient

    def measured_and_pulled_back(
        self, z: Float[Tensor, "rows latent_dim"], rng: torch.Generator
    ) -> tuple[Float[Tensor, "rows m"], Float[Tensor, "rows latent_dim"]]:
        """A G(z), shape [rows, m], and J^T v, shape [rows, latent_dim]; J is its Jacobian, v a draw from N(0, I)."""
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            measured = self.measured(z)
            v = torch.randn(measured.shape, generator=rng, dtype=torch.float32).to(measured)
            (pulled,) = torch.autograd.grad((measured * v).sum(), z)
        return measured.detach(), pulled


@dataclass(frozen=True)
class _Rows:
    """Starts under way, one a row; the rows of an image are neighbours and every image has equally many.

    Attributes:
        image, rank: which image, and which of its starts, shape [rows].
        target: the image's y, shape [rows, m].
        z, gradient: shape [rows, latent_dim].
        objective: shape [rows].
        before: the objective when the rung began, shape [rows].
        inverse: BFGS's approximation of the inverse Hessian, shape [rows, latent_dim, latent_dim].
    """

    image: Tensor
    rank: Tensor
    target: Tensor
    z: Tensor
    objective: Tensor
    before: Tensor
    gradient: Tensor
    inverse: Tensor

    def select(self, rows: Tensor | slice) -> _Rows:
        return _Rows(*(getattr(self, field.name)[rows] for field in fields(self)))

    def best(self, per_image: int, keep: int) -> _Rows:
        """The `keep` best rows of each image, best first, where there are `per_image` now."""
        order = self.objective.reshape(-1, per_image).argsort(1)[:, :keep]
        first = torch.arange(0, len(self.image), per_image, device=order.device)
        return self.select((first[:, None] + order).flatten())


def _inverse_hessian(pulled: Float[Tensor, "draws latent_dim"], lmbd: float) -> Float[Tensor, "latent_dim latent_dim"]:
    """(2 mean(J^T J) + 2 lmbd I)^-1, damped, [latent_dim, latent_dim], from draws of J^T v, E[v v^T] = I, one a row."""
    pulled = pulled[pulled.isfinite().all(1)]
    gram = pulled.T @ pulled / max(1, len(pulled))
    k = len(gram)
    ridge = lmbd + (DAMPING * gram.trace() / k).clamp_min(torch.finfo(gram.dtype).eps)
    return torch.linalg.inv(2 * (gram + ridge * torch.eye(k).to(gram)))


def _descend(
    objective: _Objective, rough: _Objective, y: Tensor, starts: Tensor, metric: Tensor, options: FastSearch
) -> LatentSolution:
    """The descent from starts of shape [batch, restarts, latent_dim].

    `rough` stands in for the objective in the first rungs, and `metric` is the first inverse Hessian.
    """
    batch, restarts, _ = starts.shape
    image = torch.arange(batch, device=y.device).repeat_interleave(restarts)
    rank = torch.arange(restarts, device=y.device).repeat(batch)
    z = starts.flatten(0, 1)
    value, gradient = rough.value_and_gradient(z, y[image])
    live = _Rows(image, rank, y[image], z, value, value, gradient, metric.expand(len(z), -1, -1))

    found = torch.empty_like(starts[:, 0])
    fell = torch.empty_like(y[:, 0])
    reached = torch.empty_like(starts[:, :, 0])
    winner, iterations = torch.zeros_like(image[:batch]), torch.zeros_like(image[:batch])
    evaluations = torch.full_like(winner, restarts + 1)  # those at the starts, and the one of the answer
    function = rough
    for rung in range(options.rungs):
        if rung == options.rough and function is not objective:
            function = objective
            value, gradient = function.value_and_gradient(live.z, live.target)
            live = replace(live, objective=value, gradient=gradient)
            evaluations[live.image[::restarts]] += restarts
        live = replace(live, before=live.objective)
        for _ in range(options.rung):
            live = _step(live, function)
        reached[live.image, live.rank] = live.objective
        images = live.image[::restarts]
        iterations[images] += options.rung
        evaluations[images] += options.rung * restarts

        live = live.best(restarts, (restarts + 1) // 2)
        restarts = (restarts + 1) // 2
        best = live.select(slice(None, None, restarts))
        found[images], winner[images] = best.z, best.rank
        fell[images] = (best.before - best.objective) / best.before.clamp_min(torch.finfo(y.dtype).tiny)
        if restarts == 1 and function is objective:
            live = live.select(~(fell[images] <= options.flat))
        if not len(live.image):
            break

    with torch.no_grad():
        x_hat = objective.generator(found)
        residual = (objective.A(x_hat) - y).norm(dim=1)
    return LatentSolution(
        found,
        x_hat,
        iterations=iterations,
        generator_evaluations=evaluations,
        objective=residual.square() + objective.lmbd * found.square().sum(1),
        residual=residual,
        restart_spread=reached.std(1) if options.restarts > 1 else torch.zeros_like(residual),
        winning_restart=winner,
        late_decrease=fell,
        converged=fell <= options.flat,
        bf16=torch.full((batch,), rough is not objective),
    )


def _step(rows: _Rows, function: _Objective) -> _Rows:
    """One step of BFGS for every row.

    A row moves only if its objective falls. A refused step still tells the curvature along it, which shortens the next;
    one that does not tell even that, such as a step to where f is not finite, halves the inverse Hessian.
    """
    move = -(rows.inverse @ rows.gradient[..., None])[..., 0]
    longest = REACH * move.shape[1] ** 0.5
    move = move * (longest / move.norm(dim=1, keepdim=True)).clamp_max(1)
    z = rows.z + move
    objective, gradient = function.value_and_gradient(z, rows.target)
    better = (objective < rows.objective) & gradient.isfinite().all(1)

    turn = gradient - rows.gradient
    curvature = (move * turn).sum(1)
    rounding = torch.finfo(z.dtype).eps * move.norm(dim=1) * turn.norm(dim=1)
    usable = curvature > rounding.clamp_min(torch.finfo(z.dtype).tiny)  # False where not finite
    move, turn = (torch.where(usable[:, None], v, 0) for v in (move, turn))
    rho = torch.where(usable, 1 / curvature, 0)[:, None]
    bent = (rows.inverse @ turn[..., None])[..., 0]
    side = rho * (0.5 * (1 + rho * (turn * bent).sum(1, keepdim=True)) * move - bent)
    update = move[:, :, None] * side[:, None]
    inverse = rows.inverse + update + update.mT
    return replace(
        rows,
        z=torch.where(better[:, None], z, rows.z),
        gradient=torch.where(better[:, None], gradient, rows.gradient),
        objective=torch.where(better, objective, rows.objective),
        inverse=torch.where((better | usable)[:, None, None], inverse, inverse / 2),
    )
