"""Compressed sensing in the range of convolutional generators (Bora, Jalal, Price, Dimakis 2017, arXiv 1703.03208).

These generators have more latent dimensions than there are measurements at small m, so the weight of ||z||^2 matters,
and the search begins at z = 0, the mean of z. An image is G(z) plus a remainder of variance `misfit` per pixel, which
Gaussian measurements turn into noise of variance n misfit / m. The posterior of z ~ N(0, I) then has its mode at
lmbd = n misfit / m + noise_std^2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from csbench.core.errors import CheckpointError, MissingWeights
from csbench.core.measurement import Measurement
from csbench.methods._csgm import CsgmByAdam
from csbench.priors import checkpoint
from csbench.solvers.latent.csgm import LatentSearch


@dataclass(frozen=True)
class _FromMisfit(CsgmByAdam):
    """What they share.

    Attributes:
        lmbd: weight of ||z||^2; None: from the misfit.
        misfit: mean squared error per pixel of validation images in the range of G; None: what the prior's card says.
        start: "zero": the first start of an image is z = 0, the others are random; or "random".
    """

    lmbd: float | None = None
    learning_rate: float = 0.1
    misfit: float | None = None
    start: Literal["zero", "random"] = "zero"

    figure: ClassVar[str]  # the misfit's name on the card

    def bind(self, dataset: str, operator: str, noise_norm: float) -> Self:
        bound = super().bind(dataset, operator, noise_norm)
        if bound.lmbd is not None:
            return bound
        try:
            return replace(bound, misfit=bound.known_misfit())
        except MissingWeights:
            return bound  # the run says so, and how to train it

    def known_misfit(self) -> float:
        """The field, or else the figure on the prior's card."""
        if self.misfit is not None:
            return self.misfit
        card = checkpoint.card(self.prior)
        if self.figure not in card["quality"]:
            raise CheckpointError(
                f"{self.prior}.json: field quality.{self.figure} is missing; "
                f"`csbench assess {self.prior} --dataset {card['dataset']}` adds it"
            )
        return card["quality"][self.figure]

    def penalty(self, given: Measurement) -> float:
        lmbd = self.lmbd
        if lmbd is None:
            lmbd = given.n * self.known_misfit() / given.m + given.noise_std**2
        return lmbd

    def options(self) -> LatentSearch:
        return replace(super().options(), start=self.start)


@dataclass(frozen=True)
class CsgmConvVAE(_FromMisfit):
    """CSGM (Bora et al. 2017) in the range of a convolutional VAE's decoder (Kingma and Welling 2014).

    Papers: arXiv:1703.03208, arXiv:1312.6114
    """

    prior: str = "conv-vae-{dataset}"
    restarts: int = 4
    steps: int = 200

    figure = "validation_autoencoding_mse"


@dataclass(frozen=True)
class CsgmDCGAN(_FromMisfit):
    """CSGM in the range of a DCGAN with the steps of Bora et al. 2017, section 5.2, and one start at z = 0.

    The paper's own settings are no penalty and two random restarts, `csgm-dcgan-paper`, and ten with lmbd = 0.001 for
    images in [-1, 1], twice the scale of ours: that is `CsgmDCGAN(lmbd=0.00025, restarts=10, start="random")` here.
    Radford, Metz, Chintala 2016 for the DCGAN.

    Papers: arXiv:1703.03208, arXiv:1511.06434
    """

    prior: str = "dcgan-{dataset}"
    steps: int = 500

    figure = "validation_representation_mse"


@dataclass(frozen=True)
class CsgmWGAN(CsgmDCGAN):
    """CSGM (Bora et al. 2017) in the range of a Wasserstein GAN (Gulrajani et al. 2017), as with the DCGAN.

    Papers: arXiv:1703.03208, arXiv:1704.00028
    """

    prior: str = "wgan-{dataset}"


configurations = {"csgm-dcgan-paper": CsgmDCGAN(lmbd=0.0, restarts=2, start="random")}
