"""What a dataset is: three splits of images that never overlap, in one fixed order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from csbench.core.errors import UsageError
from csbench.core.names import kebab

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Images:
    """Images of one split, with the ids that results are reported under.

    Attributes:
        ids: int64, shape [batch]; position in the official file that the image comes from.
        pixels: uint8, or float32 in [0, 1], shape [batch, c, h, w].
        labels: int64, shape [batch]; the class, or -1 where there is none.
    """

    ids: np.ndarray
    pixels: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.pixels.dtype not in (np.uint8, np.float32) or self.pixels.ndim != 4:
            raise UsageError(
                f"pixels are uint8 or float32 [batch, c, h, w], got {self.pixels.dtype} {self.pixels.shape}"
            )
        if not len(self.ids) == len(self.pixels) == len(self.labels):
            raise UsageError(f"{len(self.ids)} ids, {len(self.pixels)} images and {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> Images:
        return Images(self.ids[rows], self.pixels[rows], self.labels[rows])

    def signals(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """The flattened images, shape [batch, n], range [0, 1]."""
        x = torch.from_numpy(self.pixels.reshape(len(self), -1).copy())
        return x.to(dtype) / 255 if x.dtype == torch.uint8 else x.to(dtype)


class Dataset(ABC):
    """Base class of the plug-ins in `datasets/`; registered under `name` (by default the class name in kebab case).

    Class attributes: `image_shape`, (c, h, w); `licence`, a short statement; `mirrored`, whether the mirror image of a
    training image is as good as the image, as for faces and not for digits; `restricted`, whether the licence forbids
    commercial use and passing pictures on; `relative`, the dataset whose trained priors and tuned penalties serve this
    one, where it has none of its own.
    """

    name: ClassVar[str]
    image_shape: ClassVar[tuple[int, int, int]]
    licence: ClassVar[str]
    mirrored: ClassVar[bool] = False
    restricted: ClassVar[bool] = False
    relative: ClassVar[str | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in cls.__dict__:
            cls.name = kebab(cls.__name__)

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

    def held_out_images(self) -> Images:
        """All images that no prior is trained on, for the figures on cards; by default validation and test split."""
        validation, test = self.images("validation"), self.images("test")
        return Images(
            np.concatenate([validation.ids, test.ids]),
            np.concatenate([validation.pixels, test.pixels]),
            np.concatenate([validation.labels, test.labels]),
        )
