"""Runs what of a suite is missing, changed, stale or failed, and stores it. Prints nothing; a `Watch` is told."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Generator, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from csbench.catalogue.suites import Suite
from csbench.freshness.states import ACCEPTED
from csbench.results.journal import Journal
from csbench.results.reconstructions import keep
from csbench.runner import provenance
from csbench.runner.limits import Limits
from csbench.runner.plan import Cell
from csbench.runner.ran import Done, Ran
from csbench.runner.remembered import code_stamp, remember, stamp
from csbench.runner.score import Finished
from csbench.runner.states import States, suite_states


class Place(Protocol):
    """Where cells run: `local.ThisMachine` or `cluster.Cluster`; str() says it in a sentence about a run."""

    def facts(self) -> dict[str, Any]:
        """For the provenance of a run."""
        ...

    def run(self, cells: Iterable[Cell], limits: Limits, run_id: str) -> Generator[Finished, None, None]:
        """Run and score cells, each as it ends; closing the generator stops what runs."""
        ...


class Watch(Protocol):
    """Who is told how a run goes on."""

    def planned(self, found: States, todo: list[Cell], damaged: int) -> None:
        """What is to run; `damaged` cells of the journal are among it."""
        ...

    def watching(self, todo: list[Cell]) -> contextlib.AbstractContextManager[Any]:
        """Around the run of these cells."""
        ...

    def finished(self, one: Finished) -> None:
        """A cell has ended and is in the journal."""
        ...


def run_suite(
    suite: Suite,
    results: Path,
    place: Place,
    limits: Limits,
    fresh: bool,
    watch: Watch,
    asked: Suite | None = None,
    others: frozenset[str] = frozenset(),
) -> Ran:
    """Run what is to run of a suite, and store it.

    Every finished cell is in the journal before the next is looked at; the Parquet files are written at the end, and
    also when the run is interrupted, which then goes on to raise KeyboardInterrupt. Cells that a killed run left in the
    journal are taken over.

    Args:
        place: this machine or a cluster.
        fresh: run again what is accepted already.
        asked: the suite as `remembered` knows it; None where the outcome is not to be remembered.
        others: methods of the suite of which no more is to run than has run before.
    """
    started = time.monotonic()
    code = code_stamp()
    with Journal(results) as journal:
        ran = Ran(written=journal.compact(), place=str(place))
        damaged = journal.damaged
    before = stamp(asked or suite, results)
    found = suite_states(suite, results).without_missing(others)
    todo = [cell for cell, verdict in found.cells if fresh or verdict.state not in ACCEPTED]
    ran.cells = len(todo)
    watch.planned(found, todo, damaged)
    if todo:
        _run(todo, results, place, limits, watch, ran)
        before = stamp(asked or suite, results)
        found = suite_states(suite, results).without_missing(others)
    ran.counts = found.counts()
    if asked and not found.unmet_requirements() and code_stamp() == code:  # else the states are of code that is gone
        remember(asked, results, before, found.data_files(), {"counts": ran.counts, "reasons": found.reasons()})
    ran.seconds = time.monotonic() - started
    return ran


def _run(todo: list[Cell], results: Path, place: Place, limits: Limits, watch: Watch, ran: Ran) -> None:
    run_id = uuid.uuid4().hex[:12]
    made_of = {cell.id.made_by: asdict(cell.made_of) for cell in todo if cell.made_of}
    facts = provenance.collect() | place.facts() | {"made_of": made_of}
    with Journal(results) as journal:
        journal.begin_run(run_id, facts)
        try:
            with watch.watching(todo), contextlib.closing(place.run(todo, limits, run_id)) as stream:
                for one in stream:
                    journal.commit(one.rows)
                    _keep(one, results, run_id)
                    statuses = set(one.rows["status"].to_pylist())
                    ok = not statuses - {"ok", "not_applicable"}
                    ran.done.append(Done(one.cell.method_name, one.cell.where, one.seconds, ok))
                    watch.finished(one)
        finally:
            journal.begin_run(run_id, facts | {"ended": provenance.now()})
            ran.written = list(dict.fromkeys([*ran.written, *journal.compact()]))
            journal.end_run(run_id)


def _keep(one: Finished, results: Path, run_id: str) -> None:
    if one.x_hat is not None:
        cell = one.cell
        with contextlib.suppress(OSError):  # rescoring can do without, and a full disk shows in commit
            keep(results, cell.suite.name, cell.method_name, cell.id, run_id, one.x_hat)
