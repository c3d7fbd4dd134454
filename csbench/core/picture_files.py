"""Picture files of users as pixels."""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageOps

from csbench.core.decoding import Decoding

PLAIN = ("RGB", "L", "P", "1")  # Pillow's modes that become RGB without a loss or a guess


class _Bytes(io.BytesIO):
    def __repr__(self) -> str:  # Pillow says "cannot identify image file", and then this
        return "of any known format"


def read_picture(data: bytes) -> Image.Image:
    """A picture file in RGB, 8 bits, upright as its EXIF orientation says.

    Raises:
        OSError: it is no picture, damaged or cut off, larger than Pillow's limit of 89 million pixels, animated, partly
            transparent, or in a mode whose colours would be a guess (CMYK, 16 bits, floats).
    """
    with Decoding(OSError), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = Image.open(_Bytes(data))
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise OSError(f"it is animated, with {frames} frames; save the one that is meant")
        if image.mode not in PLAIN:
            raise OSError(f"its mode is {image.mode}; convert it to 8 bits of RGB or grey, without transparency")
        if "transparency" in image.info:
            raise OSError("it is partly transparent; put it on a background")
        return ImageOps.exif_transpose(image).convert("RGB")
