"""What one results file holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from csbench.core.errors import UsageError
from csbench.results.store import read_file, read_provenance


def contents(path: Path) -> dict[str, Any]:
    """Suite, method, parameters, counts, one entry per m, and the provenance of each run.

    Raises:
        UsageError: no such file.
        ResultsError: it cannot be trusted.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; results are in results/suite=NAME/method=NAME.parquet")
    frame = read_file(path).to_pandas()
    runs = read_provenance(path)
    cells = []
    for m, rows in frame.groupby("m"):
        ok = rows[rows["status"] == "ok"]
        cells.append(
            {
                "m": int(m),  # type: ignore[arg-type]
                "draws": rows["draw"].nunique(),
                "images": rows["image"].nunique(),
                "ok": len(ok),
                "mse": float(f"{ok['mse'].mean():.4g}") if len(ok) else None,
                "CPU s / image": float(f"{_cpu_seconds(ok):.3g}") if len(ok) else None,
                "runs": ", ".join(sorted(set(rows["run_id"]))),
            }
        )
    return {
        "suite": f"{frame['suite'].iloc[0]}, version {frame['suite_version'].iloc[0]}",
        "method": frame["method"].iloc[0],
        "params": "; ".join(sorted(set(frame["params"]))),
        "rows": len(frame),
        "statuses": ", ".join(f"{count} {status}" for status, count in sorted(Counter(frame["status"]).items())),
        "cells": cells,
        "runs": runs,
    }


def _cpu_seconds(rows: Any) -> float:
    return (rows["cell_cpu_seconds"] / rows["batch_size"]).mean()
