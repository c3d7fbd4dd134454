"""What methods are given, under the name that plug-ins know."""

from csbench.core.measurement import Measurement

__all__ = ["Measurement"]
