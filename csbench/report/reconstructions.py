"""Rows of pictures: truth above, and below it what each method made of the same measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from csbench.errors import UsageError

FORMATS = (".png", ".pdf", ".svg")


def check_format(path: Path) -> None:
    """Whether a file of this name can be drawn, to be asked before anything is computed.

    Raises:
        UsageError: an unknown format.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: cannot draw {path.suffix or 'a file without extension'}; use {', '.join(FORMATS)}")


def draw(
    path: Path, truth: np.ndarray, recovered: dict[int, dict[str, np.ndarray]], errors: dict[int, dict[str, np.ndarray]]
) -> None:
    """Write the picture.

    Args:
        truth: images, shape [batch, c, h, w], range [0, 1].
        recovered: m to method to what it made of the same images.
        errors: m to method to the mean squared error of each, shape [batch].
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = [("truth", truth, None)]
    for m, by_method in recovered.items():
        rows += [(f"{name}\nm = {m}", images, errors[m][name]) for name, images in by_method.items()]
    batch = len(truth)
    with mpl.rc_context({"font.size": 7, "svg.hashsalt": "csbench"}):
        figure = Figure(figsize=(1.1 + 0.75 * batch, 0.86 * len(rows)), layout="constrained")
        axes = figure.subplots(len(rows), batch, squeeze=False)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)  # type: ignore[union-attr]
        for line, (label, images, error) in zip(axes, rows, strict=True):
            line[0].set_ylabel(label, rotation=0, ha="right", va="center")
            for i, axis in enumerate(line):
                axis.imshow(_displayed(images[i]), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                axis.set_xticks([])
                axis.set_yticks([])
                axis.spines[:].set_visible(False)
                if error is not None:
                    axis.set_xlabel(f"{error[i]:.4f}", labelpad=1, fontsize=6, color="0.4")
        path.parent.mkdir(parents=True, exist_ok=True)
        stamp = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
        figure.savefig(path, dpi=130, metadata=stamp)


def _displayed(image: np.ndarray) -> np.ndarray:
    """As matplotlib takes it: [h, w] where grey, [h, w, 3] where in colour."""
    return np.clip(image[0] if len(image) == 1 else image.transpose(1, 2, 0), 0, 1)
