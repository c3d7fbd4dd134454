"""Reconstructions on this machine, so that a new metric needs scoring and no solving: `results/.reconstructions/`.

They are not published: git ignores them, and a missing one costs no more than running its cell again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import feather

from csbench.results.store import CellId

FOLDER = ".reconstructions"


def keep(results: Path, suite: str, method: str, cell: CellId, run_id: str, x_hat: np.ndarray) -> None:
    """Store x_hat, shape [batch, n], in place of what an earlier run made of the same cell."""
    path = _path(results, suite, method, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    images = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(x_hat).ravel()), x_hat.shape[1])
    table = pa.table({"x_hat": images}).replace_schema_metadata(_made_by(cell, run_id))
    temporary = path.with_suffix(f".{run_id}.tmp")  # of its own for every run, for two may be at the same cell
    feather.write_feather(table, temporary, compression="lz4")
    temporary.rename(path)  # no fsync: half a file after a power cut is not read, and costs no result


def kept(results: Path, suite: str, method: str, cell: CellId, run_id: str) -> np.ndarray | None:
    """What this run stored, shape [batch, n], or None where there is nothing whole of it."""
    try:
        table = feather.read_table(_path(results, suite, method, cell))
    except (FileNotFoundError, pa.ArrowInvalid, OSError):
        return None
    if table.schema.metadata != _made_by(cell, run_id):
        return None
    column = table["x_hat"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1).copy()  # writable, as torch wants it


def _made_by(cell: CellId, run_id: str) -> dict[bytes, bytes]:
    return {b"made_by": cell.made_by.encode(), b"run_id": run_id.encode()}


def _path(results: Path, suite: str, method: str, cell: CellId) -> Path:
    return results / FOLDER / f"suite={suite}" / f"method={method}" / f"{cell.key}.feather"
