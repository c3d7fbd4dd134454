"""From coordinates to measurements: the only place where images meet an operator and noise."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from csbench.catalogue.registry import get_dataset, get_operator, parse_operator
from csbench.core.dataset import Split
from csbench.core.errors import UsageError
from csbench.core.measurement import Measurement
from csbench.core.seeding import stream
from csbench.operators import ImageOperator, LinearOperator

MOST_ROWS = 10  # of A, as a multiple of its columns
SIMULATED_ROWS = 1024  # of A in float64 at a time


@dataclass(frozen=True)
class Truth:
    """What the harness keeps to itself.

    Attributes:
        x: the images, float32, shape [batch, n].
        ids: shape [batch].
    """

    x: Tensor
    ids: np.ndarray


@dataclass(frozen=True)
class Problem:
    """Coordinates of a batch of recoveries; they determine y to the last bit.

    Attributes:
        operator: registered name of a family of measurement operators, with parameters after a colon where they are not
            the defaults, as in `gaussian-blur:sigma=2`.
        noise_norm: sqrt(E||noise||^2); entries have standard deviation noise_norm / sqrt(m).
        draw: which random operator.
        images: how many, from the start of the split.
    """

    dataset: str
    operator: str
    m: int
    noise_norm: float
    draw: int
    images: int
    split: Split = "test"

    def simulate(self) -> tuple[Measurement, Truth]:
        """Measurements and truth.

        Operator and noise have streams of their own, keyed by all that they may depend on and never by a method; the
        noise of an image does not depend on which other images are there. Each y is computed on its own in float64 and
        rounded to float32, so that neither the size of the batch nor the processor shows in it.

        Raises:
            UsageError: the split has fewer images; there is no such operator for them.
        """
        dataset = get_dataset(self.dataset)
        available = dataset.images(self.split)
        if self.images > len(available):
            raise UsageError(f"{self.images} {self.split} images asked for, {self.dataset} has {len(available)}")
        chosen = available[: self.images]
        x = chosen.signals()
        where = (self.dataset, self.split, self.operator, self.m, self.draw)
        A = draw_operator(self.operator, self.m, dataset.image_shape, stream("operator", *where))
        m = A.shape[0]
        noise_std = self.noise_norm / m**0.5
        exact = torch.empty(len(x), m, dtype=torch.float64)
        for rows, part in A.row_blocks(SIMULATED_ROWS):
            operator = part.to(torch.float64)
            for i in range(len(x)):
                exact[i, rows] = operator(x[i].double())
        for i, image in enumerate(chosen.ids.tolist()):
            noise = torch.randn(m, generator=stream("noise", *where, image), dtype=torch.float64)
            exact[i] += noise_std * noise
        y = exact.float()
        return Measurement(A, y, noise_std, dataset.image_shape), Truth(x, chosen.ids)

    def method_seed_names(self) -> tuple[str | int, ...]:
        """Names of the stream for a method's own randomness: the same for every method."""
        return ("method", self.dataset, self.split, self.operator, self.m, self.draw)


def draw_operator(spec: str, m: int, image_shape: tuple[int, int, int], rng: torch.Generator) -> LinearOperator:
    """A measurement operator of m rows for images of shape (c, h, w).

    Args:
        spec: a registered name, or `NAME:PARAMETER=VALUE,...`.

    Raises:
        UsageError: no such family or parameter; it has no such m, or the parameter is out of range.
    """
    entry, parameters = parse_operator(spec)
    family = get_operator(entry.name)
    if issubclass(family, ImageOperator):
        return family.draw_for(m, image_shape, rng, **parameters)
    return family.draw(m, math.prod(image_shape), rng, **parameters)


def check_operator(spec: str, ms: Sequence[int], image_shape: tuple[int, int, int]) -> None:
    """Refuse what `draw_operator` would refuse, but before any work.

    Raises:
        UsageError: no such family or parameter; it has no such m, or the parameter is out of range.
    """
    entry, parameters = parse_operator(spec)
    family = get_operator(entry.name)
    if issubclass(family, ImageOperator):
        for m in ms:
            family.setting(m, image_shape)
        family.draw_for(min(ms), image_shape, stream("check"), **parameters)
        return
    n = math.prod(image_shape)
    if max(ms) > MOST_ROWS * n:
        raise UsageError(f"m = {max(ms)} is more than {MOST_ROWS} times the n = {n} pixels of an image")
    for m in [min(ms), *[m for m in ms if m > n][-1:]]:  # those between are like the least, and take longer
        family.draw(m, n, stream("check"), **parameters)


def digest(y: Tensor) -> str:
    """The sha256 of a measurement's bytes, stored with every row: equal digests mean that the same y was given."""
    return hashlib.sha256(y.contiguous().numpy().tobytes()).hexdigest()
