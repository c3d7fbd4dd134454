"""Total variation: the image with the least sum of gradient magnitudes among those that explain y, more or less.

Minimises 1/2 ||A x - y||^2 + alpha TV(x), with A as the Lassos have it; every image carries its duality gap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch

from csbench.core.measurement import Measurement
from csbench.core.method import PathMethod, Recovery
from csbench.core.prepared import prepared
from csbench.core.tuned import lookup
from csbench.solvers.total_variation import tv_path


@dataclass(frozen=True)
class TV(PathMethod):
    """Least squares with total variation (Rudin, Osher, Fatemi 1992; Candes, Romberg, Tao 2006).

    The channels of a colour image share one gradient magnitude (Blomgren and Chan 1998).

    Attributes:
        alpha: the penalty. None: `bind` takes the one that `csbench tune` found on validation images for this dataset,
            operator family and noise; without one, noise_std, or a thousandth of the largest entry of A^T y where
            there is no noise.
        box: whether x is held in [0, 1] while it is sought, and not only clipped in the end as that of the Lassos.
        clip: whether x_hat is clipped to [0, 1].
        tol: relative duality gap above which an image is flagged as not converged, and at which iterations end.
        max_iterations: for one penalty.

    Papers: doi:10.1016/0167-2789(92)90242-F, doi:10.1109/TIT.2005.862083, doi:10.1109/83.661180
    """

    family: ClassVar[str] = "untrained"

    alpha: float | None = None
    box: bool = False
    clip: bool = True
    tol: float = 1e-4
    max_iterations: int = 2000

    def bind(self, dataset: str, operator: str, noise_norm: float) -> Self:
        bound = super().bind(dataset, operator, noise_norm)
        if self.alpha is None:
            return replace(bound, alpha=lookup(self.name, dataset, operator, noise_norm))
        return bound

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        return self.recover_path(given, [self.penalty(given)])[0]

    @prepared
    def recover_path(self, given: Measurement, alphas: list[float]) -> list[Recovery]:
        solutions = tv_path(
            given.A, given.y, given.image_shape, alphas, box=self.box, tol=self.tol, iterations=self.max_iterations
        )
        recoveries = []
        for alpha, solution in zip(alphas, solutions, strict=True):
            x_hat = solution.x_hat.to(given.y.dtype)
            diagnostics = solution.diagnostics() | {"alpha": torch.full_like(solution.gap, alpha)}
            recoveries.append(Recovery(x_hat.clamp(0, 1) if self.clip else x_hat, diagnostics))
        return recoveries

    def penalty(self, given: Measurement) -> float:
        """alpha for this problem, by the rule that the field `alpha` states."""
        if self.alpha is not None:
            return self.alpha
        if given.noise_std > 0:
            return given.noise_std
        return max(given.A.adjoint(given.y).abs().max().item() / 1000, 1e-12)


# At tv's penalty; the box is certified more slowly, and from a gap of 1e-3 on the error no longer changes
configurations = {"tv-box": TV(box=True, tol=1e-3)}
