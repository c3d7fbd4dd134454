"""Rebuild the embedded subsets: `CSBENCH_DATA=... python datasets/embedded/build.py` (needs the full official files).

`natural` needs scikit-image instead, which ships the photographs.

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

from csbench.catalogue.registry import get_dataset
from csbench.core.dataset import Dataset, Images

PER_CLASS = {"train": 200, "validation": 50, "test": 50}
PHOTOGRAPHS = {  # of scikit-image, all in the public domain
    "train": ["grass", "hubble_deep_field"],
    "validation": ["astronaut", "rocket", "gravel"],
    "test": ["camera", "coffee", "chelsea", "brick"],
}
SIDE = 64


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
    splits = {s: Images(rows, part.pixels[rows], part.labels[rows]) for s, (part, rows) in chosen.items()}
    write(splits, path)


def patches(photograph: str) -> np.ndarray:
    """All patches of a photograph, grey, at half of its resolution, uint8, shape [patches, 1, 64, 64]."""
    from skimage import color, data, transform

    pixels = getattr(data, photograph)()
    grey = color.rgb2gray(pixels) if pixels.ndim == 3 else pixels / 255
    grey = transform.downscale_local_mean(grey, (2, 2))
    rows, columns = grey.shape[0] // SIDE, grey.shape[1] // SIDE
    cut = grey[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
    return np.rint(255 * cut).astype(np.uint8).reshape(-1, 1, SIDE, SIDE)


def build_natural(path: Path) -> None:
    """The patches of a split in a random order, so that the first ones are from all of its photographs."""
    rng = np.random.default_rng(20060101)  # the year of compressed sensing
    splits, label, first = {}, 0, 0
    for split, photographs in PHOTOGRAPHS.items():
        parts = [patches(photograph) for photograph in photographs]
        labels = np.repeat(label + np.arange(len(parts)), [len(part) for part in parts])
        order = rng.permutation(len(labels))
        splits[split] = Images(first + order, np.concatenate(parts)[order], labels[order])
        label, first = label + len(parts), first + len(order)
    write(splits, path)


def write(splits: dict[str, Images], path: Path) -> None:
    """The splits as one compressed file."""
    arrays = {}
    for split, images in splits.items():
        arrays |= {f"{split}_ids": images.ids, f"{split}_pixels": images.pixels, f"{split}_labels": images.labels}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.write_bytes(lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    for name in sys.argv[1:] or ["mnist", "fashion-mnist", "natural"]:
        path = Path(__file__).parent / f"{name}.npz.xz"
        if name == "natural":
            build_natural(path)
        else:
            build(get_dataset(name), path)
