"""CSGM by BFGS from screened starts and successive halving instead of Adam: the same objective for a little work."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from csbench.core.measurement import Measurement
from csbench.core.method import Recovery
from csbench.core.prepared import prepared
from csbench.methods._csgm import Csgm
from csbench.solvers.latent.quasi_newton import FastSearch, search_latent_fast


@dataclass(frozen=True)
class CsgmVAEFast(Csgm):
    """The objective of `csgm-vae` (Bora et al. 2017) by BFGS from screened starts: the same minima, far sooner.

    See `csbench.solvers.latent.quasi_newton`. For another generator change `prior`, and `lmbd` with it. Kingma and
    Welling 2014 for the VAE.

    Attributes:
        restarts: starts per image, the best of `candidates` draws.
        candidates: draws of z, which all images share.

    Papers: arXiv:1703.03208, arXiv:1312.6114
    """

    prior: str = "vae-{dataset}"
    lmbd: float = 0.1
    restarts: int = 10
    candidates: int = 1000

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        options = FastSearch(candidates=self.candidates, restarts=self.restarts, bf16=self.bf16)
        generator, lmbd = self.generator(given), self.penalty(given)
        found = search_latent_fast(given.A, given.y, generator, lmbd, rng=rng, options=options)
        return Recovery(found.x_hat, found.diagnostics())
