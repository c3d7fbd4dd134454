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

    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        return _constant(torch.zeros(given.n), given)


@dataclass(frozen=True)
class Mean(Method):
    """The mean of the training images, whatever was measured: the best constant in mean squared error.

    Attributes:
        prior: name of the stored mean image; `csbench train mean --dataset D` makes it.
    """

    prior: str = "mean-{dataset}"

    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        mean = checkpoint.load(self.prior)[0]["mean"]
        if len(mean) != given.n:
            raise NotApplicable(f"{self.prior} has {len(mean)} pixels, the problem has n = {given.n}")
        return _constant(mean, given)

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


def _constant(image: Tensor, given: Measurement) -> Recovery:
    """The same image, shape [n], for every measurement."""
    x_hat = image.to(given.y).expand(given.batch, -1).clone()
    return Recovery(x_hat, {"residual": (given.A(x_hat) - given.y).norm(dim=1)})
