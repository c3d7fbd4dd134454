"""Signals of which the sparsity is known."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch

from csbench.core.dataset import SPLITS, Dataset, Images, Split
from csbench.core.seeding import stream

COUNTS = range(4, 161, 4)  # of entries that are not zero
SIGNALS = {"train": 5, "validation": 5, "test": 20}  # of each count


class Sparse(Dataset):
    """Signals of length 256 with k entries that are not zero, k = 4, 8, ..., 160, at random places.

    These entries are independent and uniform in [1/4, 1]. `labels` are k. The signals of a split come in rounds in
    which each k occurs once, and are given as images of 16x16 pixels, which mean nothing. They are there for phase
    transitions (Donoho and Tanner 2009).

    Papers: doi:10.1098/rsta.2009.0152
    """

    name: ClassVar[str] = "sparse"
    image_shape: ClassVar[tuple[int, int, int]] = (1, 16, 16)
    licence: ClassVar[str] = "MIT"

    def images(self, split: Split) -> Images:
        return _signals(split)


@lru_cache(maxsize=3)
def _signals(split: Split) -> Images:
    rng = stream("sparse", split)
    labels = np.tile(np.array(COUNTS), SIGNALS[split])
    x = torch.zeros(len(labels), 256)
    for row, k in zip(x, labels.tolist(), strict=True):
        row[torch.randperm(256, generator=rng)[:k]] = 0.25 + 0.75 * torch.rand(k, generator=rng)
    before = len(COUNTS) * sum(SIGNALS[earlier] for earlier in SPLITS[: SPLITS.index(split)])
    return Images(before + np.arange(len(x)), x.numpy().reshape(-1, 1, 16, 16), labels)
