"""How the lines of the pages' plots look: colours for light and dark pages, dashes, markers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from csbench.report.curves import COLOURS

SHAPES = (  # of markers, within the unit square around zero
    "M0,-1A1,1,0,1,1,0,1A1,1,0,1,1,0,-1Z", "M-.9,-.9L.9,-.9L.9,.9L-.9,.9Z", "M0,-1.1L1,.8L-1,.8Z",
    "M0,-1.2L1,0L0,1.2L-1,0Z", "M0,1.1L1,-.8L-1,-.8Z",
    "M-.4,-1.1L.4,-1.1L.4,-.4L1.1,-.4L1.1,.4L.4,.4L.4,1.1L-.4,1.1L-.4,.4L-1.1,.4L-1.1,-.4L-.4,-.4Z",
    "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
    "M-1.1,0L.8,-1L.8,1Z", "M1.1,0L-.8,-1L-.8,1Z",
)  # fmt: skip
DARK_PAPER = 0.009  # relative luminance of the page in dark mode
LEGIBLE = 4.5  # contrast of a line with it


def styles() -> list[dict[str, Any]]:
    """Colour on white, colour on black, dashes and marker by number, of which the first differ most."""
    dashes = ([], [6, 3], [7, 3, 2, 3], [6, 2, 1.5, 2, 1.5, 2], [4, 4], [], [6, 3], [7, 3, 2, 3], [1.5, 3])
    count = math.lcm(len(COLOURS), len(dashes))
    return [
        {
            "light": COLOURS[i % len(COLOURS)],
            "dark": on_dark(COLOURS[i % len(COLOURS)]),
            "dash": dashes[i % len(dashes)],
            "shape": SHAPES[i % len(SHAPES)],
        }
        for i in range(count)
    ]


def on_dark(colour: str) -> str:
    """A colour, mixed with as much white as makes it legible on a dark page."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    for share in np.linspace(0, 1, 41):
        mixed = rgb + share * (1 - rgb)
        linear = np.where(mixed <= 0.04045, mixed / 12.92, ((mixed + 0.055) / 1.055) ** 2.4)
        if (linear @ [0.2126, 0.7152, 0.0722] + 0.05) / (DARK_PAPER + 0.05) >= LEGIBLE:
            break
    return "#" + "".join(f"{round(255 * v):02x}" for v in mixed)  # type: ignore[possibly-undefined]
