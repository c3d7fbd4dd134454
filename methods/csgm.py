"""Compressed sensing using generative models (Bora, Jalal, Price, Dimakis 2017, arXiv 1703.03208).

All minimise ||A G(z) - y||^2 + lmbd ||z||^2 over z for a trained generator G and return G(z). The paper draws A' with
entries N(0, 1) and divides ||A' G(z) - y'||^2 by m, which is the same objective, so its lmbd is taken over as it stands
where images are in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from csbench.core.measurement import Measurement
from csbench.core.method import Method, NotApplicable, Recovery
from csbench.priors import checkpoint
from csbench.priors.generator import Generator, load_prior
from csbench.solvers.latent.adam import LatentSearch, search_latent


@dataclass(frozen=True)
class _InRange(Method):
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
class _CSGM(_InRange):
    """Adam (Kingma and Ba 2015) on all images and restarts at once.

    Attributes:
        steps: steps of Adam from each start.
        learning_rate: Adam's.
    """

    steps: int = 1000
    learning_rate: float = 0.01

    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        fit = search_latent(self.generator(given), given.A, given.y, self.search(given), rng)
        return Recovery(fit.x, fit.diagnostics)

    def penalty(self, given: Measurement) -> float:
        return self.search(given).lmbd

    def search(self, given: Measurement) -> LatentSearch:
        """The settings for this problem."""
        return LatentSearch(self.lmbd, self.restarts, self.steps, self.learning_rate, bf16=self.bf16)


@dataclass(frozen=True)
class CsgmVAE(_CSGM):
    """CSGM in the range of a VAE's decoder, with the settings of Bora et al. 2017, section 5.1, for MNIST.

    Kingma and Welling 2014 for the VAE.

    Papers: arXiv:1703.03208, arXiv:1312.6114
    """

    prior: str = "vae-{dataset}"
    lmbd: float = 0.1
    restarts: int = 10
