"""What `csbench run` and `csbench status` do where methods have to be loaded."""

from __future__ import annotations

import contextlib
import sys
import time
import uuid
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from csbench.catalogue.suites import Suite
from csbench.cli.progress import progress_bar
from csbench.cli.summary import Done, Ran, report
from csbench.core.errors import MissingWeights
from csbench.core.method import unmet_requirements
from csbench.freshness.lineage import Lineage
from csbench.freshness.made_by import MadeOf
from csbench.freshness.states import ACCEPTED, STATES, Stored, Verdict
from csbench.results.journal import Journal
from csbench.results.reconstructions import keep
from csbench.results.store import published_cells
from csbench.runner import provenance
from csbench.runner.local import Limits
from csbench.runner.plan import Cell, make_cells, verdicts
from csbench.runner.remembered import code_stamp, remember, stamp
from csbench.runner.score import Finished

INTERRUPTED = 130


class Place(Protocol):
    """Where cells run: `local.ThisMachine` or `cluster.Cluster`; str() says it in a sentence about a run."""

    def facts(self) -> dict[str, Any]:
        """For the provenance of a run."""
        ...

    def run(self, cells: Iterable[Cell], limits: Limits, run_id: str) -> Generator[Finished, None, None]:
        """Run and score cells, each as it ends; closing the generator stops what runs."""
        ...


