"""`csbench show`, `merge`, `verify` and `rescore` for results files; `new-method` and `check` for those who submit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from csbench.cli.common import (
    AsJson,
    Methods,
    Results,
    SuiteName,
    app,
    may_write_into,
    names,
    plain,
    print_table,
    within,
)
from csbench.core.errors import CsbenchError, UsageError
from csbench.core.paths import METHODS


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A results file.", metavar="FILE")],
    as_json: AsJson = False,
) -> None:
    """Show what a results file holds, and where and with what its rows were made.

    Example: csbench show results/suite=mnist-gaussian/method=lasso-dct.parquet
    """
    from csbench.report.contents import contents

    found = contents(file)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name in ("suite", "method", "params", "rows", "statuses"):
        print(f"{name}: {plain(str(found[name]))}")
    print_table(str(file), list(found["cells"][0]), [[str(v) for v in row.values()] for row in found["cells"]])
    for run, facts in found["runs"].items():
        print(f"run {run}")
        for name, value in facts.items():
            print(f"  {plain(name)}: {plain(str(value))}")


@app.command()
def merge(
    first: Annotated[Path, typer.Argument(help="A folder of results.", metavar="A")],
    second: Annotated[Path, typer.Argument(help="Another.", metavar="B")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the union; A itself is allowed.")],
    prefer: Annotated[
        Literal["A", "B"] | None, typer.Option(help="Whose rows to keep where both have a cell and differ.")
    ] = None,
) -> None:
    """Unite two folders of results; every row is kept, and cells that differ are reported.

    Example: csbench merge results ../laptop/results -o results
    """
    from csbench.results.merge import merge_folders

    may_write_into("--output", output)
    outcome = merge_folders(first, second, output, prefer)
    for path, rows in outcome.written.items():
        print(f"wrote {path}: {rows} rows")
    for conflict in outcome.conflicts:
        print(conflict)
    if outcome.conflicts and prefer is None:
        raise CsbenchError(
            f"{len(outcome.conflicts)} cells differ; their files were not written. Choose with --prefer A or --prefer B"
        )


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A results file in its place, suite=NAME/method=NAME.parquet.")],
    sample: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the cells to run again.")] = 0.05,
    seed: Annotated[int | None, typer.Option(help="Of the choice; default: one that nobody can foresee.")] = None,
    budget: Annotated[
        float | None, typer.Option(min=0.0, help="Minutes for it, by the file's own times; one cell always runs.")
    ] = None,
) -> None:
    """Check a submitted results file: form, completeness, every y, plausibility; a random sample is run again, twice.

    Example: csbench verify results/suite=mnist-gaussian/method=lasso-dct.parquet --sample 0.1
    """
    from csbench.cli.progress import progress_bar
    from csbench.studies.verify import verify as examine

    within("--sample", sample, 0, 1)
    faults = 0
    with progress_bar("{task.fields[note]}") as progress:
        task = progress.add_task("verifying", total=None, note="")
        for one in examine(file, sample, seed, budget, report=lambda what: progress.update(task, note=what)):
            print(f"{'FAILED' if one.fault else 'ok':8}{one.what}" + (f"\n        {one.fault}" if one.fault else ""))
            progress.update(task, advance=1)
            faults += one.fault is not None
    if faults:
        raise CsbenchError(f"{file}: {faults} checks failed")


@app.command()
def rescore(
    suite: SuiteName,
    methods: Methods = None,
    results: Results = Path("results"),
) -> None:
    """Compute the metrics again from the reconstructions that runs on this machine kept; nothing is solved.

    Example: csbench rescore mnist-gaussian
    """
    import torch

    from csbench.catalogue.suites import load_suite
    from csbench.cli.progress import progress_bar
    from csbench.studies.rescore import rescore as compute

    torch.set_num_threads(1)
    definition = load_suite(suite).narrowed(methods=names(methods))
    with progress_bar() as progress:
        task = progress.add_task(f"scoring {suite}", total=None)
        outcomes = compute(definition, results, lambda: progress.update(task, advance=1))
    if not outcomes:
        raise UsageError(f"no results of {definition.name} in {results}/; run `csbench run {suite}`")
    for outcome in outcomes:
        print(f"{outcome.path}: {outcome.cells} cells")
    if lost := [outcome for outcome in outcomes if outcome.lost]:
        which = ",".join(outcome.path.stem.removeprefix("method=") for outcome in lost)
        raise CsbenchError(
            f"{sum(outcome.lost for outcome in lost)} cells have no reconstruction on this machine; "
            f"`csbench run {suite} --fresh --methods {which}` makes them"
        )


@app.command("new-method")
def new_method(
    name: Annotated[str, typer.Argument(help="In kebab case, such as basis-pursuit.", metavar="NAME")],
) -> None:
    """Write a working method to start from, methods/NAME.py, and its test; in a checkout.

    Example: csbench new-method basis-pursuit
    """
    from csbench.catalogue.scaffold import new_method as scaffold

    method, test = scaffold(name)
    print(f"wrote {method}, ridge regression to be changed into your method, and {test}. Next:")
    print(f"  csbench check {method}")
    print(f"  csbench run quick --methods {name},lasso-dct,csgm-vae")


@app.command()
def check(
    target: Annotated[str, typer.Argument(help="A plug-in's file, or a method's name.", metavar="FILE|NAME")],
    dataset: Annotated[str, typer.Option(help="Whose priors and penalties to take.")] = "mnist",
) -> None:
    """Check that a method keeps the rules, and say what to fix.

    Example: csbench check methods/lasso.py
    """
    import torch

    from csbench.studies.conformance import conform

    torch.set_num_threads(1)
    faults = 0
    for name in _registered(target):
        print(name)
        for verdict in conform(name, dataset):
            print(f"  {verdict.outcome:8}{verdict.check}" + (f"\n          {verdict.reason}" if verdict.reason else ""))
            faults += verdict.outcome == "failed"
    if faults:
        raise CsbenchError(f"{faults} checks failed")


def _registered(target: str) -> list[str]:
    """The methods that a file defines, or the one of this name; says which of the file's classes are none."""
    from csbench.catalogue.registry import entries, get_method, untaken

    known = entries("methods")
    path = Path(target)
    if not target.endswith(".py"):
        get_method(target)
        return [target]
    found = [name for name, entry in known.items() if entry.path.resolve() == path.resolve()]
    overlooked = [one for one in untaken("methods") if one.path.resolve() == path.resolve()]
    if found:
        for one in overlooked:
            print(f"csbench: {one}", file=sys.stderr)
        return found
    if overlooked:
        raise UsageError("\n".join(map(str, overlooked)))
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    home = METHODS.resolve()
    if path.resolve().parent == home:
        raise UsageError(f"{path} defines no method: a public class derived from csbench.Method")
    raise UsageError(
        f"{path} is not registered. Move it to {home}/, or declare its module in the entry-point group "
        "csbench.methods of your package and install that (CONTRIBUTING.md shows how)"
    )
