"""`csbench run`, `status`, `prove`, `count` and `tune`."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csbench.cli.common import (
    AsJson,
    Methods,
    Results,
    SuiteName,
    app,
    integers,
    may_write_into,
    names,
    print_table,
    within,
)
from csbench.core.errors import CsbenchError, UsageError
from csbench.core.paths import TUNED

PUBLISHED = ("the suite's, and others that have results",)  # methods, as memory knows them
MOST_SECONDS = 10_000_000  # that a cell may take, as in suites
MOST_JOBS, MOST_MINUTES = 1024, 1e6
LEAST_MEMORY, MOST_MEMORY = 0.1, 1e5  # GB

if TYPE_CHECKING:
    from csbench.catalogue.suites import Suite
    from csbench.runner.run import Place


Jobs = Annotated[int | None, typer.Option(help="Worker processes; default: one per processor that may be used.")]
Timeout = Annotated[
    str | None,
    typer.Option(
        help="Seconds that a cell may take, imports and what numba compiles not counted, and those of single methods.",
        metavar="S,NAME=S,...",
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        help="GB that each worker may allocate, with its children and what they share; "
        "default: its share of the machine's or container's."
    ),
]


@contextlib.contextmanager
def _goes_on() -> Iterator[None]:
    """Says how to go on with a command that something interrupts."""
    try:
        yield
    except KeyboardInterrupt:
        words = " ".join(sys.argv[1:])
        with contextlib.suppress(OSError):  # the terminal may have closed
            print(f"interrupted; what is finished is kept. Go on with: csbench {words}", file=sys.stderr, flush=True)
        raise


@app.command()
@_goes_on()
def run(
    suite: SuiteName,
    methods: Methods = None,
    m: Annotated[str | None, typer.Option(help="Only these m, e.g. 25,50.", metavar="M,...")] = None,
    images: Annotated[int | None, typer.Option(help="Another number of images; never published.")] = None,
    draws: Annotated[int | None, typer.Option(help="Only the first draws of A.")] = None,
    jobs: Jobs = None,
    results: Results = Path("results"),
    timeout: Timeout = None,
    memory: Memory = None,
    dask: Annotated[
        str | None, typer.Option(help="Run on the cluster of this Dask scheduler, e.g. tcp://host:8786.")
    ] = None,
    dask_cluster: Annotated[
        Path | None, typer.Option(help="Start a Dask cluster for this run, as the YAML file says (docs/cluster.md).")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again what is there already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run what is missing, changed, stale or failed of a suite, and show its leaderboard.

    Of methods that the suite does not name, no more than has run there before.

    Example: csbench run mnist-gaussian --methods lasso-dct,csgm-vae --m 25,50 --timeout 300,csgm-vae=900
    """
    from csbench.catalogue.suites import load_suite
    from csbench.core.errors import guess

    _check_means(jobs, dask, dask_cluster, memory)
    seconds, of_method = _timeouts(timeout)
    whole = load_suite(suite)
    part = whole.narrowed(integers("--m", m), images, draws, names(methods))
    may_write_into("--results", results)
    if unknown := of_method.keys() - set(part.methods):
        name = min(unknown)
        raise UsageError(f"--timeout names {name!r}, not among the methods of this run.{guess(name, part.methods)}")
    asked = replace(part, methods=names(methods) or ("the suite's, and what others have run",))
    from csbench.cli.summary import report
    from csbench.runner.ran import Ran

    if not fresh and (counts := _all_done(asked, results)):
        sys.exit(report(whole, part, results, as_json, Ran(counts=counts)))

    from csbench.cli.watching import Bars
    from csbench.runner.limits import Limits
    from csbench.runner.run import run_suite  # imports torch, so only once the call is known to be right
    from csbench.runner.states import with_published

    part, broken = _loadable(part if methods else with_published(part, results), methods)
    others = frozenset() if methods else frozenset(part.methods) - frozenset(whole.narrowed().methods)
    limits = Limits(seconds or part.timeout, of_method, memory)
    with _place(jobs, dask, dask_cluster) as place:
        remembered = None if broken else asked
        ran = run_suite(part, results, place, limits, fresh, Bars(whole.name, fresh), remembered, others)
    sys.exit(report(whole, part, results, as_json, ran) or bool(broken))


