"""Images as PNG files, and picture files of users as pixels."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from csbench.core.decoding import Decoding
from csbench.core.files import write_atomically

GAP = 2  # pixels between images
PLAIN = ("RGB", "L", "P", "1")  # Pillow's modes that become RGB without a loss or a guess


def tile(images: np.ndarray, columns: int) -> np.ndarray:
    """Images side by side on white, row by row.

    Args:
        images: shape [batch, c, h, w], range [0, 1], c = 1 or 3.

    Returns:
        uint8, shape [height, width, 3].
    """
    batch, _, h, w = images.shape
    rows = -(-batch // columns)
    sheet = np.full((rows * (h + GAP) + GAP, columns * (w + GAP) + GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = GAP + i // columns * (h + GAP), GAP + i % columns * (w + GAP)
        pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
        sheet[top : top + h, left : left + w] = np.broadcast_to(pixels, (3, h, w)).transpose(1, 2, 0)
    return sheet


def write_png(path: Path, sheet: np.ndarray, scale: int = 1) -> None:
    """Write a uint8 sheet of shape [height, width, 3], every pixel as scale x scale of them."""
    buffer = io.BytesIO()
    Image.fromarray(sheet.repeat(scale, 0).repeat(scale, 1)).save(buffer, "PNG", optimize=True)
    write_atomically(path, buffer.getvalue())


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
