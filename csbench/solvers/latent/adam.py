"""Compressed sensing using generative models: recovery in the range of a generator (Bora, Jalal, Price, Dimakis 2017).

    minimise  ||A G(z) - y||^2 + lmbd ||z||^2   over z,

by Adam from several starts, keeping for each image the start that ends lowest. All images and all their restarts move
together as one batch, so a step is a handful of matrix products. Where the processor computes fast in bfloat16, all but
the last steps run in it, with z and the sums in float32; the objectives that are compared and reported are float32.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from csbench.operators import LinearOperator
from csbench.priors.generator import Generator
from csbench.priors.precision import fast_bf16

LATE = 0.9  # the last tenth of the steps is in float32, and tells whether the objective still falls


@dataclass(frozen=True)
class LatentSearch:
    """How z is searched for.

    Attributes:
        lmbd: weight of ||z||^2, zero or more.
        restarts: starts per image.
        steps: steps of Adam (Kingma and Ba 2015) from each start.
        learning_rate: Adam's.
        start: "random", z ~ N(0, I), or "zero": the first start of an image is the mean of z, the others are random.
        bf16: whether all but the last tenth of the steps compute in bfloat16; None: where the processor is fast at it.
        flat: an image is converged if its objective fell by less than this fraction in the last tenth of the steps.
    """

    lmbd: float
    restarts: int
    steps: int
    learning_rate: float
    start: Literal["random", "zero"] = "random"
    bf16: bool | None = None
    flat: float = 0.01

    def __post_init__(self) -> None:
        if self.lmbd < 0 or self.restarts < 1 or self.steps < 1 or not self.learning_rate > 0:
            raise ValueError(f"{self}: lmbd >= 0, restarts >= 1, steps >= 1 and learning_rate > 0 are needed")
        if self.start not in ("random", "zero"):
            raise ValueError(f"start is 'random' or 'zero', not {self.start!r}")

    def in_bf16(self, y: Float[Tensor, "batch m"]) -> bool:
        """Whether bfloat16 is used for y."""
        return y.dtype == torch.float32 and (fast_bf16(y.device) if self.bf16 is None else self.bf16)


@dataclass(frozen=True)
class LatentFit:
    """The best start of each image.

    Attributes:
        z: shape [batch, latent_dim].
        x: G(z), shape [batch, n].
        diagnostics: name to tensor of shape [batch].
    """

    z: Float[Tensor, "batch latent_dim"]
    x: Float[Tensor, "batch n"]
    diagnostics: dict[str, Shaped[Tensor, " batch"]]


def search_latent(
    generator: Generator, A: LinearOperator, y: Float[Tensor, "batch m"], search: LatentSearch, rng: torch.Generator
) -> LatentFit:
    """Run the search for every row of y.

    Args:
        generator: of n pixels, its weights frozen.
        A: operator of shape (m, n).
        y: shape [batch, m].
        rng: draws the starts.
    """
    batch, restarts = len(y), search.restarts
    z = torch.randn(batch * restarts, generator.latent_dim, generator=rng).to(y)
    if search.start == "zero":
        z[::restarts] = 0
    z.requires_grad_()
    target = y.repeat_interleave(restarts, 0)
    adam = torch.optim.Adam([z], lr=search.learning_rate)
    low = search.in_bf16(y)
    rough = (deepcopy(generator).bfloat16(), A.to(torch.bfloat16)) if low else (generator, A)

    def losses(G: Generator, A: LinearOperator) -> tuple[Tensor, Tensor]:
        measured = (A(G(z.to(A.dtype))).to(y.dtype) - target).square().sum(1)
        return measured + search.lmbd * z.square().sum(1), measured

    late = torch.zeros_like(target[:, 0])
    for step in range(search.steps):
        if step == int(LATE * search.steps):
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
        diagnostics = {
            "iterations": torch.full((batch,), search.steps),
            "generator_evaluations": torch.full((batch,), restarts * (search.steps + 2)),
            "objective": best,
            "residual": measured.gather(1, winner[:, None])[:, 0].sqrt(),
            "restart_spread": objective.std(1) if restarts > 1 else torch.zeros_like(best),
            "winning_restart": winner,
            "late_decrease": fell,
            "converged": fell < search.flat,
            "bf16": torch.full((batch,), low),
        }
        return LatentFit(z_best, generator(z_best), diagnostics)
