"""Rebuild the embedded subsets: `CSBENCH_DATA=... python datasets/embedded/build.py` (needs the full official files).

Train images come from the official train split; validation and test images from the official test split, so that a
prior may be trained on all 60,000 training images. Classes are balanced and interleaved: the first 100 test images hold
ten of each class. An image that occurs twice in the official files (Fashion-MNIST has some) is never chosen.
"""

from __future__ import annotations

import io
import lzma
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

from csbench.dataset import Dataset, Images
from csbench.registry import get_dataset

PER_CLASS = {"train": 200, "validation": 50, "test": 50}


def choose(images: Images, unique: np.ndarray, sizes: list[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Disjoint class-balanced rows, one array per size, classes interleaved."""
    columns = [rng.permutation(np.flatnonzero((images.labels == label) & unique)) for label in range(10)]
    edges = np.cumsum([0, *sizes])
    return [np.stack([rows[a:b] for rows in columns], axis=1).ravel() for a, b in pairwise(edges)]


def build(dataset: Dataset, path: Path) -> None:
    train, test = dataset.official("train"), dataset.official("t10k")  # pyright: ignore[reportAttributeAccessIssue]
    count = Counter(image.tobytes() for part in (train, test) for image in part.pixels)
    rng = np.random.default_rng(20170309)  # the day that CSGM appeared on arXiv
    chosen: dict[str, tuple[Images, np.ndarray]] = {}
    for part, splits in ((train, ["train"]), (test, ["validation", "test"])):
        unique = np.array([count[image.tobytes()] == 1 for image in part.pixels])
        rows = choose(part, unique, [PER_CLASS[split] for split in splits], rng)
        chosen |= {split: (part, r) for split, r in zip(splits, rows, strict=True)}
    arrays = {}
    for split, (part, rows) in chosen.items():
        arrays |= {f"{split}_ids": rows, f"{split}_pixels": part.pixels[rows], f"{split}_labels": part.labels[rows]}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.write_bytes(lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    for name in sys.argv[1:] or ["mnist", "fashion-mnist"]:
        build(get_dataset(name), Path(__file__).parent / f"{name}.npz.xz")