@app.command()
def status(
    suite: SuiteName,
    methods: Methods = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 unless all is fresh, proved or not applicable.")
    ] = False,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Show what of a suite is fresh, proved, changed, stale, missing, failed or not applicable, and why.

    proved: the code changed, and `csbench prove` found that it makes the same numbers. changed: it has not looked.
    stale: parameters, weights or images are others, or a proof found other numbers.

    Example: csbench status mnist-gaussian
    """
    from csbench.catalogue.suites import load_suite
    from csbench.runner.remembered import open_cells, recall, remember, stamp

    whole = load_suite(suite, look_up=False)  # what is remembered was looked up
    asked = replace(whole, methods=names(methods) or PUBLISHED)
    answer = recall(asked, results)
    if answer is None:
        from csbench.runner.states import suite_states, with_published  # imports torch

        whole = load_suite(suite)
        before = stamp(asked, results)
        part = whole.narrowed(methods=names(methods))
        usable, broken = _loadable(part if methods else with_published(part, results), methods)
        found = suite_states(usable, results)
        answer = {"counts": found.counts(), "reasons": found.reasons()}
        if not broken and not found.unmet_requirements():
            remember(asked, results, before, found.data_files(), answer)
    table = answer["counts"]
    if as_json:
        print(json.dumps(table, indent=2))
    else:
        columns = list(next(iter(table.values()), {}))
        print_table(
            f"Cells of {suite}", ["method", *columns], [[n, *(str(c[k]) for k in columns)] for n, c in table.items()]
        )
        _explain(suite, answer)
    if check and (count := open_cells(table)):
        raise CsbenchError(f"{count} cells of {suite} are neither fresh nor proved")


@app.command()
def prove(
    suite: Annotated[
        str | None, typer.Argument(help="Name of a suite; default: all published.", metavar="SUITE")
    ] = None,
    methods: Methods = None,
    since: Annotated[
        str | None, typer.Option(help="The commit with the old code; default: as the results tell.", metavar="REV")
    ] = None,
    budget: Annotated[float, typer.Option(min=0.1, help="Minutes of processor time.", metavar="MINUTES")] = 20.0,
    environment: Annotated[
        Path | None,
        typer.Option(help="Virtual environment for the old code; made from its constraints if missing.", metavar="DIR"),
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Show that changed code makes the same numbers: run old and new on the same few cells, and compare to the bit.

    What is equal becomes proved, and nothing of it has to be run again; results/lineage/ keeps the proofs.

    Example: csbench prove mnist-gaussian --methods lasso-dct,lasso-wavelet
    """
    from csbench.catalogue.suites import load_suite, suite_names
    from csbench.cli.progress import progress_bar
    from csbench.freshness.lineage import Lineage
    from csbench.runner.states import with_published
    from csbench.studies import prove as proofs
    from csbench.studies.checkouts import open_checkouts, resolved

    within("--budget, in minutes,", budget, 0.1, MOST_MINUTES)
    suites = [load_suite(name) for name in ([suite] if suite else suite_names())]
    suites = [one.narrowed(methods=names(methods)) for one in suites if suite or one.published]
    suites = suites if methods else [with_published(one, results) for one in suites]
    lineages = {one.name: Lineage.read(results, one.name) for one in suites}
    tally: Counter = Counter()
    with open_checkouts() as checkouts, progress_bar("{task.fields[note]}") as progress:
        task = progress.add_task("proving", total=None, note="finding what has changed")
        claims = [claim for one in suites for claim in proofs.claims(one, results)]
        progress.update(task, total=len(claims))
        commit = resolved(since) if since else None
        note = lambda what: progress.update(task, note=what)  # noqa: E731
        for found in proofs.prove(claims, lineages, checkouts, commit, budget, environment, report=note):
            tally[found.outcome] += 1
            name = found.claim.suite.name
            if found.proof is not None:
                lineages[name] = lineages[name].with_proofs([found.proof])
                lineages[name].write(results, name)
            if found.why:
                said = f"{name} {found.claim.method}: {found.outcome}: {found.why}"
                progress.console.print(said, markup=False, soft_wrap=True)
            progress.advance(task)
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.items()))
    print(said or "nothing has changed")
    sys.exit(bool(tally["changed"] + tally["stale"]))


