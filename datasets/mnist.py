"""MNIST and Fashion-MNIST: 28x28 grey images, ten classes.

Suites and tuning use a small embedded subset, the same for everyone. Training a prior uses the full official training
split, read from `$CSBENCH_DATA` or downloaded with a checksum.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np

from csbench.catalogue.embedded import embedded_images
from csbench.core.dataset import Dataset, Images, Split
from csbench.core.errors import DataError

IDX_TYPES = {
    0x08: np.dtype("u1"), 0x09: np.dtype("i1"), 0x0B: np.dtype(">i2"), 0x0C: np.dtype(">i4"), 0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}  # fmt: skip
MOST_DIMENSIONS = 8
MOST_BYTES = 2**28  # of an array; the official ones have 47 million at most


def read_idx(path: Path, md5: str | None = None) -> np.ndarray:
    """An idx file (LeCun's format), plain or gzipped, as an array; of a gzipped one no more than promised is unpacked.

    Args:
        md5: the expected digest of the decompressed bytes; not checked where it is None.

    Raises:
        DataError: the file is truncated, is no idx file, is far larger than any of these, or has another digest.
    """
    again = "delete it and get it again"
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else open(path, "rb") as stream:
            head = stream.read(4)
            shape_bytes = stream.read(4 * head[3]) if _is_idx(head) else b""
            dtype, shape = _form(path, head, shape_bytes)
            promised = math.prod(shape) * dtype.itemsize
            if promised > MOST_BYTES:
                raise DataError(f"{path}: its header promises {promised} bytes, more than {MOST_BYTES}; {again}")
            body = stream.read(promised + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); {again}") from error
    if len(body) != promised:
        found = "more" if len(body) > promised else str(len(body))
        raise DataError(f"{path}: {found} bytes where its header promises {promised}; {again}")
    digest = hashlib.md5(head + shape_bytes + body, usedforsecurity=False).hexdigest()
    if md5 is not None and digest != md5:
        raise DataError(f"{path}: MD5 of the decompressed file is {digest}, the official one is {md5}; get it again")
    return np.frombuffer(body, dtype).reshape(shape)


def _is_idx(head: bytes) -> bool:
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in IDX_TYPES and 1 <= head[3] <= MOST_DIMENSIONS


def _form(path: Path, head: bytes, shape_bytes: bytes) -> tuple[np.dtype, tuple[int, ...]]:
    """What a header says: the type of the numbers, and the shape."""
    if not _is_idx(head):
        raise DataError(
            f"{path}: not an idx file: it begins with {head.hex() or 'nothing'}, not with 0000, a type ("
            f"{', '.join(f'{code:02x}' for code in IDX_TYPES)}) and 01 to {MOST_DIMENSIONS:02x} dimensions"
        )
    if len(shape_bytes) < 4 * head[3]:
        raise DataError(f"{path}: ends within its header; delete it and get it again")
    return IDX_TYPES[head[2]], struct.unpack(f">{head[3]}I", shape_bytes)


def data_folder() -> Path | None:
    """`$CSBENCH_DATA`, or None where it is not set."""
    folder = os.environ.get("CSBENCH_DATA")
    return Path(folder) if folder else None


class _IdxDataset(Dataset):
    """What the two datasets share: the embedded subset, the official files and where to get them."""

    image_shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    md5: ClassVar[dict[str, str]]  # of the decompressed official files
    mirrors: ClassVar[tuple[str, ...]]

    def images(self, split: Split) -> Images:
        return embedded_images(self.name)[split]

    def training_images(self) -> Images:
        """The 60,000 official training images; validation and test images come from the official test split."""
        return self.official("train")

    def held_out_images(self) -> Images:
        """The 10,000 official test images."""
        return self.official("t10k")

    def official(self, split: str) -> Images:
        """A whole official split, "train" (60,000) or "t10k" (10,000), its files checked against their MD5."""
        pixels = self._read(f"{split}-images-idx3-ubyte")
        labels = self._read(f"{split}-labels-idx1-ubyte")
        return Images(np.arange(len(pixels)), pixels[:, None], labels.astype(np.int64))

    def _read(self, stem: str) -> np.ndarray:
        folder = data_folder()
        if folder is not None:
            for path in (folder / self.name / stem, folder / self.name / f"{stem}.gz"):
                if path.is_file():
                    return read_idx(path, self.md5[stem])
        return self._download(stem, folder)

    def _download(self, stem: str, folder: Path | None) -> np.ndarray:
        import pooch

        target = (folder or Path(pooch.os_cache("csbench"))) / self.name
        reasons = []
        for mirror in self.mirrors:
            bar = _DownloadBar(f"{stem}.gz")
            try:
                path = pooch.retrieve(
                    f"{mirror}{stem}.gz",
                    known_hash=None,  # mirrors compress differently; read_idx checks what is inside
                    fname=f"{stem}.gz",
                    path=target,
                    downloader=pooch.HTTPDownloader(progressbar=bar, timeout=20),  # type: ignore[arg-type]
                )
                return read_idx(Path(path), self.md5[stem])
            except DataError as error:
                (target / f"{stem}.gz").unlink(missing_ok=True)
                reasons.append(str(error))
            except (OSError, ValueError) as error:  # no network, or the server's refusal
                reasons.append(f"{mirror}: {type(error).__name__}")
            finally:
                bar.close()
        raise DataError(
            f"{self.name}: {stem} is not in {target} and could not be downloaded ({'; '.join(reasons)}). "
            f"Put the four official idx or idx.gz files into a folder {self.name}/ and set CSBENCH_DATA to its parent."
        )


class _DownloadBar:
    """Rich's progress bar behind the small interface that pooch expects of tqdm's."""

    def __init__(self, filename: str):
        from rich.progress import DownloadColumn, Progress, TimeRemainingColumn

        self._progress = Progress(*Progress.get_default_columns()[:2], DownloadColumn(), TimeRemainingColumn())
        self._task = self._progress.add_task(filename)

    @property
    def total(self) -> float:
        return self._progress.tasks[0].total or 0

    @total.setter
    def total(self, size: float) -> None:
        self._progress.start()
        self._progress.update(self._task, total=size)

    def update(self, size: float) -> None:
        self._progress.advance(self._task, size)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.stop()


class MNIST(_IdxDataset):
    """Handwritten digits (LeCun, Bottou, Bengio, Haffner 1998).

    Papers: doi:10.1109/5.726791
    """

    name: ClassVar[str] = "mnist"
    licence: ClassVar[str] = "CC BY-SA 3.0"
    md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )


class FashionMNIST(_IdxDataset):
    """Zalando's articles of clothing (Xiao, Rasul, Vollgraf 2017).

    Papers: arXiv:1708.07747
    """

    name: ClassVar[str] = "fashion-mnist"
    licence: ClassVar[str] = "MIT"
    md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    }
    mirrors: ClassVar[tuple[str, ...]] = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
