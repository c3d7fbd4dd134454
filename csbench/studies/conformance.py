"""What every method must do: `csbench check` runs this on one plug-in, the tests on all of them.

A check is a function of a method, bound to digits, that raises `Complaint` with what is wrong and what to do. A method
may refuse a problem by `NotApplicable`, and may lack its weights; neither is a fault.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch

from csbench.catalogue.registry import get_method
from csbench.core.errors import CsbenchError, MissingWeights
from csbench.core.measurement import Measurement
from csbench.core.method import Method, NotApplicable, Recovery, check_requirements
from csbench.core.seeding import stream
from csbench.freshness.made_by import code_of
from csbench.operators import from_matrix
from csbench.runner.problem import Problem
from csbench.runner.solving import complaint
from csbench.runner.worker import import_all
from csbench.studies.process_state import REMEDIES, elsewhere, settle, snapshot
from csbench.studies.sight import forbidden

SPLIT = "validation"  # for who writes a method runs these checks again and again


class Complaint(CsbenchError):
    """A method breaks a rule."""


@dataclass(frozen=True)
class Verdict:
    """What came of one check.

    Attributes:
        outcome: "ok", "failed", or "skipped" where the method does not serve the problem.
        reason: why, unless ok.
    """

    check: str
    outcome: str
    reason: str = ""


def conform(name: str, dataset: str = "mnist") -> Iterator[Verdict]:
    """Run every check on the method of this name, as the harness would bind it for a dataset.

    Raises:
        UsageError: no such method, or it cannot be imported.
    """
    make = get_method(name)
    try:
        method = make().bind(dataset, "gaussian", 0.1)
    except TypeError as error:
        advice = "decorate it with @dataclass(frozen=True), give every field a default, and define recover"
        yield Verdict("can be made with default hyper-parameters", "failed", f"{error}; {advice}")
        return
    for check in CHECKS:
        yield examine(check, method)


def examine(check: Callable[[Method], None], method: Method) -> Verdict:
    """One check."""
    title = (check.__doc__ or check.__name__).strip().rstrip(".")
    try:
        check_requirements(method)
        check(method)
    except (NotApplicable, MissingWeights) as refusal:
        return Verdict(title, "skipped", str(refusal))
    except Complaint as fault:
        return Verdict(title, "failed", str(fault))
    except Exception as error:  # whatever a plug-in raises
        return Verdict(title, "failed", f"{type(error).__name__}: {error}")
    return Verdict(title, "ok")


def answers_in_form(method: Method) -> None:
    """x_hat has shape [batch, n], is finite, and lies in [0, 1]; diagnostics have shape [batch]."""
    x_hat = _recover(method, digits()).x_hat
    _require(bool(torch.isfinite(x_hat).all()), "x_hat is not finite")
    _require(bool(x_hat.min() >= 0 and x_hat.max() <= 1), "images are in [0, 1]; clamp x_hat to that range")


def works_in_float64(method: Method) -> None:
    """In float64 where y is float64."""
    _recover(method, digits().to(torch.float64))


def leaves_y_alone(method: Method) -> None:
    """Does not write into y or A."""
    given = digits()
    y, A = given.y.clone(), given.A.matrix().clone()
    _recover(method, given)
    _require(torch.equal(given.y, y), "y was written to; work on given.y.clone()")
    unchanged = torch.equal(given.A.matrix(), A)
    _digits.cache_clear()  # it may share A
    _require(unchanged, "A was written to; work on a copy of given.A.matrix()")


def is_deterministic(method: Method) -> None:
    """The same answer for the same random numbers, whatever the time and the global generators say."""
    a = _recover(method, digits()).x_hat
    with elsewhere(type(method)):
        b = _recover(method, digits()).x_hat
    _require(
        torch.equal(a, b),
        "two calls with equal rng differ; draw all randomness from rng, and take no seed from the time, the process or "
        "the generators of torch, NumPy and random",
    )


def leaves_the_process_alone(method: Method) -> None:
    """Leaves the process as it was: global random numbers, settings, folders, functions of others, threads."""
    code = code_of(((type(method).__module__, (type(method).__qualname__, "recover")),))
    import_all((*code.modules, *sorted(code.packages)))  # as workers do; to import a package changes a process
    settle()
    given = digits()
    before = snapshot()
    _recover(method, given)
    after = snapshot()
    changed = [name for name in before if before[name] != after[name]]
    _require(not changed, "; ".join(f"{name}; {REMEDIES[name]}" for name in changed))


def reads_y_and_A_alone(method: Method) -> None:
    """Its source reads no images but those of the train split, and no file that `data_files` does not name."""
    found = forbidden(method)
    _require(not found, "; ".join(found))


def serves_one_image(method: Method) -> None:
    """A batch of one image."""
    given = digits()
    _recover(method, Measurement(given.A, given.y[:1], given.noise_std, given.image_shape))


def serves_other_operators(method: Method) -> None:
    """Rademacher matrices and random pixels: an answer in form, or NotApplicable."""
    for operator in ("rademacher", "random-pixel-mask"):
        _recover(method, Problem("mnist", operator, 80, 0.1, 0, 2, SPLIT).simulate()[0])


def refuses_other_sizes_politely(method: Method) -> None:
    """Images of 8 x 8 pixels: an answer in form, or NotApplicable with a reason."""
    matrix = torch.randn(5, 64, generator=stream("conformance"))
    given = Measurement(from_matrix(matrix), torch.ones(2, 5), 0.1, (1, 8, 8))
    try:
        _recover(method, given)
    except NotApplicable as refusal:
        _require("64" in str(refusal), f"the reason {str(refusal)!r} does not name the size that was asked for, n = 64")


def beats_nothing(method: Method) -> None:
    """From 200 measurements of digits, its error is not above that of a black image."""
    given, truth = Problem("mnist", "gaussian", 200, 0.1, 0, 5, SPLIT).simulate()
    error = (_recover(method, given).x_hat - truth.x).square().mean().item()
    black = truth.x.square().mean().item()
    _require(error <= black, f"its mean squared error is {error:.3g}, that of a black image {black:.3g}")


def documents_itself(method: Method) -> None:
    """A docstring, and a repr with every hyper-parameter."""
    own = type(method).__doc__ or ""
    _require(bool(own) and not own.startswith(f"{type(method).__name__}("), "write a docstring that names the paper")
    missing = [key for key in method.params() if key not in repr(method)]
    _require(not missing, f"{', '.join(missing)} not in its repr; make it a frozen dataclass")


def can_be_stored_and_sent(method: Method) -> None:
    """Hyper-parameters fit into JSON, and the method survives pickling."""
    try:
        json.dumps(method.params())
    except TypeError as error:
        raise Complaint(f"{error}; fields are numbers, strings, booleans, None, or lists of these") from None
    _require(
        pickle.loads(pickle.dumps(method)) == method, "it does not equal its pickled copy; define it in its module"
    )


CHECKS: tuple[Callable[[Method], None], ...] = (
    documents_itself,
    can_be_stored_and_sent,
    leaves_the_process_alone,  # before other checks, for what is changed once and for all shows once
    answers_in_form,
    works_in_float64,
    leaves_y_alone,
    is_deterministic,
    reads_y_and_A_alone,
    serves_one_image,
    serves_other_operators,
    refuses_other_sizes_politely,
    beats_nothing,
)


def digits() -> Measurement:
    """Three digits, 60 Gaussian measurements of each; a copy, lest one check's mischief reach the next."""
    given = _digits()
    return Measurement(given.A, given.y.clone(), given.noise_std, given.image_shape)


@lru_cache
def _digits() -> Measurement:
    return Problem("mnist", "gaussian", 60, 0.1, 0, 3, SPLIT).simulate()[0]


def _recover(method: Method, given: Measurement) -> Recovery:
    answer = method.recover(given, stream("conformance"))
    recovery = answer if isinstance(answer, Recovery) else Recovery(answer)
    if wrong := complaint(recovery, given):
        raise Complaint(wrong)
    return recovery


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Complaint(otherwise)
