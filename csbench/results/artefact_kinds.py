"""The kinds of artefacts that csbench keeps in the results beside the rows of methods."""

from __future__ import annotations

import math

from csbench.results.artefacts import Kind, Row

AT_LEAST_0, AT_LEAST_1 = (0, math.inf), (1, math.inf)


def _fault_of_picture(row: Row) -> str | None:
    shape = (row["channels"], row["height"], row["width"])
    found = len(row["pixels"])
    return None if found == math.prod(shape) else f"{found} pixels are none of shape {shape}"


RECONSTRUCTIONS = Kind(
    "reconstructions",
    ".reconstructions/suite={suite}/method={method}/{key}.feather",
    {"x_hat": "vector", "sha256": "string", "made_by": "string", "run_id": "string"},
    identity=(),
    command="csbench run",
    shared=("sha256", "made_by", "run_id"),
    may_lack=("sha256",),
    published=False,
)

STATES = Kind(
    "states",
    ".status.json",
    {"suite": "string", "made_by": "string", "files": "list", "answer": "object"},
    identity=("suite",),
    command="csbench status",
    published=False,
)

FLOORS = Kind(
    "representation errors",
    "representation/prior={prior}/dataset={dataset}.parquet",
    {
        "prior": "string", "dataset": "string", "split": "string", "image": "int64", "mse": "float",
        "restarts": "int64", "steps": "int64", "sha256": "string",
    },
    identity=(),
    command="csbench project",
    made_of=("sha256", "restarts", "steps"),
    ranges={"image": AT_LEAST_0, "mse": AT_LEAST_0, "restarts": AT_LEAST_0, "steps": AT_LEAST_0},
)  # fmt: skip

EVALUATIONS = Kind(
    "counts",
    "evaluations/{suite}.csv",
    {
        "method": "string", "m": "int64", "noise_norm": "double", "images": "int64", "takes_matrix": "bool",
        "once": "double", "per_image": "double", "made_by": "string",
    },
    identity=("method", "m", "noise_norm"),
    command="csbench count",
    ranges={
        "m": AT_LEAST_1, "noise_norm": AT_LEAST_0, "images": AT_LEAST_1, "once": AT_LEAST_0, "per_image": AT_LEAST_0,
    },
)  # fmt: skip

DECOMPOSITIONS = Kind(
    "parts of errors",
    "decomposition/suite={suite}/method={method}.parquet",
    {
        "suite": "string", "suite_version": "int64", "method": "string", "params": "string", "m": "int64",
        "noise_norm": "double", "image": "int64", "total": "double", "representation": "double",
        "measurement": "double", "optimisation": "double", "objective_gap": "double", "restarts": "int64",
        "made_by": "string",
    },
    identity=("m", "noise_norm"),
    command="csbench decompose",
    ranges={
        "suite_version": AT_LEAST_1, "m": AT_LEAST_1, "noise_norm": AT_LEAST_0, "image": AT_LEAST_0,
        "total": AT_LEAST_0, "restarts": AT_LEAST_0,
    },
)  # fmt: skip

PICTURES = Kind(
    "pictures",
    "gallery/suite={suite}/{name}.parquet",
    {
        "level": "double",  # of m or of the noise norm; the truth is there once, at level 0
        "image": "int64",
        "mse": "double",  # null for truth and measurements
        "channels": "int32",
        "height": "int32",
        "width": "int32",
        "pixels": "binary",  # uint8, [c, h, w]
        "made_by": "string",
    },
    identity=("level",),
    command="csbench gallery",
    ranges={
        "level": AT_LEAST_0,
        "image": AT_LEAST_0,
        "mse": AT_LEAST_0,
        "channels": (1, 3),
        "height": AT_LEAST_1,
        "width": AT_LEAST_1,
    },
    check=_fault_of_picture,
)
