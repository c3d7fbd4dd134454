"""Which cell an idle worker takes: each once, one method's together, and nothing waits where somebody is idle."""

import itertools
import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as some

from csbench.runner.order import PROBLEMS, Waiting


@dataclass(frozen=True)
class Cell:
    method_name: str
    problem: int


def cells(problems: int, methods: int) -> list[Cell]:
    return [Cell(f"m{method}", problem) for problem in range(problems) for method in range(methods)]


@given(some.integers(0, 2 * PROBLEMS), some.integers(1, 6), some.integers(1, 4), some.booleans(), some.randoms())
@settings(max_examples=150, deadline=None)
def test_every_cell_comes_once(problems, methods, workers, room, chance: random.Random):
    everything = cells(problems, methods)
    waiting, taken, held, serves = Waiting(everything), [], set(), [None] * workers
    while True:
        one = chance.randrange(workers)
        others = {name for i, name in enumerate(serves) if i != one and name}
        cell = waiting.take(serves[one], others, held, room)
        if cell is None:
            break
        if chance.random() < 0.1:
            waiting.give_back(cell)  # its worker has died before it began
            continue
        held.add(cell.problem)
        serves[one] = cell.method_name
        taken.append(cell)
        held = {problem for problem in held if waiting.wanted(problem) or chance.random() < 0.5}
    assert sorted(taken, key=str) == sorted(everything, key=str)


def test_a_worker_stays_with_its_method():
    waiting, held, own, seen = Waiting(cells(5, 3)), set(), None, []
    while cell := waiting.take(own, (), held, True):
        own = cell.method_name
        held.add(cell.problem)
        seen.append(own)
    assert sum(a != b for a, b in itertools.pairwise(seen)) == 2


def test_an_endless_cell_holds_up_nobody():
    waiting = Waiting(cells(3, 2))
    endless = waiting.take(None, (), set(), True)
    assert endless is not None
    rest, own = [], None
    while cell := waiting.take(own, {endless.method_name}, {0, 1, 2}, True):
        own = cell.method_name
        rest.append(cell)
    assert len(rest) == 5


def test_without_room_what_is_at_hand_comes_first():
    waiting = Waiting(cells(3, 2))
    first = [waiting.take("m0", (), {0}, False) for _ in range(2)]
    assert {cell.problem for cell in first if cell} == {0}
    assert waiting.take("m0", (), {0}, False) is not None, "and when nothing is, the next problem"
