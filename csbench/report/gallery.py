"""Test images beside what methods make of their measurements: `results/gallery/`, and figures of them.

A file holds the pictures of one method on one suite, at some levels of m or of the noise; `truth` and, where they are
pictures, `measurements` have files of their own. Pixels are bytes, and errors those of the recovered floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csbench.core.files import listed
from csbench.report.style import STYLES, Style, save
from csbench.results.artefact_kinds import PICTURES

TRUTH, MEASUREMENTS = "truth", "measurements"


def read_gallery(results: Path, suite: str) -> dict[str, pd.DataFrame]:
    """Method (or `truth`, `measurements`) to its pictures, sorted by level and image; empty where there are none.

    Raises:
        ResultsError: a file cannot be read or has other columns.
    """
    found = {}
    for path in listed(PICTURES.path(results, suite=suite, name=TRUTH).parent, "*.parquet"):
        frame = PICTURES.frame(PICTURES.read(results, suite=suite, name=path.stem))
        found[path.stem.removeprefix("method=")] = frame.sort_values(["level", "image"])
    return found


def store(results: Path, suite: str, name: str, pictures: pd.DataFrame) -> None:
    """Write the pictures of a method in place of those that were there at the same levels."""
    rows = pictures.sort_values(["level", "image"]).to_dict("records")
    PICTURES.put(results, rows, suite=suite, name=_stem(name))


def _stem(name: str) -> str:
    return name if name in (TRUTH, MEASUREMENTS) else f"method={name}"


def frame_of(level: float, ids: np.ndarray, images: np.ndarray, mse: np.ndarray | None, made_by: str) -> pd.DataFrame:
    """Rows for images of shape [batch, c, h, w], range [0, 1]; what is beyond is cut."""
    pixels = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    _, c, h, w = images.shape
    return pd.DataFrame(
        {
            "level": float(level),
            "image": ids,
            "mse": np.full(len(images), np.nan) if mse is None else mse,
            "channels": np.int32(c),
            "height": np.int32(h),
            "width": np.int32(w),
            "pixels": [one.tobytes() for one in pixels],
            "made_by": made_by,
        }
    )


def picture(row: Any) -> np.ndarray:
    """The pixels of a row (a named tuple) for matplotlib: uint8, [h, w] where grey, [h, w, 3] where in colour."""
    pixels = np.frombuffer(row.pixels, dtype=np.uint8).reshape(row.channels, row.height, row.width)
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


def draw(path: Path, pictures: Mapping[str, pd.DataFrame], axis: str, style: Style = STYLES["screen"]) -> None:
    """Write a figure: the truth above, and at each level below it the measurements, where there are any, and methods.

    Args:
        pictures: as `read_gallery` gives them, in the order of the rows, of the same images at the same levels.
        axis: "m" or "noise_norm", what the levels are.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    truth = pictures[TRUTH]
    methods = [name for name in pictures if name != TRUTH]
    levels = sorted({level for name in methods for level in pictures[name]["level"]})
    what = "m" if axis == "m" else "noise"
    rows = [(TRUTH, truth)]
    for level in levels:
        at = {name: pictures[name].loc[pictures[name]["level"] == level] for name in methods}
        rows += [(f"{name}\n{what} = {level:g}", shown) for name, shown in at.items() if len(shown)]
    batch = len(truth)
    label = 1.25 if style.title else 1.0
    side = (style.width - label) / batch if not style.title else 0.75
    with mpl.rc_context(style.settings(style.font_size - 2)):
        figure = Figure(figsize=(label + side * batch, (side + 0.11) * len(rows)), layout="constrained")
        axes = figure.subplots(len(rows), batch, squeeze=False)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)  # type: ignore[union-attr]
        for line, (name, shown) in zip(axes, rows, strict=True):
            line[0].set_ylabel(name, rotation=0, ha="right", va="center")
            drawn: Iterable[Any] = shown.itertuples()
            for place, row in zip(line, drawn, strict=True):
                place.imshow(picture(row), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                if not np.isnan(row.mse):
                    place.set_xlabel(f"{row.mse:.4f}", labelpad=1, fontsize=style.font_size - 3, color="0.4")
            for place in line:
                place.set_xticks([])
                place.set_yticks([])
                place.spines[:].set_visible(False)
        save(figure, path)
