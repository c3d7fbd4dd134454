"""Which cell an idle worker takes next.

Cells come problem by problem, so that each problem is simulated once; but a worker that goes on with the method that it
has just run needs no new process. So of the problems that are at hand a worker takes all of one method's, as far as
there is room to keep the problems.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from csbench.runner.plan import Cell
from csbench.runner.problem import Problem

PROBLEMS = 32  # at hand at a time


class Waiting:
    """Cells that no worker has taken yet, of the problems that are at hand."""

    def __init__(self, cells: Iterable[Cell]):
        self._coming: Iterator[Cell] = iter(cells)
        self._next: Cell | None = next(self._coming, None)
        self._cells: dict[str, list[Cell]] = {}
        self._problems: Counter[Problem] = Counter()

    def take(self, own: str | None, others: Collection[str], held: Collection[Problem], room: bool) -> Cell | None:
        """The next cell for a worker; None where there is none.

        Args:
            own: the method that the worker's process serves.
            others: those that other workers are busy with.
            held: the problems that are kept already.
            room: whether another may be.
        """
        self._fill()
        known = [name for name in self._cells if room or self._first(name, held) is not None]
        known = known or list(self._cells)  # nobody waits for room that nobody makes
        if not known:
            return None
        name = own if own in known else max(known, key=lambda one: (one not in others, len(self._cells[one])))
        at = 0 if room else self._first(name, held) or 0
        return self._remove(name, at)

    def give_back(self, cell: Cell) -> None:
        """A cell that no worker has begun comes first."""
        self._cells.setdefault(cell.method_name, []).insert(0, cell)
        self._problems[cell.problem] += 1

    def wanted(self, problem: Problem) -> bool:
        """Whether a cell of this problem waits, or may yet come."""
        return self._problems[problem] > 0 or (self._next is not None and self._next.problem == problem)

    def more_of(self, method: str) -> bool:
        """Whether a cell of this method waits."""
        return method in self._cells

    def next_new(self, held: Collection[Problem]) -> Problem | None:
        """A problem that is not kept yet, and will be wanted first."""
        self._fill()
        return next((problem for problem in self._problems if problem not in held), None)

    def _fill(self) -> None:
        while self._next is not None and (
            self._next.problem in self._problems or len(self._problems) < PROBLEMS or not self._cells
        ):
            self._cells.setdefault(self._next.method_name, []).append(self._next)
            self._problems[self._next.problem] += 1
            self._next = next(self._coming, None)

    def _first(self, name: str, held: Collection[Problem]) -> int | None:
        return next((i for i, cell in enumerate(self._cells[name]) if cell.problem in held), None)

    def _remove(self, name: str, at: int) -> Cell:
        cell = self._cells[name].pop(at)
        if not self._cells[name]:
            del self._cells[name]
        self._problems[cell.problem] -= 1
        if not self._problems[cell.problem]:
            del self._problems[cell.problem]
        return cell
