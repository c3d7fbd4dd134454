"""The images that ship with csbench, in `datasets/embedded/`."""

from __future__ import annotations

import io
import lzma
from functools import lru_cache

import numpy as np

from csbench.core.dataset import SPLITS, Images, Split
from csbench.core.errors import DataError
from csbench.core.paths import EMBEDDED


@lru_cache
def embedded_images(name: str) -> dict[Split, Images]:
    """The splits in `NAME.npz.xz`.

    Raises:
        DataError: the file is missing or damaged.
    """
    path = EMBEDDED / f"{name}.npz.xz"
    try:
        with np.load(io.BytesIO(lzma.decompress(path.read_bytes())), allow_pickle=False) as arrays:
            return {
                split: Images(arrays[f"{split}_ids"], arrays[f"{split}_pixels"], arrays[f"{split}_labels"])
                for split in SPLITS
            }
    except (OSError, lzma.LZMAError, ValueError, KeyError) as error:
        raise DataError(f"{path}: the embedded images cannot be read ({error}); reinstall csbench") from error
