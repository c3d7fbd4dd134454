"""The floor: what everyone must beat, and the least-norm solution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from csbench.measurement import Measurement
from csbench.method import Method, NotApplicable, Recovery
from csbench.priors import checkpoint


@dataclass(frozen=True)
class Zeros(Method):
    """The black image, whatever was measured."""

    def recover(self, given: Measurement, rng: torch.Generator) -> Tensor:
        return torch.zeros(given.batch, given.n, dtype=given.y.dtype, device=given.y.device)


@dataclass(frozen=True)
class Mean(Method):
    """The mean of the training images, whatever was measured: the best constant in mean squared error.

    Attributes:
        prior: name of the stored mean image; `csbench train mean --dataset D` makes it.
    """

    prior: str = "mean-{dataset}"

    def recover(self, given: Measurement, rng: torch.Generator) -> Tensor:
        mean = checkpoint.load(self.prior)[0]["mean"].to(given.y)
        if len(mean) != given.n:
            raise NotApplicable(f"{self.prior} has {len(mean)} pixels, the problem has n = {given.n}")
        return mean.expand(given.batch, -1).clone()

    def data_files(self) -> tuple[Path, ...]:
        return (checkpoint.weights_path(self.prior),)


@dataclass(frozen=True)
class MinNorm(Method):
    """The solution of A x = y with the least norm, A^+ y (Moore 1920; Penrose 1955), clipped to [0, 1].

    Attributes:
        clip: whether x_hat is clipped to [0, 1].
    """

    clip: bool = True

    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        matrix = given.A.matrix().double()
        x_hat = given.y.double() @ torch.linalg.pinv(matrix).T
        residual = (x_hat @ matrix.T - given.y.double()).norm(dim=1)
        if self.clip:
            x_hat = x_hat.clamp(0, 1)
        return Recovery(x_hat.to(given.y.dtype), {"residual": residual})
