"""Compressed sensing in the range of convolutional generators (Bora, Jalal, Price, Dimakis 2017, arXiv 1703.03208)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

from csbench.errors import MissingWeights
from csbench.measurement import Measurement
from csbench.methods.csgm import _CSGM
from csbench.priors import checkpoint
from csbench.priors.csgm import LatentSearch


@dataclass(frozen=True)
class CsgmConvVAE(_CSGM):
    """CSGM (Bora et al. 2017) in the range of a convolutional VAE, from z = 0, with lmbd from the model's misfit.

    An image is G(z) plus a remainder of variance `misfit` per pixel, which Gaussian measurements turn into noise of
    variance n misfit / m. The posterior of z then has its mode at lmbd = n misfit / m + noise_std^2.

    Attributes:
        lmbd: None: from the misfit.
        misfit: mean squared error per pixel of decoded validation images; `bind` reads it from the prior's card.
    """

    prior: str = "conv-vae-{dataset}"
    lmbd: float | None = None
    steps: int = 200
    learning_rate: float = 0.1
    misfit: float | None = None

    def bind(self, dataset: str, operator: str, noise_norm: float) -> Self:
        bound = super().bind(dataset, operator, noise_norm)
        if bound.misfit is not None or bound.lmbd is not None:
            return bound
        try:
            card = checkpoint.card(bound.prior)
        except MissingWeights:
            return bound  # the run says so, and how to train it
        return replace(bound, misfit=card["quality"]["validation_autoencoding_mse"])

    def search(self, given: Measurement) -> LatentSearch:
        start: Literal["zero", "random"] = "zero" if self.restarts == 1 else "random"
        lmbd = self.lmbd
        if lmbd is None:
            lmbd = given.n * (self.misfit or 0.0) / given.m + given.noise_std**2
        return LatentSearch(lmbd, self.restarts, self.steps, self.learning_rate, start, self.bf16)


@dataclass(frozen=True)
class CsgmDCGAN(_CSGM):
    """CSGM in the range of a DCGAN, with the settings of Bora et al. 2017, section 5.2: no penalty, two restarts.

    The paper also has ten restarts with lmbd = 0.001 for images in [-1, 1], twice the scale of ours: that is
    `CsgmDCGAN(lmbd=0.00025, restarts=10)` here.
    """

    prior: str = "dcgan-{dataset}"
    restarts: int = 2
    steps: int = 500
    learning_rate: float = 0.1


@dataclass(frozen=True)
class CsgmWGAN(_CSGM):
    """CSGM in the range of a Wasserstein GAN (Gulrajani et al. 2017), with the settings for the DCGAN."""

    prior: str = "wgan-{dataset}"
    restarts: int = 2
    steps: int = 500
    learning_rate: float = 0.1
