"""The linear prior: principal components with a Gaussian on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from csbench.core.measurement import Measurement
from csbench.core.method import Method, NotApplicable, Recovery
from csbench.core.prepared import prepared
from csbench.priors import checkpoint
from csbench.priors.pca import load


@dataclass(frozen=True)
class PCAGaussian(Method):
    """Posterior mean under a Gaussian on principal components (Tipping and Bishop 1999), the best linear estimate.

    The baseline that every generator has to justify itself against: it sees the same training images and has no
    optimisation error.

    Attributes:
        prior: name of the weights; `csbench train pca --dataset D` makes `pca-D`.
        k: how many components; None for all that are stored.
        clip: whether x_hat is clipped to [0, 1].

    Papers: doi:10.1111/1467-9868.00196
    """

    family: ClassVar[str] = "learned"

    prior: str = "pca-{dataset}"
    k: int | None = None
    clip: bool = True

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        prior = load(self.prior).to(given.y.device)
        if len(prior.mean) != given.n:
            raise NotApplicable(f"{self.prior} is of {len(prior.mean)} pixels, the problem has n = {given.n}")
        prior = prior.truncated(self.k or len(prior.components))
        x_hat = prior.posterior_mean(given.A.matrix(), given.y, given.noise_std).to(given.y.dtype)
        residual = (given.A(x_hat) - given.y).norm(dim=1)
        return Recovery(x_hat.clamp(0, 1) if self.clip else x_hat, {"residual": residual})

    def data_files(self) -> tuple[Path, ...]:
        return (checkpoint.weights_path(self.prior),)
