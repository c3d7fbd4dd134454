"""What methods are spared of a user's measurements: units, gradients, half precision, and images that were lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from csbench.core.measurement import Measurement
from csbench.core.method import Recovery

IN_UNITS_OF_Y = frozenset({"residual", "noise_estimate"})  # diagnostics that are as large as y

Call = Callable[[Any, Measurement, Any], Any]


def prepared(call: Call) -> Call:
    """Decorates `recover`, or `recover_path`, of a method; what it is given then is such that

    - A has gain 1, so that penalties and thresholds mean the same for (s A, s y, s noise_std) as for (A, y, noise_std).
      The operators of csbench have it as they are; a user's matrix is divided by its gain (`LinearOperator.unit`), and
      y and noise_std with it. `alpha` and `objective` among the diagnostics are those of the problem in these units.
    - y is float32 or float64, is finite, and has no gradient. Rows that have a NaN or an infinity are zero, which
      spoils no other image, and their x_hat is NaN; half precision is computed in float32.

    x_hat has the dtype of y again.
    """

    @wraps(call)
    def with_what_is_in_order(method: Any, given: Measurement, other: Any) -> Any:
        usable = given.y.isfinite().all(1)
        A, gain = given.A.to(torch.promote_types(given.y.dtype, torch.float32)).unit()
        y = torch.where(usable[:, None], given.y.detach(), 0).to(A.dtype) / gain
        answer = call(method, replace(given, A=A, y=y, noise_std=given.noise_std / gain), other)
        several = answer if isinstance(answer, list) else [answer]
        told = [_as_given(one, given.y, usable, gain) for one in several]
        return told if isinstance(answer, list) else told[0]

    return with_what_is_in_order


def _as_given(answer: Recovery, y: Tensor, usable: Tensor, gain: float) -> Recovery:
    diagnostics = {
        name: _where(usable, value * gain if name in IN_UNITS_OF_Y else value)
        for name, value in answer.diagnostics.items()
    }
    return Recovery(torch.where(usable[:, None], answer.x_hat, math.nan).to(y.dtype), diagnostics)


def _where(usable: Tensor, value: Tensor) -> Tensor:
    """The value of images that are usable; of others NaN, or zero where it is no fraction."""
    missing = math.nan if value.is_floating_point() else 0
    return torch.where(usable.to(value.device), value, torch.full_like(value, missing))
