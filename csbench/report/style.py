"""How figures look on a screen and in a paper, and how they are written."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from csbench.core.errors import UsageError
from csbench.core.files import write_atomically

FORMATS = (".svg", ".png", ".pdf")


@dataclass(frozen=True)
class Style:
    """Of a figure.

    Attributes:
        width: inches.
        font_size: points.
        title: whether the figure says what it shows; in a paper its caption does.
        svg_text: "none" leaves text to the reader's fonts, "path" draws it.
    """

    width: float
    font_size: float
    title: bool
    svg_text: str

    def settings(self, font_size: float | None = None) -> Any:
        """For matplotlib; fonts in PDF are embedded as TrueType, and the same figure gives the same bytes."""
        return {
            "font.size": font_size or self.font_size,
            "pdf.fonttype": 42,
            "svg.fonttype": self.svg_text,
            "svg.hashsalt": "csbench",
        }


StyleName = Literal["screen", "paper"]
STYLES: dict[str, Style] = {
    "screen": Style(width=7.2, font_size=9, title=True, svg_text="none"),
    "paper": Style(width=3.35, font_size=7, title=False, svg_text="path"),  # a column of two
}


def check_format(path: Path) -> None:
    """Whether a file of this name can be drawn, to be asked before anything is computed.

    Raises:
        UsageError: an unknown format.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: cannot draw {path.suffix or 'a file without extension'}; use {', '.join(FORMATS)}")


def save(figure: Any, path: Path) -> None:
    """Write a matplotlib figure, without the time of its making."""
    stamp = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:], dpi=160, metadata=stamp)
    write_atomically(path, picture.getvalue())
