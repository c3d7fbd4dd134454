"""csbench: how well does a recovery method get x back from y = A x + noise, when m << n?

The public names below are imported when they are first used, so that `import csbench` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

HOME = {
    "CsbenchError": "csbench.errors",
    "NotApplicable": "csbench.method",
    "Dataset": "csbench.dataset",
    "Images": "csbench.dataset",
    "LinearOperator": "csbench.operators",
    "Measurement": "csbench.measurement",
    "Method": "csbench.method",
    "Prior": "csbench.priors.generator",
    "Problem": "csbench.problem",
    "Recovery": "csbench.method",
    "get_dataset": "csbench.registry",
    "get_method": "csbench.registry",
    "get_operator": "csbench.registry",
    "load_prior": "csbench.priors.generator",
    "load_results": "csbench.store",
    "load_suite": "csbench.suites",
    "stream": "csbench.seeding",
}
MODULES = ("metrics", "operators")
__all__ = [
    "CsbenchError",
    "Dataset",
    "Images",
    "LinearOperator",
    "Measurement",
    "Method",
    "NotApplicable",
    "Prior",
    "Problem",
    "Recovery",
    "__version__",
    "get_dataset",
    "get_method",
    "get_operator",
    "load_prior",
    "load_results",
    "load_suite",
    "stream",
]

if TYPE_CHECKING:
    from csbench.dataset import Dataset, Images
    from csbench.errors import CsbenchError
    from csbench.measurement import Measurement
    from csbench.method import Method, NotApplicable, Recovery
    from csbench.operators import LinearOperator
    from csbench.priors.generator import Prior, load_prior
    from csbench.problem import Problem
    from csbench.registry import get_dataset, get_method, get_operator
    from csbench.seeding import stream
    from csbench.store import load_results
    from csbench.suites import load_suite


def __getattr__(name: str) -> Any:
    import importlib

    if name in MODULES:
        return importlib.import_module(f"csbench.{name}")
    if name in HOME:
        return getattr(importlib.import_module(HOME[name]), name)
    raise AttributeError(f"module 'csbench' has no attribute {name!r}")