@dataclass(frozen=True)
class States:
    """The cells of a suite, each with its state."""

    suite: Suite
    cells: list[tuple[Cell, Verdict]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Method to the number of its cells in each state."""
        table: dict[str, Counter] = {name: Counter() for name in self.suite.methods}
        for cell, verdict in self.cells:
            table[cell.method_name][verdict.state] += 1
        return {name: {state: count[state] for state in STATES} for name, count in table.items()}

    def reasons(self) -> dict[str, dict[str, int]]:
        """Method to why its cells are not fresh, with the number of cells that each reason holds for."""
        table: dict[str, Counter] = {}
        for cell, verdict in self.cells:
            if verdict.state not in ACCEPTED and verdict.reason:
                table.setdefault(cell.method_name, Counter())[f"{verdict.state}: {verdict.reason}"] += 1
        return {name: dict(count) for name, count in table.items()}

    def unmet_requirements(self) -> list[str]:
        """What is to be said of each method that has cells to run and whose packages are not installed."""
        done = ("fresh", "proved")
        methods = {cell.method_name: cell.method for cell, verdict in self.cells if verdict.state not in done}
        return [unmet for method in methods.values() if (unmet := unmet_requirements(method))]

    def data_files(self) -> set[Path]:
        """The data files of all methods."""
        files: set[Path] = set()
        for method in {cell.method_name: cell.method for cell, _ in self.cells}.values():
            with contextlib.suppress(MissingWeights):
                files |= set(method.data_files())
        return files


def suite_states(suite: Suite, results: Path) -> States:
    """The state of each cell, as it is in Parquet and in the journal."""
    published = {
        place: Stored(cell.key, cell.made_by, status, MadeOf(**made_of) if made_of else None)
        for place, (cell, status, made_of) in published_cells(results, suite).items()
    }
    cells = make_cells(suite)
    finished: dict[str, Stored] = {}
    if (results / ".journal.sqlite").exists():
        known = {cell.id: cell.made_of for cell in cells}
        with Journal(results) as journal:
            for cell, status in journal.finished():
                finished[cell.key] = Stored(cell.key, cell.made_by, status, known.get(cell))
    return States(suite, list(verdicts(cells, published, finished, Lineage.read(results, suite.name))))


def run_suite(
    whole: Suite,
    part: Suite,
    results: Path,
    place: Place,
    limits: Limits,
    fresh: bool,
    as_json: bool,
    asked: Suite | None = None,
) -> int:
    """Run what is missing, stale or failed of `part`, store it, and report on it.

    Every finished cell is in the journal before the next is looked at; the Parquet files are written at the end, and
    also when the run is interrupted. Cells that a killed run left in the journal are taken over.

    Args:
        whole: the suite of which `part` is to run; the leaderboard shows it.
        place: this machine or a cluster.
        asked: `part` as `remembered` knows it; None where the outcome is not to be remembered.

    Returns:
        the exit code: 0 where all cells are ok or do not apply, 1 where one is not, 130 where the run was interrupted.
    """
    started = time.monotonic()
    console = Console(stderr=True)
    code = code_stamp()
    with Journal(results) as journal:
        written = journal.compact()
        if journal.damaged:
            console.print(f"{journal.damaged} cells in {journal.path} were damaged and run again")
    before = stamp(asked or part, results)
    found = suite_states(part, results)
    unmet = found.unmet_requirements()
    for one in unmet:
        console.print(f"not applicable: {one}")
    todo = [cell for cell, verdict in found.cells if fresh or verdict.state not in ACCEPTED]
    changed = sum(verdict.state == "changed" for _, verdict in found.cells)
    if changed and not fresh:
        console.print(
            f"{changed} of {len(todo)} cells are run again only because code changed; where it makes the same numbers, "
            f"`csbench prove {whole.name}` shows so in less time"
        )
    done: list[Done] = []
    if todo:
        run_id = uuid.uuid4().hex[:12]
        made_of = {cell.id.made_by: asdict(cell.made_of) for cell in todo if cell.made_of}
        facts = provenance.collect() | place.facts() | {"made_of": made_of}
        with Journal(results) as journal:
            journal.begin_run(run_id, facts)
            try:
                done = _run(todo, journal, results, place, limits, run_id, console)
                interrupted = False
            except KeyboardInterrupt:
                interrupted = True
            finally:
                journal.begin_run(run_id, facts | {"ended": provenance.now()})
                written = list(dict.fromkeys([*written, *journal.compact()]))
                journal.end_run(run_id)
        if interrupted:
            console.print(f"interrupted; what is finished is kept. Go on with: csbench {' '.join(sys.argv[1:])}")
            return INTERRUPTED
        before = stamp(asked or part, results)
        found = suite_states(part, results)
    counts = found.counts()
    if asked and not unmet and code_stamp() == code:  # else the states are those of code that is gone
        remember(asked, results, before, found.data_files(), {"counts": counts, "reasons": found.reasons()})
    seconds = time.monotonic() - started
    return report(whole, part, counts, results, as_json, Ran(done, len(todo), written, seconds, str(place)))


def _run(
    cells: list[Cell], journal: Journal, results: Path, place: Place, limits: Limits, run_id: str, console: Console
) -> list[Done]:
    """Run the cells under progress bars, one line for each that is not ok."""
    done, failed = [], 0
    with progress_bar("{task.fields[note]}") as progress:
        totals = Counter(cell.method_name for cell in cells)
        of_method = {name: progress.add_task(f"  {name}", total=count, note="") for name, count in totals.items()}
        task = progress.add_task("cells", total=len(cells), note="starting workers")
        with contextlib.closing(place.run(cells, limits, run_id)) as stream:
            for one in stream:
                journal.commit(one.rows)
                cell = one.cell
                if one.x_hat is not None:
                    with contextlib.suppress(OSError):  # rescoring can do without, and a full disk shows in commit
                        keep(results, cell.suite.name, cell.method_name, cell.id, run_id, one.x_hat)
                statuses = set(one.rows["status"].to_pylist())
                ok = not statuses - {"ok", "not_applicable"}
                if not ok:
                    reasons = [text for text in one.rows["reason"].to_pylist() if text]
                    last_line = reasons[0].strip().splitlines()[-1] if reasons else ""
                    said = f"{cell.method_name} {cell.where}: {', '.join(sorted(statuses))}: {last_line}"
                    progress.console.print(said, markup=False)
                done.append(Done(cell.method_name, cell.where, one.seconds, ok))
                failed += not ok
                progress.advance(of_method[cell.method_name])
                progress.update(task, advance=1, note=f"{failed} failed" if failed else "")
    return done
