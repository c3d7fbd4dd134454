"""The floor: what everyone must beat, and the least-norm solution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from torch import Tensor

from csbench.core.measurement import Measurement
from csbench.core.method import Method, NotApplicable, Recovery
from csbench.core.prepared import prepared
from csbench.operators import LinearOperator
from csbench.priors import checkpoint

FACTORED_ROWS = 1024  # of A in float64 at a time
RANK_TOLERANCE = 1e-12  # of a squared pivot, beside the squared norm of its row


@dataclass(frozen=True)
class Zeros(Method):
    """The black image, whatever was measured."""

    family: ClassVar[str] = "baseline"

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        return _constant(torch.zeros(given.n), given)


@dataclass(frozen=True)
class Mean(Method):
    """The mean of the training images, whatever was measured: the best constant in mean squared error.

    Attributes:
        prior: name of the stored mean image; `csbench train mean --dataset D` makes it.
    """

    family: ClassVar[str] = "baseline"

    prior: str = "mean-{dataset}"

    @prepared
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

    Papers: doi:10.1017/S0305004100030401
    """

    family: ClassVar[str] = "baseline"

    clip: bool = True

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        y = given.y.double()
        dual = _dual(given.A, y)
        if dual is None:
            x_hat = y @ torch.linalg.pinv(given.A.matrix().double()).T
        else:
            x_hat = sum((dual[:, rows] @ A for rows, A in _blocks(given.A)), torch.zeros(given.batch, given.n).double())
        residual = torch.cat([x_hat @ A.T for _, A in _blocks(given.A)], 1).sub_(y).norm(dim=1)
        if self.clip:
            x_hat = x_hat.clamp(0, 1)
        return Recovery(x_hat.to(given.y.dtype), {"residual": residual})


def _dual(A: LinearOperator, y: Tensor) -> Tensor | None:
    """(A A^T)^-1 y by Cholesky, shape [batch, m], with nothing large in float64 but A A^T; None where that is singular.

    Far cheaper than the singular value decomposition behind the pseudoinverse: 40 s instead of hours at m = 10000.
    """
    m, n = A.shape
    if m > n:
        return None
    gram = torch.zeros(m, m, dtype=torch.float64)
    for rows, upper in _blocks(A):
        for columns, other in _blocks(A):
            if columns.start <= rows.start:
                gram[rows, columns] = upper @ other.T
    diagonal = gram.diagonal().clone()
    try:
        factor = cho_factor(gram.numpy().T, lower=False, overwrite_a=True, check_finite=False)
    except LinAlgError:
        return None
    pivots = torch.from_numpy(factor[0].diagonal().copy()).square()
    if (pivots < RANK_TOLERANCE * diagonal).any():
        return None
    return torch.from_numpy(cho_solve(factor, y.T.numpy(), check_finite=False)).T


def _blocks(A: LinearOperator) -> Iterator[tuple[slice, Tensor]]:
    return ((rows, part.matrix().double()) for rows, part in A.row_blocks(FACTORED_ROWS))


def _constant(image: Tensor, given: Measurement) -> Recovery:
    """The same image, shape [n], for every measurement."""
    x_hat = image.to(given.y).expand(given.batch, -1).clone()
    return Recovery(x_hat, {"residual": (given.A(x_hat) - given.y).norm(dim=1)})