@app.command()
def count(
    suite: SuiteName,
    methods: Methods = None,
    m: Annotated[str | None, typer.Option("--m", help="Only these, of the suite's.", metavar="M,...")] = None,
    images: Annotated[int, typer.Option(min=1, help="From the start of the test split.")] = 5,
    results: Results = Path("results"),
) -> None:
    """Count how often methods apply A or A^T: once for the operator, and for each image.

    On the suite's first draw. The leaderboard shows it; what was counted with the same code is not counted again.

    Example: csbench count mnist-gaussian --methods tv,csgm-vae
    """
    import torch

    from csbench.catalogue.suites import load_suite
    from csbench.cli.progress import progress_bar
    from csbench.freshness.lineage import Lineage
    from csbench.results.artefact_kinds import EVALUATIONS
    from csbench.results.artefacts import held
    from csbench.runner.plan import make_cells
    from csbench.studies.count import count_cells, missing

    torch.set_num_threads(1)
    definition, broken = _loadable(
        load_suite(suite).narrowed(m=integers("--m", m), methods=names(methods), draws=1), methods
    )
    cells = make_cells(definition)
    may_write_into("--results", results)
    lineage = Lineage.read(results, definition.name)
    todo = missing(cells, images, EVALUATIONS.read(results, suite=definition.name), lineage)
    counted = 0
    with progress_bar("{task.fields[note]}") as progress:
        task = progress.add_task("counting", total=len(todo), note="")
        for cell, found in zip(todo, count_cells(todo, images), strict=True):
            progress.update(task, advance=1, note=f"{cell.method_name} {cell.where}")
            if found is not None:
                EVALUATIONS.put(results, [found], suite=definition.name)
                counted += 1
    known = EVALUATIONS.read(results, suite=definition.name)
    rows = []
    for cell in sorted(cells, key=lambda cell: cell.method_name):
        problem = cell.problem
        place = {"method": cell.method_name, "m": problem.m, "noise_norm": problem.noise_norm}
        for one in held(known, place, partial(lineage.connects, cell.id.made_by)):
            shown = ["takes the matrix", ""] if one["takes_matrix"] else [f"{one['once']:g}", f"{one['per_image']:g}"]
            rows.append([cell.method_name, f"{getattr(problem, definition.axis):g}", *shown])
    print_table(f"{definition.name}: A and A^T", ["method", definition.axis, "once", "per image"], rows)
    print(f"{counted} of {len(cells)} levels counted, {len(cells) - len(todo)} were known, the rest does not apply")
    sys.exit(bool(broken))


@app.command()
def tune(
    suite: SuiteName,
    methods: Annotated[str, typer.Option(help="Methods with a value to tune.", metavar="NAME,...")] = (
        "lasso-pixel,lasso-dct,lasso-wavelet"
    ),
    images: Annotated[int, typer.Option(min=1, max=500, help="Validation images.")] = 50,
    m: Annotated[str | None, typer.Option("--m", help="Only these, of the suite's.", metavar="M,...")] = None,
) -> None:
    """Choose penalties and the like on validation images, and store them in methods/tuned.json.

    Example: csbench tune mnist-gaussian --methods lasso-dct
    """
    from csbench.catalogue.registry import get_method
    from csbench.catalogue.suites import load_suite
    from csbench.cli.progress import progress_bar
    from csbench.core import tuned
    from csbench.core.files import write_atomically
    from csbench.studies.tune import IMAGES
    from csbench.studies.tune import tune as tune_method

    definition = load_suite(suite).narrowed(m=integers("--m", m))
    options = (f" --m {m}" if m else "") + (f" --images {images}" if images != IMAGES else "")
    chosen = definition.narrowed(methods=names(methods)).methods
    wanted = list(itertools.product(chosen, definition.noise_norms))
    for name, noise in wanted:  # a value is of one suite, though others with the same problems use it too
        entry = tuned.key(name, definition.dataset, definition.operator, noise)
        command = tuned.table().get(entry, {}).get("command", "")
        if command and suite not in command.split():
            raise UsageError(f"{entry} was tuned by `{command}`, and {suite} uses that value")
    with progress_bar() as progress:
        for name, noise in wanted:
            task = progress.add_task(f"{name} on {suite}, noise {noise:g}", total=len(definition.m))
            one = definition.at_noise(noise)
            outcome = tune_method(name, one, images, lambda m: progress.update(task, advance=1))  # noqa: B023
            entry = tuned.key(name, definition.dataset, definition.operator, noise)
            table = tuned.table()  # read anew, for another process may have written to it
            table[entry] = outcome.entry() | {"command": f"csbench tune {suite} --methods {name}{options}"}
            write_atomically(TUNED, (json.dumps(dict(sorted(table.items())), indent=2) + "\n").encode())
            print(f"{entry}: {outcome.field} = {outcome.best:g}")
            bound = get_method(name)().bind(definition.dataset, definition.operator, noise)
            if bound.params().get(outcome.field) != outcome.best:
                print(
                    f"note: {name} does not use it; its `bind` must look it up (see CONTRIBUTING.md)", file=sys.stderr
                )
    print(f"wrote {TUNED.name}")


