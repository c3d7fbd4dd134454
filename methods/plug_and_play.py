"""Recovery with a denoiser as the prior.

Nothing is minimised: a denoiser removes the errors of the estimate so far as if they were noise. It is one of
scikit-image, followed by clipping to [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from csbench.core.errors import UsageError
from csbench.core.measurement import Measurement
from csbench.core.method import Method, NotApplicable, Recovery
from csbench.core.prepared import prepared
from csbench.solvers import denoisers
from csbench.solvers.denoisers import Denoiser
from csbench.solvers.plug_and_play import admm, damp

DENOISERS = {"nl-means": denoisers.nl_means, "tv": denoisers.total_variation}


@dataclass(frozen=True)
class _PlugAndPlay(Method):
    """What both share.

    Attributes:
        denoiser: "nl-means", non-local means (Buades, Coll, Morel 2005), or "tv", total variation (Chambolle 2004).
        strength: of the denoiser, in standard deviations of the noise: the filtering parameter h, or the penalty.
        iterations: how many.
    """

    requires: ClassVar[tuple[str, ...]] = ("scikit-image",)
    family: ClassVar[str] = "untrained"

    denoiser: str = "nl-means"
    strength: float = 0.6
    iterations: int = 30

    def make_denoiser(self, given: Measurement) -> Denoiser:
        """For the images of this problem.

        Raises:
            UsageError: there is none of this name, or scikit-image is missing.
        """
        if self.denoiser not in DENOISERS:
            raise UsageError(f"there is no denoiser {self.denoiser!r}; there are {', '.join(DENOISERS)}")
        return DENOISERS[self.denoiser](given.image_shape, self.strength)


@dataclass(frozen=True)
class DAMP(_PlugAndPlay):
    """Denoising-based approximate message passing with non-local means (Metzler, Maleki, Baraniuk 2016).

    It takes entries of A to be independent, with variance 1/m; where A does not mix pixels like that, as blurs and
    masks do not, the method is not applicable. The noise level comes from the residuals. Nothing is damped; of an
    image's iterates the one after which its estimated noise was least is returned.
    Buades, Coll, Morel 2005 for non-local means.

    Papers: doi:10.1109/TIT.2016.2556683, doi:10.1109/CVPR.2005.38
    """

    name: ClassVar[str] = "d-amp"

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        if not given.A.mixes:
            raise NotApplicable(f"{given.A.name} does not mix all pixels at random, as message passing assumes")
        found = damp(given.A, given.y, self.make_denoiser(given), rng=rng, iterations=self.iterations)
        x_hat = found.x_hat.to(given.y.dtype)
        residual = (given.A(x_hat) - given.y).norm(dim=1)
        return Recovery(x_hat, {"residual": residual} | found.diagnostics())


@dataclass(frozen=True)
class PnPADMM(_PlugAndPlay):
    """Plug-and-play ADMM with non-local means, for any operator (Venkatakrishnan, Bouman, Wohlberg 2013).

    Attributes:
        first_sigma, last_sigma: the noise level that the denoiser is told falls geometrically from one to the other
            (Zhang et al. 2022).

    Buades, Coll, Morel 2005 for non-local means, Chambolle 2004 for total variation, its other denoiser.

    Papers: doi:10.1109/GlobalSIP.2013.6737048, arXiv:2008.13751, doi:10.1109/CVPR.2005.38,
    doi:10.1023/B:JMIV.0000011325.36760.1e
    """

    name: ClassVar[str] = "pnp-admm"
    iterations: int = 120
    first_sigma: float = 0.5
    last_sigma: float = 0.02

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        sigmas = np.geomspace(self.first_sigma, self.last_sigma, self.iterations).tolist()
        found = admm(given.A, given.y, self.make_denoiser(given), sigmas, noise_std=given.noise_std)
        x_hat = found.x_hat.to(given.y.dtype)
        return Recovery(x_hat, {"residual": (given.A(x_hat) - given.y).norm(dim=1)})


configurations = {"pnp-admm-tv": PnPADMM(denoiser="tv", strength=0.8)}
