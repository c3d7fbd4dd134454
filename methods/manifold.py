"""Recovery by projection on models of a manifold that were learned from training images.

Baraniuk and Wakin (2009) showed that random measurements keep the distances on a smooth manifold, and Eftekhari and
Wakin (2015) how well the nearest point of the manifold to y can then be recovered. Here the manifold is a subspace, a
mixture of soft planes, or the training images themselves, alone or with the plane that fits those nearby.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from csbench.catalogue.registry import get_dataset
from csbench.core.errors import MissingWeights
from csbench.core.measurement import Measurement
from csbench.core.method import Method, NotApplicable, Recovery
from csbench.core.prepared import prepared
from csbench.core.tunable import GridMethod
from csbench.priors import checkpoint, mixture, pca

FRACTION = 0.4  # of PCASubspace, where nothing was tuned


@dataclass(frozen=True)
class _Manifold(Method):
    """What all share.

    Attributes:
        clip: whether x_hat is clipped to [0, 1].
    """

    family: ClassVar[str] = "learned"

    clip: bool = True

    @prepared
    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        x_hat = self.estimate(given).to(given.y.dtype)
        residual = (given.A(x_hat) - given.y).norm(dim=1)
        return Recovery(x_hat.clamp(0, 1) if self.clip else x_hat, {"residual": residual})

    @abstractmethod
    def estimate(self, given: Measurement) -> Tensor:
        """x_hat before it is clipped, shape [batch, n]."""


@dataclass(frozen=True)
class _Fitted(_Manifold):
    """
    Attributes:
        prior: name of the weights; `csbench train RECIPE --dataset D` makes `RECIPE-D`.
    """

    prior: str = ""

    recipe: ClassVar[str]

    def data_files(self) -> tuple[Path, ...]:
        try:
            return (checkpoint.weights_path(self.prior),)
        except MissingWeights:
            raise MissingWeights(
                f"no weights called {self.prior!r}; `csbench train {self.recipe} --dataset D` makes {self.recipe}-D"
            ) from None


@dataclass(frozen=True)
class _Sampled(_Manifold):
    """
    Attributes:
        dataset: whose training images, those that ship with it, stand for all.
    """

    learned_from: ClassVar[str | None] = "clean images"

    dataset: str = "{dataset}"

    def references(self, given: Measurement) -> Tensor:
        """The training images, shape [images, n]."""
        images = get_dataset(self.dataset).images("train").signals(given.y.dtype).to(given.y.device)
        _check_pixels(f"training images of {self.dataset}", images.shape[1], given)
        return images


def _check_pixels(model: str, n: int, given: Measurement) -> None:
    """
    Raises:
        NotApplicable: the model is of images of n pixels, and the problem is not.
    """
    if n != given.n:
        raise NotApplicable(f"{model} have {n} pixels, and the problem has n = {given.n}")


@dataclass(frozen=True)
class PCASubspace(_Fitted, GridMethod):
    """Least squares in the span of the first principal components (Pearson 1901; Baraniuk and Wakin 2009).

    The hard version of `pca-gaussian`: as many components as `fraction` times m, and none of the prior's variances. It
    is the projection on a manifold that is a subspace.

    Attributes:
        fraction: components per measurement, above 0 and at most 1. None: `bind` takes what `csbench tune` found on
            validation images for this dataset, operator family and noise; without one, 0.4.

    Papers: doi:10.1080/14786440109462720, doi:10.1007/s10208-007-9011-z
    """

    tunes: ClassVar[str] = "fraction"
    grid: ClassVar[tuple[float, ...]] = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

    prior: str = "pca-{dataset}"
    fraction: float | None = None

    recipe: ClassVar[str] = "pca"

    def estimate(self, given: Measurement) -> Tensor:
        prior = pca.load(self.prior).to(given.y.device)
        _check_pixels(f"images of {self.prior}", len(prior.mean), given)
        k = min(max(round((self.fraction or FRACTION) * given.m), 1), len(prior.components))
        components = prior.components[:k]
        measured = given.A(torch.cat([prior.mean[None], components]).to(given.y.dtype)).double()
        centred = given.y.double() - measured[0]
        return prior.mean + torch.linalg.lstsq(measured[1:].T, centred.T).solution.T @ components


@dataclass(frozen=True)
class MFA(_Fitted):
    """Posterior mean under a mixture of factor analysers (Ghahramani and Hinton 1996; Chen et al. 2010).

    Each component is a soft plane, and has a closed form as in `pca-gaussian`; the measurements themselves say which
    components the image may come from (Yu, Sapiro, Mallat 2012).

    Papers: https://www.cs.toronto.edu/~hinton/absps/tr-96-1.pdf, doi:10.1109/TSP.2010.2070796, arXiv:1006.3056
    """

    prior: str = "mfa-{dataset}"

    recipe: ClassVar[str] = "mfa"

    def estimate(self, given: Measurement) -> Tensor:
        prior = mixture.load(self.prior).to(given.y.device)
        _check_pixels(f"images of {self.prior}", prior.means.shape[1], given)
        return prior.posterior_mean(given.A.matrix().double(), given.y.double(), given.noise_std)[0]


@dataclass(frozen=True)
class NearestImage(_Sampled):
    """The training image whose measurements are nearest to y: a floor for methods that know training images.

    The manifold is sampled and nothing more (Baraniuk and Wakin 2009): the error is that of the nearest image at best.

    Papers: doi:10.1007/s10208-007-9011-z
    """

    def estimate(self, given: Measurement) -> Tensor:
        images = self.references(given)
        return images[torch.cdist(given.y, given.A(images)).argmin(1)]


@dataclass(frozen=True)
class LocalTangentPlane(_Sampled):
    """Ridge regression in the tangent plane of the manifold nearby (Baraniuk and Wakin 2009; Eftekhari and Wakin 2015).

    The plane is that of the first principal components of the nearest training images. What the plane does not explain
    of these counts as noise, and how far they vary along each direction sets the ridge, as in probabilistic PCA.

    Attributes:
        neighbours: how many training images.
        dimension: of the plane.
        passes: in the first, images are near whose measurements are near to y; in the others, those near to x_hat.

    Papers: doi:10.1007/s10208-007-9011-z, arXiv:1306.4748
    """

    neighbours: int = 400
    dimension: int = 120
    passes: int = 2

    def estimate(self, given: Measurement) -> Tensor:
        images = self.references(given)
        measured = given.A(images)
        distances = torch.cdist(given.y, measured)
        x_hat = given.y.new_empty(0)
        for _ in range(self.passes):
            nearest = distances.topk(min(self.neighbours, len(images)), largest=False).indices
            found = (
                _in_plane(images[rows], measured[rows], y, given.noise_std, self.dimension)[None]
                for rows, y in zip(nearest, given.y, strict=True)
            )
            x_hat = torch.cat([given.y.new_empty(0, given.n).double(), *found])
            distances = torch.cdist(x_hat.to(images), images)
        return x_hat


def _in_plane(images: Tensor, measured: Tensor, y: Tensor, noise_std: float, dimension: int) -> Tensor:
    """The estimate of one image from its neighbours, shape [n].

    Args:
        images: shape [neighbours, n].
        measured: A of each, shape [neighbours, m].
        y: shape [m].
    """
    centre, images = images.double().mean(0), images.double() - images.double().mean(0)
    aim, measured = measured.double().mean(0), measured.double() - measured.double().mean(0)
    variances, vectors = torch.linalg.eigh(images @ images.T / len(images))
    mixing = vectors[:, -dimension:].T / len(images) ** 0.5  # rows make principal components times standard deviations
    plane, seen = mixing @ images, mixing @ measured
    unexplained = variances[:-dimension].clamp_min(0).sum().item() / len(y)  # of each measurement
    ridge = max(noise_std**2 + unexplained, 1e-10)
    system = seen @ seen.T
    system.diagonal().add_(ridge)
    return centre + torch.linalg.solve(system, seen @ (y.double() - aim)) @ plane
