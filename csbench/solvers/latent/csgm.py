"""Compressed sensing using generative models: recovery in the range of a generator (Bora, Jalal, Price, Dimakis 2017).

    minimise  ||A G(z) - y||^2 + lmbd ||z||^2   over z,

by Adam from several starts, keeping for each image the start that ends lowest. All images and all their restarts move
together as one batch, so a step is a handful of matrix products. Where the processor computes fast in bfloat16, all but
the last steps run in it, with z and the sums in float32; the objectives that are compared and reported are float32.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from csbench.operators import LinearOperator
from csbench.priors.generator import Generator
from csbench.priors.precision import fast_bf16

LATE = 0.9  # the last tenth of the steps is in float32, and tells whether the objective still falls


@dataclass(frozen=True, kw_only=True)
class LatentSearch:
    """How z is searched for.

    Attributes:
        restarts: starts per image.
        steps: steps of Adam (Kingma and Ba 2015) from each start.
        learning_rate: Adam's.
        start: "random", z ~ N(0, I), or "zero": the first start of an image is the mean of z, the others are random.
        bf16: whether all but the last tenth of the steps compute in bfloat16; None: where the processor is fast at it.
        flat: an image is converged if its objective fell by less than this fraction in the last tenth of the steps.
    """

    restarts: int
    steps: int
    learning_rate: float
    start: Literal["random", "zero"] = "random"
    bf16: bool | None = None
    flat: float = 0.01

    def __post_init__(self) -> None:
        if self.restarts < 1 or self.steps < 1 or not self.learning_rate > 0:
            raise ValueError(f"{self}: restarts >= 1, steps >= 1 and learning_rate > 0 are needed")
        if self.start not in ("random", "zero"):
            raise ValueError(f"start is 'random' or 'zero', not {self.start!r}")

    def in_bf16(self, y: Float[Tensor, "batch m"]) -> bool:
        """Whether bfloat16 is used for y."""
        return y.dtype == torch.float32 and (fast_bf16(y.device) if self.bf16 is None else self.bf16)


@dataclass(frozen=True)
class LatentSolution:
    """The best start of each image, and what is known of the search for it.

    Attributes:
        z: shape [batch, latent_dim].
        x_hat: G(z), shape [batch, n].
        iterations: steps from each start, shape [batch], as all that follow.
        generator_evaluations: for all starts together.
        objective: ||A G(z) - y||^2 + lmbd ||z||^2.
        residual: ||A G(z) - y||.
        restart_spread: standard deviation of the objectives that the starts of the image ended with.
        winning_restart: which of the starts ended lowest.
        late_decrease: share of the objective that was lost late in the search.
        converged: whether that is so little that more steps would not help.
        bf16: whether most of the search computed in bfloat16.
    """

    z: Float[Tensor, "batch latent_dim"]
    x_hat: Float[Tensor, "batch n"]
    iterations: Int64[Tensor, " batch"]
    generator_evaluations: Int64[Tensor, " batch"]
    objective: Float[Tensor, " batch"]
    residual: Float[Tensor, " batch"]
    restart_spread: Float[Tensor, " batch"]
    winning_restart: Int64[Tensor, " batch"]
    late_decrease: Float[Tensor, " batch"]
    converged: Bool[Tensor, " batch"]
    bf16: Bool[Tensor, " batch"]

    def diagnostics(self) -> dict[str, Shaped[Tensor, " batch"]]:
        """As a method reports them."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("z", "x_hat")}


def search_latent(
    A: LinearOperator, y: Float[Tensor, "batch m"], generator: Generator, lmbd: float, *,
    rng: torch.Generator, options: LatentSearch,
) -> LatentSolution:  # fmt: skip
    """Run the search for every row of y, with a generator of A's n pixels whose weights are frozen.

    Args:
        lmbd: weight of ||z||^2.
        rng: draws the starts.

    Raises:
        ValueError: lmbd is below zero.
    """
    check_penalty(lmbd)
    batch, restarts = len(y), options.restarts
    z = torch.randn(batch * restarts, generator.latent_dim, generator=rng).to(y)
    if options.start == "zero":
        z[::restarts] = 0
    z.requires_grad_()
    target = y.repeat_interleave(restarts, 0)
    adam = torch.optim.Adam([z], lr=options.learning_rate)
    low = options.in_bf16(y)
    rough = (deepcopy(generator).bfloat16(), A.to(torch.bfloat16)) if low else (generator, A)

    def losses(G: Generator, A: LinearOperator) -> tuple[Tensor, Tensor]:
        measured = (A(G(z.to(A.dtype))).to(y.dtype) - target).square().sum(1)
        return measured + lmbd * z.square().sum(1), measured

    late = torch.zeros_like(target[:, 0])
    for step in range(options.steps):
        if step == int(LATE * options.steps):
            rough = (generator, A)
            late = losses(generator, A)[0].detach()
        objective, _ = losses(*rough)
        (z.grad,) = torch.autograd.grad(objective.sum(), z)
        adam.step()

    with torch.no_grad():
        objective, measured = (v.reshape(batch, restarts) for v in losses(generator, A))
        winner = objective.argmin(1)
        rows = torch.arange(batch, device=y.device) * restarts + winner
        best = objective.gather(1, winner[:, None])[:, 0]
        fell = (late[rows] - best) / late[rows].clamp_min(torch.finfo(y.dtype).tiny)
        z_best = z.detach()[rows]
        return LatentSolution(
            z_best,
            generator(z_best),
            iterations=torch.full((batch,), options.steps),
            generator_evaluations=torch.full((batch,), restarts * (options.steps + 2)),
            objective=best,
            residual=measured.gather(1, winner[:, None])[:, 0].sqrt(),
            restart_spread=objective.std(1) if restarts > 1 else torch.zeros_like(best),
            winning_restart=winner,
            late_decrease=fell,
            converged=fell < options.flat,
            bf16=torch.full((batch,), low),
        )


def check_penalty(lmbd: float) -> None:
    """
    Raises:
        ValueError: a weight of ||z||^2 is below zero.
    """
    if not lmbd >= 0:
        raise ValueError(f"lmbd must be zero or more, got {lmbd}")
