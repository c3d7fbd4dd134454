"""CSGM (Bora et al. 2017) with generators that were learned from lossy measurements alone.

AmbientGAN (Bora, Price, Dimakis 2018) compares measurements of generated images with real measurements, and so no clean
image is ever seen in training. `ignore` took the measurements for images and `unmeasure` restored each image first: the
two baselines of that paper. The search is that of `csgm-dcgan`; its weight of ||z||^2 comes from the error of clean
validation images in the range of G, for every method here is tuned on these.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from csbench.core.errors import MissingWeights
from csbench.methods.csgm_conv import CsgmDCGAN


@dataclass(frozen=True)
class _FromMeasurements(CsgmDCGAN):
    family: ClassVar[str] = "ambient-trained"

    def data_files(self) -> tuple[Path, ...]:
        try:
            return super().data_files()
        except MissingWeights:
            raise MissingWeights(
                f"no weights called {self.prior!r}; `csbench train ambient --measurement PROCESS --dataset D` makes "
                "them, likewise ignore and unmeasure"
            ) from None


@dataclass(frozen=True)
class CsgmAmbient(_FromMeasurements):
    """CSGM with a prior that AmbientGAN (Bora, Price, Dimakis 2018) learned from images with dropped pixels.

    Papers: https://openreview.net/forum?id=Hy7fDog0b, arXiv:1703.03208
    """

    prior: str = "ambient-block-pixels-p0.5-{dataset}"

    name: ClassVar[str] = "csgm-ambient-block-pixels-p0.5"
    on_request: ClassVar[bool] = True  # suites that are about priors name them all


@dataclass(frozen=True)
class CsgmIgnore(_FromMeasurements):
    """CSGM with a GAN that took images with dropped pixels for clean ones, a baseline of Bora et al. 2018.

    Papers: https://openreview.net/forum?id=Hy7fDog0b, arXiv:1703.03208
    """

    prior: str = "ignore-block-pixels-p0.95-{dataset}"

    name: ClassVar[str] = "csgm-ignore-block-pixels-p0.95"
    on_request: ClassVar[bool] = True


@dataclass(frozen=True)
class CsgmUnmeasure(_FromMeasurements):
    """CSGM with a GAN that saw each image restored from its measurements, a baseline of Bora et al. 2018.

    Papers: https://openreview.net/forum?id=Hy7fDog0b, arXiv:1703.03208
    """

    prior: str = "unmeasure-block-pixels-p0.95-{dataset}"

    name: ClassVar[str] = "csgm-unmeasure-block-pixels-p0.95"
    on_request: ClassVar[bool] = True


configurations = {
    "csgm-ambient-block-pixels-p0.95": CsgmAmbient(prior="ambient-block-pixels-p0.95-{dataset}"),
    "csgm-ambient-gaussian-projection-m200": CsgmAmbient(prior="ambient-gaussian-projection-m200-{dataset}"),
    "csgm-ambient-convolve-noise": CsgmAmbient(prior="ambient-convolve-noise-radius1-sigma0.5-{dataset}"),
    "csgm-ambient-block-patch-k14": CsgmAmbient(prior="ambient-block-patch-k14-{dataset}"),
    "csgm-ambient-keep-patch-k14": CsgmAmbient(prior="ambient-keep-patch-k14-{dataset}"),
    "csgm-ambient-pad-rotate-project-theta": CsgmAmbient(prior="ambient-pad-rotate-project-theta-{dataset}"),
    "csgm-ignore-block-pixels-p0.5": CsgmIgnore(prior="ignore-block-pixels-p0.5-{dataset}"),
    "csgm-ignore-convolve-noise": CsgmIgnore(prior="ignore-convolve-noise-radius1-sigma0.5-{dataset}"),
    "csgm-ignore-block-patch-k14": CsgmIgnore(prior="ignore-block-patch-k14-{dataset}"),
    "csgm-unmeasure-block-pixels-p0.5": CsgmUnmeasure(prior="unmeasure-block-pixels-p0.5-{dataset}"),
    "csgm-unmeasure-convolve-noise": CsgmUnmeasure(prior="unmeasure-convolve-noise-radius1-sigma0.5-{dataset}"),
    "csgm-unmeasure-block-patch-k14": CsgmUnmeasure(prior="unmeasure-block-patch-k14-{dataset}"),
}
