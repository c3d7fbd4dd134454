"""Compressed sensing using generative models: recovery in the range of a generator (Bora, Jalal, Price, Dimakis 2017).

    minimise  ||A G(z) - y||^2 + lmbd ||z||^2   over z,

by Adam from several random starts, keeping for each image the start that ends lowest. All images and all their restarts
move together as one batch, so a step is a handful of matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from csbench.operators import LinearOperator

LATE = 0.9  # the last tenth of the steps tells whether the objective still falls


@dataclass(frozen=True)
class LatentSearch:
    """How z is searched for.

    Attributes:
        lmbd: weight of ||z||^2, zero or more.
        restarts: random starts z ~ N(0, I) per image.
        steps: steps of Adam (Kingma and Ba 2015) from each start.
        learning_rate: Adam's.
        flat: an image is converged if its objective fell by less than this fraction in the last tenth of the steps.
    """

    lmbd: float
    restarts: int
    steps: int
    learning_rate: float
    flat: float = 0.01

    def __post_init__(self) -> None:
        if self.lmbd < 0 or self.restarts < 1 or self.steps < 1 or not self.learning_rate > 0:
            raise ValueError(f"{self}: lmbd >= 0, restarts >= 1, steps >= 1 and learning_rate > 0 are needed")


@dataclass(frozen=True)
class LatentFit:
    """The best start of each image.

    Attributes:
        z: shape [batch, latent_dim].
        x: G(z), shape [batch, n].
        diagnostics: name to tensor of shape [batch].
    """

    z: Tensor
    x: Tensor
    diagnostics: dict[str, Tensor]


def search_latent(
    generator: Callable[[Tensor], Tensor],
    latent_dim: int,
    A: LinearOperator,
    y: Tensor,
    search: LatentSearch,
    rng: torch.Generator,
) -> LatentFit:
    """Run the search for every row of y.

    Args:
        generator: maps [batch, latent_dim] to [batch, n]; its weights require no gradient.
        A: operator of shape (m, n).
        y: shape [batch, m].
        rng: draws the starts.
    """
    batch, restarts = len(y), search.restarts
    z = torch.randn(batch * restarts, latent_dim, generator=rng, dtype=torch.float32).to(y).requires_grad_()
    target = y.repeat_interleave(restarts, 0)
    adam = torch.optim.Adam([z], lr=search.learning_rate)

    def losses() -> tuple[Tensor, Tensor]:
        measured = (A(generator(z)) - target).square().sum(1)
        return measured + search.lmbd * z.square().sum(1), measured

    late = torch.zeros_like(target[:, 0])
    for step in range(search.steps):
        objective, _ = losses()
        if step == int(LATE * search.steps):
            late = objective.detach()
        (z.grad,) = torch.autograd.grad(objective.sum(), z)
        adam.step()

    with torch.no_grad():
        objective, measured = (v.reshape(batch, restarts) for v in losses())
        winner = objective.argmin(1)
        rows = torch.arange(batch, device=y.device) * restarts + winner
        best = objective.gather(1, winner[:, None])[:, 0]
        fell = (late[rows] - best) / late[rows].clamp_min(torch.finfo(y.dtype).tiny)
        z_best = z.detach()[rows]
        diagnostics = {
            "iterations": torch.full((batch,), search.steps),
            "generator_evaluations": torch.full((batch,), restarts * (search.steps + 1)),
            "objective": best,
            "residual": measured.gather(1, winner[:, None])[:, 0].sqrt(),
            "restart_spread": objective.std(1) if restarts > 1 else torch.zeros_like(best),
            "winning_restart": winner,
            "late_decrease": fell,
            "converged": fell < search.flat,
        }
        return LatentFit(z_best, generator(z_best), diagnostics)
