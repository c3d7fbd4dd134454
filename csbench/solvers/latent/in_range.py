"""What a method has to tell whose x_hat is always G(z), so that its error can be taken apart."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from csbench.core.measurement import Measurement
from csbench.core.method import Recovery
from csbench.priors.generator import Generator


@runtime_checkable
class InRange(Protocol):
    """A method that minimises ||A G(z) - y||^2 + penalty ||z||^2 and returns G(z).

    Attributes:
        prior: name of the weights of G.
    """

    @property
    def prior(self) -> str: ...

    def generator(self, given: Measurement) -> Generator:
        """G, of as many pixels as the problem has."""
        ...

    def penalty(self, given: Measurement) -> float:
        """The weight of ||z||^2 for this problem."""
        ...

    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery: ...
