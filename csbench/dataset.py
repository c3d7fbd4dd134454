"""What a dataset is: three splits of images that never overlap, in one fixed order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from csbench.errors import UsageError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Images:
    """Images of one split, with the ids that results are reported under.

    Attributes:
        ids: int64, shape [batch]; position in the official file that the image comes from.
        pixels: uint8, shape [batch, c, h, w].
        labels: int64, shape [batch]; the class, or -1 where there is none.
    """

    ids: np.ndarray
    pixels: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4:
            raise UsageError(f"pixels are uint8 [batch, c, h, w], got {self.pixels.dtype} {self.pixels.shape}")
        if not len(self.ids) == len(self.pixels) == len(self.labels):
            raise UsageError(f"{len(self.ids)} ids, {len(self.pixels)} images and {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> Images:
        return Images(self.ids[rows], self.pixels[rows], self.labels[rows])

    def signals(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """The flattened images, shape [batch, n], range [0, 1]."""
        return torch.from_numpy(self.pixels.reshape(len(self), -1).copy()).to(dtype) / 255


class Dataset(ABC):
    """Base class of the plug-ins in `datasets/`; registered under `name` (by default the class name in kebab case).

    Class attributes: `image_shape`, (c, h, w), and `licence`, a short statement.
    """

    name: ClassVar[str]
    image_shape: ClassVar[tuple[int, int, int]]
    licence: ClassVar[str]

    @property
    def n(self) -> int:
        """The length of a flattened image."""
        c, h, w = self.image_shape
        return c * h * w

    @abstractmethod
    def images(self, split: Split) -> Images:
        """The images of a split that suites are scored on and hyper-parameters are tuned on; same for everyone."""

    def training_images(self) -> Images:
        """All images that a prior may be trained on; by default the train split.

        Raises:
            DataError: the full data is needed and neither in `$CSBENCH_DATA` nor to be downloaded.
        """
        return self.images("train")
