"""The cells of a suite, and which of them still have to run."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace

from csbench.catalogue.registry import get_dataset, get_method
from csbench.catalogue.suites import Suite
from csbench.core.errors import CsbenchError, DataError, MissingWeights, ShapeError, UsageError
from csbench.core.method import Method
from csbench.core.sound import sound_images
from csbench.freshness.lineage import Lineage
from csbench.freshness.made_by import NO_WEIGHTS, MadeOf, made_of
from csbench.freshness.states import Stored, Verdict, judge
from csbench.priors import checkpoint
from csbench.priors.generator import ARCHITECTURES
from csbench.results.store import CellId
from csbench.runner.problem import Problem, check_operator


@dataclass(frozen=True)
class Cell:
    """One method on one problem: the unit that runs, fails and is stored as a whole.

    Attributes:
        method_name: as registered; a configuration has another name than its class.
        method: bound to the suite's dataset.
        made_of: what its numbers are made of; None where nobody has trained its prior.
    """

    suite: Suite
    problem: Problem
    method_name: str
    method: Method
    id: CellId
    made_of: MadeOf | None = field(compare=False)  # the hash in `id` says as much

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
        UsageError: the dataset breaks its rules, or has fewer images than the suite asks for; the suite's operator is
            not to be had with its m or its parameters; a method is no dataclass whose
            fields have defaults that JSON can hold.
    """
    dataset = get_dataset(suite.dataset)
    with contextlib.suppress(DataError, MissingWeights):  # what is not on this machine is asked for where it is needed
        sound_images(dataset, "test", suite.images)
    try:
        check_operator(suite.operator, suite.m, dataset.image_shape)
    except (UsageError, ShapeError) as error:
        raise UsageError(f"suite {suite.name}: fields 'operator' and 'm': {error}") from None
    served_as = dataset.relative or suite.dataset
    bound = {
        noise_norm: [(name, _bound(name, served_as, suite.operator, noise_norm)) for name in suite.methods]
        for noise_norm in suite.noise_norms
    }
    parts = {
        (noise_norm, name): ingredients(method, suite)
        for noise_norm, methods in bound.items()
        for name, method in methods
    }
    cells = []
    for draw, m, noise_norm in itertools.product(range(suite.draws), suite.m, suite.noise_norms):
        problem = Problem(suite.dataset, suite.operator, m, noise_norm, draw, suite.images_at(m))
        for name, method in bound[noise_norm]:
            coordinates = [suite.name, suite.version, asdict(problem), name, method.params()]
            key = hashlib.sha256(json.dumps(coordinates, sort_keys=True).encode()).hexdigest()[:16]
            made = parts[noise_norm, name]
            cells.append(Cell(suite, problem, name, method, CellId(key, made.made_by if made else NO_WEIGHTS), made))
    return cells


def ingredients(method: Method, suite: Suite) -> MadeOf | None:
    """What the numbers of a bound method on a suite are made of; None where nobody has trained its prior."""
    try:
        return made_of(method, suite.operator, suite.dataset, suite.images)
    except MissingWeights:
        return None  # such cells are not applicable, until somebody trains the prior


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


def verdicts(
    cells: Iterable[Cell], published: dict[tuple, Stored], finished: dict[str, Stored], lineage: Lineage
) -> Iterator[tuple[Cell, Verdict]]:
    """Each cell with its state.

    Args:
        published: what is in the results, by method, m, noise norm and draw.
        finished: what is in the journal, by key; it is newer.
    """
    for cell in cells:
        problem = cell.problem
        place = (cell.method_name, problem.m, problem.noise_norm, problem.draw)
        yield cell, judge(cell.id.key, cell.made_of, finished.get(cell.id.key) or published.get(place), lineage)


def accepts(cell: Cell, made_by: str, lineage: Lineage) -> bool:
    """Whether what has this hash may stand for what the code here would make for the cell."""
    return lineage.leads(made_by, cell.id.made_by)
