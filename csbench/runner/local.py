"""Cells on this machine, each in a process of its method's own, which nothing of another method's has ever been in."""

from __future__ import annotations

import contextlib
import pickle
import select
import uuid
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from csbench.core.errors import CsbenchError, ResultsError
from csbench.core.measurement import Measurement
from csbench.core.seeding import seed_of
from csbench.runner import answers, interrupts
from csbench.runner.limits import NO_LIMITS, Limits
from csbench.runner.order import Waiting
from csbench.runner.plan import Cell
from csbench.runner.pool import Place, Pool, open_pool
from csbench.runner.problem import Problem, Truth
from csbench.runner.score import Finished, finished
from csbench.runner.solving import Outcome
from csbench.runner.subreaper import in_words
from csbench.runner.worker import Task, share

CHECK_SECONDS = 0.5  # between looks at whether anything has been stopped
ROOM = 2**28  # bytes of measurements that wait for their cells, beyond those that run
Result = tuple[Cell, Outcome, Measurement, Truth]


@dataclass(frozen=True)
class Held:
    """A problem that is at hand.

    Attributes:
        given: for all images.
        usable: for those whose y is finite, as it lies in the file; None where there is none.
        size: bytes of the file.
    """

    given: Measurement
    truth: Truth
    usable: Measurement | None
    path: Path
    size: int

    def remove(self) -> None:
        with contextlib.suppress(OSError):  # with its folder, somebody may have removed it
            self.path.unlink()


def _hold(problem: Problem, folder: Path) -> Held:
    given, truth = problem.simulate()
    path, usable = folder / f"{uuid.uuid4().hex}.pt", answers.usable(given)
    if usable is None:
        return Held(given, truth, None, path, 0)
    whole = usable is given
    usable = _shared(usable, path)
    return Held(usable if whole else given, truth, usable, path, path.stat().st_size)


def _shared(given: Measurement, path: Path) -> Measurement:
    try:
        return share(given, path)
    except (OSError, RuntimeError) as error:  # RuntimeError: torch's, for a write that fails
        if not path.parent.is_dir():
            raise ResultsError(
                f"{path.parent}: somebody has removed this folder of the run's; set TMPDIR to a folder that stays, and "
                "run again. What is finished is kept"
            ) from error
        raise ResultsError(
            f"{path.parent}: cannot store the measurements for the workers: {error}; free some space, or set TMPDIR to "
            "another folder. What is finished is kept"
        ) from error


def run_cells(cells: Iterable[Cell], jobs: int, limits: Limits = NO_LIMITS) -> Generator[Result, None, None]:
    """Run cells in a pool of their own; see `run_in`. Closing the generator, as Ctrl-C does, stops the workers."""
    with open_pool(jobs, limits) as pool:
        yield from run_in(pool, cells, jobs, limits)


def run_in(pool: Pool, cells: Iterable[Cell], jobs: int, limits: Limits) -> Generator[Result, None, None]:
    """Run cells, and yield each as it ends, in the order in which they end.

    A cell whose worker died runs once more when all others have ended, with none beside it: another cell may have
    killed that worker, by taking all the memory for instance.

    Args:
        jobs: places of the pool to use.
        limits: beyond which a cell is stopped.

    Raises:
        ResultsError: the disk for temporary files is full.
        CsbenchError: no process can be started.
    """
    victims: list[Cell] = []
    with pool.places(jobs) as places:
        for cell, outcome, held in Running(pool, places, cells, limits):
            if outcome.status == "died":
                victims.append(cell)
            else:
                yield cell, outcome, held.given, held.truth
        for cell, outcome, held in Running(pool, places[:1], victims, limits):
            final = replace(outcome, status="failed") if outcome.status == "died" else outcome
            yield cell, final, held.given, held.truth


