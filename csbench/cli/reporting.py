"""`csbench leaderboard`, `plot`, `saving`, `compare`, `phase` and `reconstructions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from csbench.cli.common import Methods, Results, SuiteName, app, fail, integers, names
from csbench.errors import CsbenchError, UsageError


@app.command()
def leaderboard(
    suites: Annotated[list[str] | None, typer.Argument(help="Default: every published suite.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 and a diff where the file is stale.")] = False,
    results: Results = Path("results"),
    output: Annotated[Path, typer.Option("-o", "--output", help="The file.")] = Path("leaderboard.md"),
) -> None:
    """Render leaderboard.md from the results.

    Example: csbench leaderboard --check
    """
    import difflib

    from csbench.files import write_atomically
    from csbench.report.leaderboard import published_suites, render

    page = render(results, suites or published_suites())
    if not check:
        write_atomically(output, page.encode())
        print(f"wrote {output}")
        return
    found = output.read_text(encoding="utf-8") if output.is_file() else ""
    if found != page:
        diff = difflib.unified_diff(found.splitlines(), page.splitlines(), str(output), "from the results", lineterm="")
        print("\n".join(diff))
        fail(CsbenchError(f"{output} is not what {results}/ gives; run `csbench leaderboard`"), 1)
    print(f"{output} is up to date")


@app.command()
def plot(
    suite: SuiteName,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .svg, .png or .pdf file.")],
    methods: Methods = None,
    reference: Annotated[Path | None, typer.Option(help="CSV of published curves, with a column m.")] = None,
    columns: Annotated[str | None, typer.Option(help="Columns of the CSV.", metavar="NAME,...")] = None,
    results: Results = Path("results"),
) -> None:
    """Draw error-versus-m curves.

    Example: csbench plot mnist-gaussian --methods lasso-dct,csgm-vae -o curve.svg
    """
    from csbench.report.curves import plot as draw
    from csbench.report.curves import read_reference, representation_floors
    from csbench.report.standings import standings
    from csbench.store import load_results
    from csbench.suites import load_suite

    definition = load_suite(suite)
    references = read_reference(reference, list(names(columns))) if reference else []
    frame = load_results(definition.name, results)
    if not len(frame):
        raise UsageError(f"no results of {definition.name} in {results}/; run `csbench run {suite}`")
    floors = representation_floors(frame, definition, results)
    draw(standings(frame, definition), output, list(names(methods)) or None, references, floors)
    print(f"wrote {output}")


@app.command()
def saving(
    suite: SuiteName,
    method: Annotated[str, typer.Option(help="The method that saves.")] = "csgm-vae",
    against: Annotated[str, typer.Option(help="The method to compare with.")] = "lasso-dct",
    at: Annotated[int, typer.Option(help="The m whose error is matched.")] = 75,
    results: Results = Path("results"),
) -> None:
    """Say how many times fewer measurements a method needs than another, at equal error.

    Example: csbench saving mnist-gaussian --method csgm-vae --against lasso-dct --at 75
    """
    from csbench.report.standings import saving as measure
    from csbench.store import load_results
    from csbench.suites import load_suite

    definition = load_suite(suite)
    if at not in definition.m:
        raise UsageError(f"--at is one of m = {', '.join(map(str, definition.m))}, not {at}")
    frame = load_results(definition.name, results)
    for name in (method, against):
        if not len(frame) or name not in set(frame["method"]):
            raise UsageError(f"no results of {name!r} on {suite} in {results}/; run `csbench run {suite}`")
    error, factor = measure(frame, definition, method, against, at)
    first, last = definition.m[0] / at, definition.m[-1] / at

    def show(times: float) -> str:
        return f"more than {last:.2f}" if times > last else f"at most {first:.2f}" if times <= first else f"{times:.2f}"

    print(
        f"{method} reaches {error:.4g} at m = {at}; {against} needs {show(factor.value)} times as many measurements "
        f"(95% interval {show(factor.low)} to {show(factor.high)})"
    )


@app.command()
def compare(
    suite: SuiteName,
    against: Annotated[str, typer.Option(help="The method to compare with.")] = "lasso-dct",
    methods: Methods = None,
    results: Results = Path("results"),
) -> None:
    """Show errors as multiples of another method's, with 95% intervals over the same images.

    Example: csbench compare ambient-mnist --against csgm-dcgan
    """
    from tabulate import tabulate

    from csbench.report.leaderboard import level_name
    from csbench.report.standings import ratios
    from csbench.store import load_results
    from csbench.suites import load_suite

    definition = load_suite(suite)
    frame = load_results(definition.name, results)
    known = sorted(set(frame["method"])) if len(frame) else []
    for name in (against, *names(methods)):
        if name not in known:
            raise UsageError(f"no results of {name!r} on {suite} in {results}/; run `csbench run {suite}`")
    rows = []
    for name in names(methods) or [name for name in known if name != against]:
        found = ratios(frame, definition, name, against)
        rows.append(
            [name]
            + [
                f"{found[at].value:.2f} [{found[at].low:.2f}, {found[at].high:.2f}]" if at in found else "-"
                for at in definition.levels
            ]
        )
    headers = [f"error over that of {against}", *(level_name(definition, at) for at in definition.levels)]
    print(tabulate(rows, headers, tablefmt="github", disable_numparse=True))


@app.command()
def phase(
    suite: SuiteName = "sparse-phase",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A .svg, .png or .pdf file.")] = None,
    results: Results = Path("results"),
) -> None:
    """Show up to which sparsity methods recover signals exactly, beside the theory of l1.

    Example: csbench phase sparse-phase -o phase.png
    """
    from tabulate import tabulate

    from csbench.report.phase import contours, table
    from csbench.report.phase import plot as draw
    from csbench.store import load_results
    from csbench.suites import load_suite

    definition = load_suite(suite)
    frame = load_results(definition.name, results)
    if not len(frame):
        raise UsageError(f"no results of {definition.name} in {results}/; run `csbench run {suite}`")
    found = contours(frame, definition)
    headers, rows = table(found, definition)
    print("k / m at which half of the signals are recovered, with 95% intervals")
    print(tabulate(rows, headers, tablefmt="github", disable_numparse=True))
    if output:
        draw(found, output)
        print(f"wrote {output}")


@app.command()
def reconstructions(
    suite: SuiteName,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .png, .svg or .pdf file.")],
    methods: Annotated[str, typer.Option("--methods", help="In this order.", metavar="NAME,...")] = (
        "lasso-dct,lasso-wavelet,csgm-vae"
    ),
    m: Annotated[str | None, typer.Option("--m", help="Only these, of the suite's.", metavar="M,...")] = None,
    images: Annotated[int, typer.Option(min=1, max=32, help="From the start of the test split.")] = 8,
) -> None:
    """Draw test images beside what methods make of their measurements, the same y as in the suite's first draw.

    Example: csbench reconstructions mnist-gaussian --m 25,100,400 -o rows.png
    """
    import torch

    from csbench.progress import progress_bar
    from csbench.report.reconstructions import check_format, draw
    from csbench.runner.pictures import reconstruct
    from csbench.suites import load_suite

    check_format(output)
    torch.set_num_threads(1)
    definition = load_suite(suite).narrowed(m=integers("--m", m), methods=names(methods), draws=1)
    with progress_bar() as progress:
        task = progress.add_task("recovering", total=len(definition.m) * len(definition.methods))
        truth, recovered, errors = reconstruct(definition, images, lambda: progress.update(task, advance=1))
    draw(output, truth, recovered, errors)
    print(f"wrote {output}")
