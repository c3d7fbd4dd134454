"""What all methods share that search the range of a generator; no method by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from csbench.core.measurement import Measurement
from csbench.core.method import Method, NotApplicable, Recovery
from csbench.core.prepared import prepared
from csbench.priors import checkpoint
from csbench.priors.generator import Generator, load_prior
from csbench.solvers.latent.csgm import LatentSearch, search_latent


@dataclass(frozen=True)
class Csgm(Method):
    """Recovery in the range of a trained generator.

    Attributes:
        prior: name of the weights; `csbench train vae --dataset D` makes `vae-D`.
        lmbd: weight of ||z||^2.
        restarts: starts per image; the one that ends with the smallest objective is returned.
        bf16: whether all but the last steps compute in bfloat16; None: where the processor is fast at it. Rows tell
            what was used.
    """

    confined_to_range: ClassVar[bool] = True
    family: ClassVar[str] = "generative"

    prior: str = ""
    lmbd: float = 0.0
    restarts: int = 1
    bf16: bool | None = None

    def generator(self, given: Measurement) -> Generator:
        """G, of as many pixels as the problem has.

        Raises:
            NotApplicable: it makes images of another size.
        """
        generator = load_prior(self.prior, given.y.dtype, str(given.y.device)).generator
        if generator.n != given.n:
            raise NotApplicable(f"{self.prior} makes images of {generator.n} pixels, the problem has n = {given.n}")
        return generator

    def penalty(self, given: Measurement) -> float:
        """The weight of ||z||^2 for this problem."""
        return self.lmbd

    def data_files(self) -> tuple[Path, ...]:
        return (checkpoint.weights_path(self.prior),)


@dataclass(frozen=True)
class CsgmByAdam(Csgm):
    """Adam (Kingma and Ba 2015) on all images and restarts at once.

    Attributes:
        steps: steps of Adam from each start.
        learning_rate: Adam's.
    """

    steps: int = 1000
    learning_rate: float = 0.01

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        found = search_latent(
            given.A, given.y, self.generator(given), self.penalty(given), rng=rng, options=self.options()
        )
        return Recovery(found.x_hat, found.diagnostics())

    def options(self) -> LatentSearch:
        """How z is searched for."""
        return LatentSearch(restarts=self.restarts, steps=self.steps, learning_rate=self.learning_rate, bf16=self.bf16)