def _explain(suite: str, answer: dict[str, Any]) -> None:
    """In one line for each method why it is not fresh, and what to type."""
    for name, reasons in answer["reasons"].items():
        for reason, count in reasons.items():
            print(f"{name}: {count} cells {reason}")
    states = {state for counts in answer["counts"].values() for state, count in counts.items() if count}
    if "changed" in states:
        print(f"to see whether changed code makes the same numbers: csbench prove {suite}")
    if states & {"changed", "stale", "missing", "failed"}:
        print(f"to run what is changed, stale, missing or failed: csbench run {suite}")


def _loadable(suite: Suite, asked_for: str | None) -> tuple[Suite, list[str]]:
    """Leaves out methods that cannot be loaded, and says so; those that were asked for by name stay, and fail."""
    from csbench.runner.plan import without_broken

    if asked_for:
        return suite, []
    suite, broken = without_broken(suite)
    for message in broken:
        print(f"csbench: {message}", file=sys.stderr)
    return suite, broken


def _check_means(jobs: int | None, dask: str | None, dask_cluster: Path | None, memory: float | None) -> None:
    """Raises: UsageError, where the options of `run` that say where to run, and with how much, make no sense."""
    within("--jobs", jobs, 1, MOST_JOBS)
    if sum(option is not None for option in (jobs, dask, dask_cluster)) > 1:
        raise UsageError("--jobs, --dask and --dask-cluster say where to run: give one of them")
    within("--memory, in GB,", memory, LEAST_MEMORY, MOST_MEMORY)


def _all_done(asked: Suite, results: Path) -> dict[str, Any] | None:
    """The states of the cells, where they are remembered and all are done and in Parquet."""
    from csbench.results.journal import Journal
    from csbench.runner.remembered import open_cells, recall

    known = recall(asked, results)
    if not known or open_cells(known["counts"]):
        return None
    with Journal(results) as journal:
        return None if journal.finished() else known["counts"]


def _place(jobs: int | None, dask: str | None, dask_cluster: Path | None) -> AbstractContextManager[Place]:
    """Where the cells are to run."""
    if not dask and not dask_cluster:
        from csbench.runner.limits import cores
        from csbench.runner.local import ThisMachine

        return nullcontext(ThisMachine(jobs or cores()))
    try:
        from csbench.runner import cluster
    except ImportError as error:
        raise UsageError(f"{error}; install Dask with `pip install 'csbench[dask]'`") from error
    if dask:
        return cluster.connect(dask, _waiting)
    return cluster.start(dask_cluster or Path(), _waiting)


def _waiting(address: str) -> None:
    print(f"waiting for the first worker of {address}", file=sys.stderr)


def _timeouts(text: str | None) -> tuple[float | None, dict[str, float]]:
    """What `--timeout 300,csgm-vae=900` says: seconds for all, and by method."""
    general, of_method = None, {}
    for word in names(text, "--timeout"):
        name, _, number = word.rpartition("=")
        try:
            seconds = float(number)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= MOST_SECONDS or word.startswith("="):
            wanted = f"a number of seconds above 0, at most {MOST_SECONDS}, alone or as NAME=SECONDS"
            raise UsageError(f"--timeout is {wanted}, not {word!r}")
        if name in of_method or (not name and general is not None):
            raise UsageError(f"--timeout says {name or 'what all may take'} twice: {text!r}")
        if name:
            of_method[name] = seconds
        else:
            general = seconds
    return general, of_method
