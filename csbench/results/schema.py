"""What a results file holds: its columns, their types, and the words that stand in them."""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 2
STATUSES = ("ok", "not_applicable", "skipped", "diverged", "out_of_memory", "timeout", "failed")  # from good to bad
METRICS = ("mse", "relative_l2", "psnr", "ssim", "measurement_error")
DIAGNOSTIC = "diag_"

SCHEMA = pa.schema(
    [
        ("suite", pa.string()),
        ("suite_version", pa.int32()),
        ("dataset", pa.string()),
        ("operator", pa.string()),
        ("m", pa.int32()),
        ("noise_norm", pa.float64()),
        ("draw", pa.int32()),
        ("method", pa.string()),
        ("params", pa.string()),  # JSON
        ("key", pa.string()),
        ("image", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        *((metric, pa.float64()) for metric in METRICS),  # null unless ok
        ("seconds_per_image", pa.float64()),
        ("cell_wall_seconds", pa.float64()),
        ("cell_cpu_seconds", pa.float64()),
        ("peak_memory_mb", pa.float64()),
        ("batch_size", pa.int32()),
        ("threads", pa.int32()),
        ("device", pa.string()),
        ("y_sha256", pa.string()),
        ("made_by", pa.string()),
        ("run_id", pa.string()),
    ]
)
COORDINATES = ("suite", "suite_version", "dataset", "operator", "m", "noise_norm", "draw", "method")
ORDER = [("m", "ascending"), ("noise_norm", "ascending"), ("draw", "ascending"), ("image", "ascending")]
