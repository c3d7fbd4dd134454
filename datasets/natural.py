"""Photographs in the public domain."""

from __future__ import annotations

from typing import ClassVar

from csbench.catalogue.embedded import embedded_images
from csbench.core.dataset import Dataset, Images, Split


class Natural(Dataset):
    """Grey patches of 64x64 pixels of photographs in the public domain, at half of their resolution.

    Patches do not overlap, and no photograph is in two splits; `labels` say which one a patch is from. Patches of one
    photograph are alike, so that an interval over images is narrower than one over photographs would be.
    """

    name: ClassVar[str] = "natural"
    image_shape: ClassVar[tuple[int, int, int]] = (1, 64, 64)
    licence: ClassVar[str] = "public domain"

    def images(self, split: Split) -> Images:
        return embedded_images(self.name)[split]
