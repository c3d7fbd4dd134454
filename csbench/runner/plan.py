"""The cells of a suite, and which of them still have to run."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

from csbench.errors import CsbenchError, MissingWeights, UsageError
from csbench.fingerprint import fingerprint
from csbench.method import Method, unmet_requirements
from csbench.priors import checkpoint
from csbench.priors.generator import ARCHITECTURES
from csbench.problem import Problem, check_operator
from csbench.registry import get_dataset, get_method
from csbench.store import CellId
from csbench.suites import Suite

NO_PACKAGES = "no-packages"  # in place of a fingerprint, where a method did not run for want of packages
State = Literal["fresh", "stale", "missing", "failed", "not_applicable"]


@dataclass(frozen=True)
class Cell:
    """One method on one problem: the unit that runs, fails and is stored as a whole.

    Attributes:
        method_name: as registered; a configuration has another name than its class.
        method: bound to the suite's dataset.
    """

    suite: Suite
    problem: Problem
    method_name: str
    method: Method
    id: CellId

    @property
    def where(self) -> str:
        """Its place in the suite, for people."""
        axis = self.suite.axis
        return f"{axis} = {getattr(self.problem, axis):g} draw {self.problem.draw}"


def without_broken(suite: Suite) -> tuple[Suite, list[str]]:
    """The suite without the methods that cannot be loaded, and what is wrong with each of these."""
    broken = {}
    for name in suite.methods:
        try:
            _bound(name, "mnist", "gaussian", 0.0)
        except CsbenchError as error:
            broken[name] = f"{name} is left out: {error}"
    return replace(suite, methods=tuple(name for name in suite.methods if name not in broken)), list(broken.values())


def make_cells(suite: Suite) -> list[Cell]:
    """All cells, problem by problem, so that a problem is simulated once for all methods.

    Raises:
        UsageError: the suite's operator is not to be had with its m or its parameters; a method is no dataclass whose
            fields have defaults that JSON can hold.
    """
    dataset = get_dataset(suite.dataset)
    try:
        check_operator(suite.operator, suite.m, dataset.image_shape)
    except UsageError as error:
        raise UsageError(f"suite {suite.name}: fields 'operator' and 'm': {error}") from None
    served_as = dataset.relative or suite.dataset
    bound = {
        noise_norm: [(name, _bound(name, served_as, suite.operator, noise_norm)) for name in suite.methods]
        for noise_norm in suite.noise_norms
    }
    prints = {(noise, name): made_by(one, suite.operator) for noise, all_ in bound.items() for name, one in all_}
    cells = []
    for draw, m, noise_norm in itertools.product(range(suite.draws), suite.m, suite.noise_norms):
        problem = Problem(suite.dataset, suite.operator, m, noise_norm, draw, suite.images_at(m))
        for name, method in bound[noise_norm]:
            coordinates = [suite.name, suite.version, asdict(problem), name, method.params()]
            key = hashlib.sha256(json.dumps(coordinates, sort_keys=True).encode()).hexdigest()[:16]
            cells.append(Cell(suite, problem, name, method, CellId(key, prints[noise_norm, name])))
    return cells


def _bound(name: str, dataset: str, operator: str, noise_norm: float) -> Method:
    try:
        method = get_method(name)().bind(dataset, operator, noise_norm)
        json.dumps(method.params())
    except TypeError as error:  # abstract, no dataclass, a field without default or JSON
        raise UsageError(
            f"{name}: {error}; a method is a class under @dataclass(frozen=True) with a method recover, whose fields "
            "have defaults that JSON can hold"
        ) from error
    return method


def generators(suite: Suite) -> list[str]:
    """Names of the trained generators that the suite's methods search, without those that nobody has trained."""
    names = {str(prior) for cell in make_cells(suite) if (prior := cell.method.params().get("prior"))}
    found = []
    for name in sorted(names):
        with contextlib.suppress(MissingWeights):
            if checkpoint.card(name).get("architecture", {}).get("kind") in ARCHITECTURES:
                found.append(name)
    return found


def states(cells: Iterable[Cell], stored: Iterable[tuple[CellId, str]]) -> Iterator[tuple[Cell, State]]:
    """Each cell with its state.

    Args:
        stored: id and status of every cell in the results and in the journal; where two share a key, the later counts.
    """
    known = {cell_id.key: (cell_id.fingerprint, status) for cell_id, status in stored}
    for cell in cells:
        made_by, status = known.get(cell.id.key, (None, None))
        if made_by is None:
            yield cell, "missing"
        elif made_by == NO_PACKAGES and unmet_requirements(cell.method):
            yield cell, "not_applicable"
        elif made_by != cell.id.fingerprint:
            yield cell, "stale"
        elif status == "not_applicable":
            yield cell, "not_applicable"
        else:
            yield cell, "fresh" if status == "ok" else "failed"


def made_by(method: Method, operator: str) -> str:
    """The fingerprint of the method under an operator, or a word that says that nobody has trained its prior."""
    try:
        return fingerprint(method, operator)
    except MissingWeights:
        return "no-weights"  # such cells are not applicable, until somebody trains the prior
