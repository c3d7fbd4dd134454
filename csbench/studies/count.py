"""Counts how often a method applies A and A^T, on a few images of a suite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from csbench.core.errors import CsbenchError, MissingWeights
from csbench.core.measurement import Measurement
from csbench.core.method import Method, NotApplicable, check_requirements
from csbench.core.seeding import seed_of
from csbench.freshness.lineage import Lineage
from csbench.operators import LinearOperator
from csbench.results.artefacts import Row, held
from csbench.results.evaluations import Evaluations
from csbench.runner.plan import Cell


@dataclass
class Tally:
    """Vectors that A or A^T was applied to so far."""

    products: float = 0.0


class TakesMatrix(BaseException):
    """The method asked for the matrix of A. No Exception, for a method may catch those."""


class Counted(LinearOperator):
    """An operator that counts what it and its adjoint are applied to, in any dtype, gradients included.

    What `norm` does is not counted. A block of rows counts as its share of the rows.

    Raises:
        TakesMatrix: by `matrix`.
    """

    def __init__(self, A: LinearOperator, tally: Tally, share: float = 1.0):
        super().__init__(*A.shape, A.dtype, A.device)
        vars(self).update(name=A.name, mixes=A.mixes, picture_like=A.picture_like)  # class variables elsewhere
        self.frame = A.frame
        self.A, self.tally, self.share = A, tally, share

    def matrix(self) -> Tensor:
        raise TakesMatrix

    def norm(self) -> float:
        return self.A.norm()

    def row_blocks(self, rows: int) -> Iterator[tuple[slice, LinearOperator]]:
        for part, block in self.A.row_blocks(rows):
            yield part, Counted(block, self.tally, self.share * block.shape[0] / self.shape[0])

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Counted:
        return Counted(self.A.to(dtype, device), self.tally, self.share)

    def _apply(self, x: Tensor) -> Tensor:
        self._count(x)
        measured = self.A(x)
        if measured.requires_grad:
            measured.register_hook(self._count)  # the gradient goes back through A^T
        return measured

    def _adjoint(self, y: Tensor) -> Tensor:
        self._count(y)
        back = self.A.adjoint(y)
        if back.requires_grad:
            back.register_hook(self._count)
        return back

    def _count(self, vectors: Tensor) -> None:
        self.tally.products += self.share * (vectors.numel() // vectors.shape[-1])


def count(method: Method, given: Measurement, seed: int) -> Evaluations:
    """The applications of A and A^T that `recover` asks for.

    It runs on the images, and again on every image twice: what doubles is done for each image, the rest once. That is
    exact for methods that treat a row of y alike whatever the other rows are, and an estimate for others.

    Raises:
        NotApplicable, MissingWeights: by the method.
    """
    doubled = replace(given, y=torch.cat([given.y, given.y]))
    try:
        single, double = (_products(method, each, seed) for each in (given, doubled))
    except TakesMatrix:
        return Evaluations(True, float("nan"), float("nan"))
    return Evaluations(False, max(0.0, 2 * single - double), (double - single) / given.batch)


def _products(method: Method, given: Measurement, seed: int) -> float:
    tally = Tally()
    method.recover(replace(given, A=Counted(given.A, tally)), torch.Generator().manual_seed(seed))
    return tally.products


def missing(cells: list[Cell], images: int, stored: list[Row], lineage: Lineage) -> list[Cell]:
    """The cells that have not been counted on so many images, or whose counts no longer hold."""
    return [
        cell for cell in cells if not held(stored, _place(cell, images), partial(lineage.connects, cell.id.made_by))
    ]


def count_cells(cells: list[Cell], images: int) -> Iterator[Row | None]:
    """For each cell a row of `csbench.results.artefact_kinds.EVALUATIONS`, or None where the method does not apply.

    Raises:
        CsbenchError: a method failed.
    """
    known = None
    for cell in cells:
        problem = replace(cell.problem, images=min(images, cell.problem.images))
        if known is None or known[0] != problem:
            known = problem, problem.simulate()[0]
        try:
            check_requirements(cell.method)
            found = count(cell.method, known[1], seed_of(*problem.method_seed_names()))
        except (NotApplicable, MissingWeights):
            yield None
            continue
        except Exception as error:
            raise CsbenchError(
                f"{cell.method_name} failed at {cell.where} with an operator that counts: {type(error).__name__}: "
                f"{error}; counts of earlier cells are kept"
            ) from error
        yield _place(cell, images) | asdict(found) | {"made_by": cell.id.made_by}


def _place(cell: Cell, images: int) -> dict[str, Any]:
    problem = cell.problem
    return {
        "method": cell.method_name, "m": problem.m, "noise_norm": problem.noise_norm,
        "images": min(images, problem.images),
    }  # fmt: skip
