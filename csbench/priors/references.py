"""Reference images: some thousand training images that stand for all of them.

They are the images nearest to the centres of k-means, which cover the training set better than a random choice of as many.
"""

from __future__ import annotations

import torch
from torch import Tensor

from csbench.priors import checkpoint
from csbench.seeding import stream

ITERATIONS = 5
ROWS_AT_ONCE = 2048  # of images, for memory


def choose(x: Tensor, count: int) -> Tensor:
    """Rows of the images that stand for all, increasing, by Lloyd's iteration (1982) from random images.

    Args:
        x: images, shape [images, n].
        count: how many rows at most; two centres may share their nearest image.
    """
    centres = x[torch.randperm(len(x), generator=stream("references"))[:count]]
    for _ in range(ITERATIONS):
        nearest = _nearest(x, centres)
        sums = torch.zeros_like(centres).index_add(0, nearest, x)
        sizes = torch.bincount(nearest, minlength=len(centres))[:, None]
        centres = torch.where(sizes > 0, sums / sizes, centres)
    return _nearest(centres, x).unique()


def _nearest(x: Tensor, others: Tensor) -> Tensor:
    """For each row of x the row of `others` that is nearest, shape [len(x)]."""
    half = others.square().sum(1) / 2
    return torch.cat([(part @ others.T - half).argmax(1) for part in x.split(ROWS_AT_ONCE)])


def load(name: str) -> Tensor:
    """The reference images of this name, float32, shape [images, n], range [0, 1].

    Raises:
        MissingWeights: nobody has chosen any.
    """
    return checkpoint.load(name)[0]["images"].flatten(1).float() / 255
