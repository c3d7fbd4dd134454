"""Images as PNG files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from csbench.core.files import write_atomically

GAP = 2  # pixels between images


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
