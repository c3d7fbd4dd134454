"""CelebA: aligned faces of celebrities (Liu, Luo, Wang, Tang 2015), 64x64 colour.

The images are for non-commercial research and may not be passed on, so csbench ships none and downloads none: they are
read from the user's own copy and nothing of them is cached.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from csbench.core.dataset import SPLITS, Dataset, Images, Split
from csbench.core.decoding import Decoding
from csbench.core.errors import DataError
from csbench.core.picture_files import read_picture

SIDE = 64
CROP = 128 / 178  # of the width, as in the CSGM paper's code
PARTITION = "list_eval_partition.txt"
SUBSET = {"train": range(1, 9001), "validation": range(9001, 9501), "test": range(9501, 10001)}
NUMBERED = re.compile(r"(?:^|/)(\d{6})\.(jpg|png)$")  # and not `._000001.jpg`, which macOS leaves behind
MOST_BYTES = 2**26  # of a picture in an archive
ENCRYPTED = 1  # the bit of a member's flags that says so

HELP = (
    "CelebA is for non-commercial research and may not be redistributed, so csbench cannot ship it. Get "
    "img_align_celeba.zip from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, accept its agreement, put the zip "
    f"or the unpacked folder, and {PARTITION} for the official splits, into a folder celeba/, and set CSBENCH_DATA to "
    "its parent. The first 10,000 images are enough."
)


class CelebA(Dataset):
    """Faces of celebrities, 64x64 colour; read from the user's own copy (Liu, Luo, Wang, Tang 2015).

    With `list_eval_partition.txt` beside the images the splits are the official ones; without it images 1 to 9,000
    train, 9,001 to 9,500 validate and 9,501 to 10,000 test. Ids are the numbers in the file names.

    Papers: doi:10.1109/ICCV.2015.425
    """

    name: ClassVar[str] = "celeba"
    image_shape: ClassVar[tuple[int, int, int]] = (3, 64, 64)
    licence: ClassVar[str] = "non-commercial research only, no redistribution (CelebA agreement)"
    mirrored: ClassVar[bool] = True
    restricted: ClassVar[bool] = True

    def images(self, split: Split) -> Images:
        """All images of a split.

        Raises:
            DataError: the images, or some of them, are missing or cannot be read; the message says how to get them.
        """
        root = os.environ.get("CSBENCH_DATA")
        folder = Path(root) / self.name if root else None
        if folder is None or not folder.is_dir():
            raise DataError(f"celeba: {'CSBENCH_DATA is not set' if folder is None else f'no folder {folder}'}. {HELP}")
        return _read(folder, split)


@lru_cache(maxsize=3)
def _read(folder: Path, split: Split) -> Images:
    source, readers = _find(folder)
    partition = folder / PARTITION
    with Decoding(DataError, f"{partition}: cannot be read: "):
        wanted = _official(partition)[split] if partition.is_file() else list(SUBSET[split])
    if missing := [number for number in wanted if number not in readers]:
        raise DataError(
            f"{source}: image {missing[0]:06d} and {len(missing) - 1} more of the {split} split are missing. {HELP}"
        )
    pixels = np.empty((len(wanted), 3, SIDE, SIDE), np.uint8)
    for row, number in enumerate(wanted):
        try:
            with Decoding(OSError):
                pixels[row] = _face(readers[number]())
        except (OSError, zipfile.BadZipFile, UnidentifiedImageError) as error:
            raise DataError(f"{source}: image {number:06d} cannot be read ({error}); get it again") from error
    return Images(np.array(wanted, dtype=np.int64), pixels, np.full(len(wanted), -1, dtype=np.int64))


def _find(folder: Path) -> tuple[Path, dict[int, Callable[[], bytes]]]:
    """Where the images are, and how the bytes of each numbered image are read."""
    for images in (folder / "img_align_celeba", folder):
        files = {int(m[1]): path for path in images.glob("*.*") if (m := NUMBERED.search(path.name))}
        if files:
            return images, {number: path.read_bytes for number, path in files.items()}
    for path in sorted(folder.glob("[!.]*.zip")):
        try:
            with Decoding(OSError):
                archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: cannot be read ({error}); get it again") from error
        members = {int(m[1]): one for one in archive.infolist() if (m := NUMBERED.search(one.filename))}
        if members:
            return path, {number: partial(_unpacked, archive, one) for number, one in members.items()}
    raise DataError(f"{folder}: no folder img_align_celeba/ and no zip with numbered images in it. {HELP}")


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MOST_BYTES:
        raise OSError(f"it unpacks to {member.file_size} bytes, more than any such picture has")
    if member.flag_bits & ENCRYPTED:
        raise OSError("it is encrypted; unpack the archive with its password")
    return archive.read(member)


def _official(path: Path) -> dict[Split, list[int]]:
    wanted: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for line, text in enumerate(path.read_text().splitlines(), 1):
        parts = text.split()
        if len(parts) != 2 or not (match := NUMBERED.search(parts[0])) or parts[1] not in ("0", "1", "2"):
            raise DataError(f"{path}, line {line}: expected `NNNNNN.jpg 0|1|2`, got {text!r}")
        wanted[SPLITS[int(parts[1])]].append(int(match[1]))
    return wanted


def _face(data: bytes) -> np.ndarray:
    """The centre square of 128/178 of the width, at 64x64, shape [3, 64, 64]."""
    image = read_picture(data)
    width, height = image.size
    side = round(width * CROP)
    if not SIDE <= side <= width <= height:
        raise OSError(
            f"it has {width}x{height} pixels; the aligned faces are upright, 178x218 or at least half of that"
        )
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    if side != SIDE:
        square = square.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(square).transpose(2, 0, 1)
