"""Where csbench's own files are."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
METHODS = PACKAGE / "methods"
TUNED = METHODS / "tuned.json"
PACKAGED = METHODS / "weights"
EMBEDDED = PACKAGE / "datasets" / "embedded"


def weights_folders() -> list[Path]:
    """Where weights are looked for: `$CSBENCH_WEIGHTS` first, then those that ship with csbench."""
    own = os.environ.get("CSBENCH_WEIGHTS")
    return [Path(own), PACKAGED] if own else [PACKAGED]
