"""csbench as its users meet it: their pictures and their matrices, and every method that ships, in a few lines each."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from csbench import Measurement, NotApplicable, Recovery, get_method, stream
from csbench.catalogue.registry import entries
from csbench.core.errors import MissingWeights
from csbench.core.method import check_requirements

# Peers of `lasso-dct` that would take longer than all others together
SHORTER = {"lasso-sklearn": {"max_iter": 200}}
MOST_PIXELS = {"lasso-cvxpy": 144}


def every_method(given: Measurement, *, dataset: str = "mnist", **fields: Any) -> Mapping[str, Tensor]:
    """What every method that ships makes of a measurement, and that each keeps the rule that is the same for all.

    It answers with finite images in [0, 1], shape [batch, n] in the dtype of y and without a gradient, and with finite
    diagnostics of shape [batch]; or it refuses with a reason of one line. Every method is asked, and all that break the
    rule are named together.

    Args:
        dataset: whose priors, penalties and training images methods have.
        fields: hyper-parameters, for the methods that have them.

    Returns:
        x_hat of the methods that answered, by name.
    """
    answers, broken = {}, []
    for name in sorted(entries("methods")):
        if given.n > MOST_PIXELS.get(name, given.n):
            continue
        try:
            answer = _asked(name, given, dataset, SHORTER.get(name, {}) | fields)
        except (NotApplicable, MissingWeights) as refusal:
            wrong = "" if len(str(refusal)) > 20 and "\n" not in str(refusal) else f"refuses with {str(refusal)!r}"
        except Exception as error:
            wrong = f"raises {type(error).__name__}: {error}"
        else:
            answers[name] = answer.x_hat
            wrong = _complaint(answer, given)
        if wrong:
            broken.append(f"{name} {wrong}")
    assert not broken, "\n".join(broken)
    assert "zeros" in answers  # that can always answer
    return answers


def _asked(name: str, given: Measurement, dataset: str, fields: Mapping[str, Any]) -> Recovery:
    method = get_method(name)().bind(dataset, "gaussian", given.noise_norm)
    check_requirements(method)
    known = {field.name for field in dataclasses.fields(method)}
    method = dataclasses.replace(method, **{field: value for field, value in fields.items() if field in known})
    with warnings.catch_warnings():
        if name in SHORTER:
            warnings.simplefilter("ignore")
        answer = method.recover(given, stream("clients"))
    return answer if isinstance(answer, Recovery) else Recovery(answer)


def _complaint(answer: Recovery, given: Measurement) -> str:
    x_hat, expected = answer.x_hat, (given.batch, given.n)
    if x_hat.shape != expected or x_hat.dtype != given.y.dtype or x_hat.requires_grad:
        grown = " with a gradient" if x_hat.requires_grad else ""
        return f"returns {x_hat.dtype} {tuple(x_hat.shape)}{grown}, expected {given.y.dtype} {expected}"
    if not ((x_hat >= 0) & (x_hat <= 1)).all():
        return "returns pixels that are not finite or not in [0, 1]"
    for diagnostic, values in answer.diagnostics.items():
        if values.shape != (given.batch,) or not values.double().isfinite().all():
            return f"says {diagnostic} = {values}"
    return ""


def error(x_hat: Tensor, x: Tensor) -> float:
    """Mean squared error per pixel."""
    return (x_hat - x).square().mean().item()
