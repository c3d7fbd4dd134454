"""What plug-ins derive methods from, under the name that they know."""

from csbench.core.method import Method, NotApplicable, PathMethod, Recovery
from csbench.core.tunable import GridMethod

__all__ = ["GridMethod", "Method", "NotApplicable", "PathMethod", "Recovery"]
