"""Compressed sensing using generative models (Bora, Jalal, Price, Dimakis 2017, arXiv 1703.03208)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from csbench.measurement import Measurement
from csbench.method import Method, NotApplicable, Recovery
from csbench.priors import checkpoint
from csbench.priors.csgm import LatentSearch, search_latent
from csbench.priors.generator import load_prior


@dataclass(frozen=True)
class CsgmVAE(Method):
    """CSGM in the range of a VAE's decoder, with the settings of Bora et al. 2017, section 5.1, for MNIST.

    Minimises ||A G(z) - y||^2 + lmbd ||z||^2. The paper draws A' with entries N(0, 1) and divides ||A' G(z) - y'||^2 by
    m, which is the same objective, so its lmbd = 0.1 is taken over as it stands.

    Attributes:
        prior: name of the weights; `csbench train vae --dataset D` makes `vae-D`.
        lmbd: weight of ||z||^2.
        restarts: random starts per image; the one that ends with the smallest objective is returned.
        steps: steps of Adam from each start.
        learning_rate: Adam's.
    """

    prior: str = "vae-{dataset}"
    lmbd: float = 0.1
    restarts: int = 10
    steps: int = 1000
    learning_rate: float = 0.01

    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        generator = load_prior(self.prior, given.y.dtype, str(given.y.device)).generator
        if generator.n != given.n:
            raise NotApplicable(f"{self.prior} makes images of {generator.n} pixels, the problem has n = {given.n}")
        search = LatentSearch(self.lmbd, self.restarts, self.steps, self.learning_rate)
        fit = search_latent(generator, generator.latent_dim, given.A, given.y, search, rng)
        return Recovery(fit.x, fit.diagnostics)

    def data_files(self) -> tuple[Path, ...]:
        return (checkpoint.weights_path(self.prior),)


configurations = {"csgm-vae-noreg": CsgmVAE(lmbd=0.0)}