class Running:
    """Cells under way at some places; iterate over it once. A cell whose worker died has the status "died"."""

    def __init__(self, pool: Pool, places: list[Place], cells: Iterable[Cell], limits: Limits):
        self.pool, self.places, self.limits = pool, places, limits
        self.waiting = Waiting(cells)
        self.busy: dict[Place, tuple[Cell, Held]] = {}
        self.held: dict[Problem, Held] = {}

    def __iter__(self) -> Iterator[tuple[Cell, Outcome, Held]]:
        try:
            while True:
                yield from self._hand_out()
                if not self.busy:
                    return
                ended: list[tuple[Cell, Outcome, Held]] = []
                try:
                    ended.extend(self._ended())
                    ended.extend(self._hand_out(self.held))  # before they are scored; what must be simulated can wait
                finally:
                    yield from ended
                self._tidy()
        except CsbenchError:  # nothing more can be handed out; what runs has all that it needs
            while self.busy:
                with contextlib.suppress(CsbenchError):
                    yield from self._ended()
            raise
        finally:
            for place in self.busy:
                place.drop()
            for held in self.held.values():
                held.remove()

    def _hand_out(self, known: Iterable[Problem] | None = None) -> Iterator[tuple[Cell, Outcome, Held]]:
        """Give every idle place a cell; yields those that no method can be given.

        Args:
            known: only cells of these problems; None: any, which may have to be simulated.
        """
        for place in self.places:
            while place not in self.busy:
                others = {cell.method_name for cell, _ in self.busy.values()}
                room = known is None and sum(held.size for held in self.held.values()) < ROOM
                cell = self.waiting.take(place.method, others, self.held.keys(), room)
                if cell is None:
                    break
                if cell.problem not in self.held:
                    if known is not None:
                        self.waiting.give_back(cell)
                        break
                    self.held[cell.problem] = _hold(cell.problem, self.pool.folder)
                held = self.held[cell.problem]
                if held.usable is None:
                    yield cell, Outcome("failed", answers.NOT_FINITE), held
                else:
                    self._give(place, cell, held.usable, held)

    def _give(self, place: Place, cell: Cell, given: Measurement, held: Held) -> None:
        limits = {
            "seconds": self.limits.timeout(cell.method_name),
            "most": answers.most_bytes(given),
            "shared": held.size,
            "last": not self.waiting.more_of(cell.method_name),
        }
        self.busy[place] = cell, held
        place.give(cell.method_name, limits, pickle.dumps(_task(cell, held.path)))

    def _ended(self) -> Iterator[tuple[Cell, Outcome, Held]]:
        """Wait until some cell has ended, or for half a second."""
        interrupts.check()
        poller, places = select.poll(), {place.fileno(): place for place in self.busy}
        for descriptor in places:
            poller.register(descriptor, select.POLLIN)
        ready = poller.poll(1e3 * CHECK_SECONDS)
        if not ready:
            self.pool.look()
        for descriptor, _ in ready:
            place = places[descriptor]
            cell, held = self.busy[place]
            try:
                message = place.receive()
            except EOFError:
                del self.busy[place]
                fate = place.fate()
                place.drop()
                if fate is None:
                    self.waiting.give_back(cell)
                else:
                    yield cell, _died(f"with the one that kept it: {fate}"), held
                continue
            if message is None:
                continue
            del self.busy[place]
            if message[0]["end"] == "lost" and not held.path.exists():
                self._hold_again(cell, held)
            else:
                yield cell, _outcome(held, *message), held

    def _hold_again(self, cell: Cell, held: Held) -> None:
        """Somebody has removed the file of a measurement, such as what tidies TMPDIR: a cell that found none waits."""
        self.waiting.give_back(cell)
        if self.held[cell.problem] is held:  # else another cell has told it already
            self.held[cell.problem] = _hold(cell.problem, self.pool.folder)

    def _tidy(self) -> None:
        """Remove the problems that no cell needs any more."""
        running = {cell.problem for cell, _ in self.busy.values()}
        for problem in [one for one in self.held if one not in running and not self.waiting.wanted(one)]:
            self.held.pop(problem).remove()


def _died(how: str) -> Outcome:
    return Outcome("died", f"the worker process died: {how}")


def _outcome(held: Held, header: dict[str, Any], body: bytes) -> Outcome:
    """What a keeper's message says of a cell."""
    assert held.usable is not None
    said, left, notes = header.get("said", ""), header["left"], []
    if header["end"] == "answer":
        outcome = answers.for_all(answers.decoded(body, held.usable, header["seconds"]), held.given)
        if header["compiled"] and outcome.wall_seconds is not None:
            notes.append(f"its times leave out {header['compiled']:.3g} s in which numba compiled")
    elif header["end"] == "died":
        outcome = _died(said)
    else:
        status = {"timeout": "timeout", "memory": "out_of_memory"}.get(header["end"], "failed")
        outcome = Outcome(status, said)
    if left:
        notes.append(in_words(left))
    return replace(outcome, reason="; ".join(filter(None, [outcome.reason, *notes]))) if notes else outcome


@dataclass(frozen=True)
class ThisMachine:
    """Where cells run, unless a cluster is named.

    Attributes:
        jobs: worker processes.
    """

    jobs: int

    def __str__(self) -> str:
        return f"{self.jobs} workers"

    def facts(self) -> dict[str, Any]:
        """For the provenance of a run."""
        return {"jobs": self.jobs}

    def run(self, cells: Iterable[Cell], limits: Limits, run_id: str) -> Generator[Finished, None, None]:
        """Run and score cells, each as it ends."""
        with contextlib.closing(run_cells(cells, self.jobs, limits)) as outcomes:
            for cell, outcome, given, truth in outcomes:
                yield finished(cell, outcome, given, truth, run_id)


def _task(cell: Cell, given: Path) -> Task:
    modules, weights = (cell.made_of.code, cell.made_of.files) if cell.made_of else ((), ())
    seed = seed_of(*cell.problem.method_seed_names())
    return Task(pickle.dumps(cell.method), given, seed, tuple(modules), frozenset(weights))
