"""How often methods apply A or A^T: `results/evaluations/`, which `csbench count` writes.

A text file for each suite, one line for each method and level, so that Git merges what two people add.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from csbench.core.errors import ResultsError
from csbench.core.files import write_atomically

TYPES = {
    "method": str, "m": int, "noise_norm": float, "images": int, "takes_matrix": bool, "once": float,
    "per_image": float, "made_by": str,
}  # fmt: skip
PLACE = ["method", "m", "noise_norm"]


@dataclass(frozen=True)
class Evaluations:
    """Applications of A or of A^T to one vector; a gradient through A is one of A^T.

    Attributes:
        takes_matrix: the method asks for the matrix of A; what it does with that is not seen, and the others are NaN.
        once: for the operator, whatever the number of images.
        per_image: for each image besides.
    """

    takes_matrix: bool
    once: float
    per_image: float


Place = tuple[str, int, float, str]  # method, m, noise norm, made_by of the method


def evaluations_path(results: Path, suite: str) -> Path:
    """Where the counts of a suite are kept."""
    return results / "evaluations" / f"{suite}.csv"


def read(results: Path, suite: str) -> pd.DataFrame:
    """One row for each method and level that was counted, with the columns of `TYPES`; empty where none was.

    `images` says how many the counts are means over.

    Raises:
        ResultsError: the file cannot be read or has other columns.
    """
    path = evaluations_path(results, suite)
    if not path.is_file():
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in TYPES.items()})
    try:
        return pd.DataFrame(pd.read_csv(path)[list(TYPES)]).astype(TYPES)
    except (ValueError, KeyError) as error:
        raise ResultsError(
            f"{path}: not a file of counts ({error}); delete it, `csbench count` makes it anew"
        ) from None


def counts(results: Path, suite: str) -> dict[Place, Evaluations]:
    """What was counted, by method, m, noise norm and the code that it was counted for.

    Raises:
        ResultsError: the file cannot be read or has other columns.
    """
    rows = read(results, suite)
    places = zip(*(rows[name].tolist() for name in (*PLACE, "made_by")), strict=True)
    values = zip(*(rows[name].tolist() for name in ("takes_matrix", "once", "per_image")), strict=True)
    return {place: Evaluations(*value) for place, value in zip(places, values, strict=True)}


def store(results: Path, suite: str, rows: pd.DataFrame) -> None:
    """Add rows to what is stored; they take the place of those of the same method and level."""
    known = read(results, suite)
    whole = pd.concat([part for part in (known, rows) if len(part)]).drop_duplicates(PLACE, keep="last")
    path = evaluations_path(results, suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, whole.sort_values(PLACE).to_csv(index=False, lineterminator="\n").encode())
