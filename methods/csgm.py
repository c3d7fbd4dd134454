"""Compressed sensing using generative models (Bora, Jalal, Price, Dimakis 2017, arXiv 1703.03208).

All minimise ||A G(z) - y||^2 + lmbd ||z||^2 over z for a trained generator G and return G(z). The paper draws A' with
entries N(0, 1) and divides ||A' G(z) - y'||^2 by m, which is the same objective, so its lmbd is taken over as it stands
where images are in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

from csbench.methods._csgm import CsgmByAdam


@dataclass(frozen=True)
class CsgmVAE(CsgmByAdam):
    """CSGM in the range of a VAE's decoder, with the settings of Bora et al. 2017, section 5.1, for MNIST.

    Kingma and Welling 2014 for the VAE.

    Papers: arXiv:1703.03208, arXiv:1312.6114
    """

    prior: str = "vae-{dataset}"
    lmbd: float = 0.1
    restarts: int = 10
