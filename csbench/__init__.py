"""csbench: how well does a recovery method get x back from y = A x + noise, when m << n?

The public names below are imported when they are first used, so that `import csbench` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

HOME = {
    "CsbenchError": "csbench.core.errors",
    "NotApplicable": "csbench.core.method",
    "Dataset": "csbench.core.dataset",
    "Images": "csbench.core.dataset",
    "LinearOperator": "csbench.operators",
    "Measurement": "csbench.core.measurement",
    "Method": "csbench.core.method",
    "Prior": "csbench.priors.generator",
    "Problem": "csbench.runner.problem",
    "Recovery": "csbench.core.method",
    "get_dataset": "csbench.catalogue.registry",
    "get_method": "csbench.catalogue.registry",
    "get_operator": "csbench.catalogue.registry",
    "load_prior": "csbench.priors.generator",
    "load_results": "csbench.results.store",
    "load_suite": "csbench.catalogue.suites",
    "stream": "csbench.core.seeding",
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
    from csbench.catalogue.registry import get_dataset, get_method, get_operator
    from csbench.catalogue.suites import load_suite
    from csbench.core.dataset import Dataset, Images
    from csbench.core.errors import CsbenchError
    from csbench.core.measurement import Measurement
    from csbench.core.method import Method, NotApplicable, Recovery
    from csbench.core.seeding import stream
    from csbench.operators import LinearOperator
    from csbench.priors.generator import Prior, load_prior
    from csbench.results.store import load_results
    from csbench.runner.problem import Problem


def __getattr__(name: str) -> Any:
    import importlib

    if name in MODULES:
        return importlib.import_module(f"csbench.{name}")
    if name in HOME:
        return getattr(importlib.import_module(HOME[name]), name)
    raise AttributeError(f"module 'csbench' has no attribute {name!r}")
