"""The kinds of artefacts that csbench keeps in the results beside the rows of methods."""

from __future__ import annotations

from csbench.results.artefacts import Kind

RECONSTRUCTIONS = Kind(
    "reconstructions",
    ".reconstructions/suite={suite}/method={method}/{key}.feather",
    {"x_hat": "vector", "made_by": "string", "run_id": "string"},
    identity=(),
    command="csbench run",
    shared=("made_by", "run_id"),
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
)
