"""Images from a prior's own generator: representation error is zero by construction."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch

from csbench.core.dataset import SPLITS, Dataset, Images, Split
from csbench.core.seeding import stream
from csbench.priors.generator import load_prior

PRIOR = "vae-mnist"
COUNT = 500  # in each split


class Generated(Dataset):
    """Samples G(z), z ~ N(0, I), of the VAE that `csgm-vae` uses on MNIST (Bora et al. 2017, section 6.1.2).

    For a method with this prior representation error is zero, so what is left is optimisation and measurement error.

    Papers: arXiv:1703.03208
    """

    name: ClassVar[str] = "generated"
    image_shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    licence: ClassVar[str] = "MIT"
    relative: ClassVar[str | None] = "mnist"

    def images(self, split: Split) -> Images:
        return _samples(split)


@lru_cache(maxsize=3)
def _samples(split: Split) -> Images:
    """In float64 and then rounded, so that every machine makes the same images."""
    generator = load_prior(PRIOR, torch.float64).generator
    z = torch.randn(COUNT, generator.latent_dim, generator=stream("generated", PRIOR, split), dtype=torch.float64)
    with torch.no_grad():
        pixels = generator(z).float().reshape(COUNT, *Generated.image_shape).numpy()
    ids = np.arange(COUNT) + COUNT * SPLITS.index(split)
    return Images(ids, pixels, np.full(COUNT, -1, dtype=np.int64))
