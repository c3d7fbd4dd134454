"""`csbench leaderboard`, `site`, `plot`, `saving`, `compare`, `phase` and `gallery`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from csbench.cli.common import (
    FigureStyle,
    Methods,
    Results,
    SuiteName,
    app,
    fail,
    integers,
    may_write,
    may_write_into,
    names,
)
from csbench.core.errors import CsbenchError, UsageError

if TYPE_CHECKING:
    import pandas as pd


@app.command()
def leaderboard(
    suites: Annotated[list[str] | None, typer.Argument(help="Default: every published suite.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 and a diff where the file is stale.")] = False,
    results: Results = Path("results"),
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file; default: leaderboard.md, with --format the screen.")
    ] = None,
    form: Annotated[
        Literal["markdown", "latex", "csv"] | None,
        typer.Option("--format", help="Only the table of all methods: as Markdown, for a paper, or for machines."),
    ] = None,
) -> None:
    """Render leaderboard.md from the results, or the table of a suite for other uses.

    Example: csbench leaderboard --check

    Example: csbench leaderboard mnist-gaussian --format latex -o table.tex
    """
    from csbench.report.leaderboard import published_suites, render, render_as

    may_write("--output", output)
    chosen = suites or published_suites()
    text = render_as(form, results, chosen) if form else render(results, chosen)
    path = output if form else output or Path("leaderboard.md")
    if check:
        _check_current(path, text, results)
    elif path is None:
        print(text, end="")
    else:
        from csbench.core.files import write_atomically

        write_atomically(path, text.encode())
        print(f"wrote {path}")


def _check_current(path: Path | None, text: str, results: Path) -> None:
    """Say whether a file is what the results give."""
    import difflib

    if path is None:
        raise UsageError("--check with --format needs -o, the file to check")
    found = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if found != text:
        diff = difflib.unified_diff(found.splitlines(), text.splitlines(), str(path), "from the results", lineterm="")
        print("\n".join(diff))
        fail(CsbenchError(f"{path} is not what {results}/ gives; run `csbench leaderboard`"), 1)
    print(f"{path} is up to date")


@app.command()
def site(
    suites: Annotated[list[str] | None, typer.Argument(help="Default: every published suite.")] = None,
    results: Results = Path("results"),
    references: Annotated[
        Path, typer.Option(help="Folder of published curves, SUITE_published.csv.", metavar="DIR")
    ] = Path("docs/reference"),
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder, or one with an older site.")] = Path(
        "site"
    ),
) -> None:
    """Build web pages from the results, to be read from the disk or put on any web server.

    Example: csbench site -o site && open site/index.html
    """
    from csbench.report.leaderboard import published_suites
    from csbench.site.pages import build

    may_write_into("--output", output)
    files = build(output, results, suites or published_suites(), references)
    print(f"wrote {len(files)} files; open {output / 'index.html'}")


@app.command()
def plot(
    suite: SuiteName,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .svg, .png or .pdf file.")],
    methods: Methods = None,
    reference: Annotated[Path | None, typer.Option(help="CSV of published curves, with a column m.")] = None,
    columns: Annotated[str | None, typer.Option(help="Columns of the CSV.", metavar="NAME,...")] = None,
    metric: Annotated[
        Literal["mse", "relative_l2", "psnr", "ssim", "measurement_error"], typer.Option(help="What is drawn.")
    ] = "mse",
    style: FigureStyle = "screen",
    results: Results = Path("results"),
) -> None:
    """Draw error-versus-m curves.

    Example: csbench plot mnist-gaussian --methods lasso-dct,csgm-vae -o curve.pdf --style paper
    """
    from csbench.catalogue.suites import load_suite
    from csbench.report.curves import plot as draw
    from csbench.report.curves import read_reference, representation_floors
    from csbench.report.ranking import standings
    from csbench.report.samples import samples
    from csbench.report.style import STYLES, check_format
    from csbench.results.store import load_results

    check_format(output)
    may_write("--output", output)
    definition = load_suite(suite)
    references = read_reference(reference, list(names(columns, "--columns"))) if reference else []
    frame = load_results(definition.name, results)
    if not len(frame):
        raise UsageError(f"no results of {definition.name} in {results}/; run `csbench run {suite}`")
    floors = representation_floors(frame, definition, results)
    table = standings(frame, definition)
    measured = table.errors if metric == "mse" else samples(frame, definition, metric)
    curves = {name: one.estimates() for name, one in measured.items()}
    draw(table, output, list(names(methods)) or None, references, floors, metric, curves, STYLES[style])
    print(f"wrote {output}")


@app.command()
def saving(
    suite: SuiteName,
    method: Annotated[str | None, typer.Option(help="The method that saves; default: a table of all.")] = None,
    against: Annotated[str, typer.Option(help="The method to compare with.")] = "lasso-dct",
    at: Annotated[int | None, typer.Option(help="With --method: the m whose error is matched; default: 75.")] = None,
    results: Results = Path("results"),
) -> None:
    """Say how many times fewer measurements a method needs than another, at equal error.

    Without --method, a table of all methods at all m, against the best Lasso.

    Example: csbench saving mnist-gaussian --method csgm-vae --against lasso-dct --at 75
    """
    from csbench.catalogue.suites import load_suite
    from csbench.report import columns, comparisons, tables, texts
    from csbench.report.ranking import standings
    from csbench.report.samples import samples
    from csbench.results.store import load_results

    definition = load_suite(suite)
    matched = 75 if at is None else at
    if (method is not None or at is not None) and matched not in definition.m:
        raise UsageError(f"--at is one of m = {', '.join(map(str, definition.m))}, not {matched}")
    frame = load_results(definition.name, results)
    if not len(frame):
        raise UsageError(f"no results of {definition.name} in {results}/; run `csbench run {suite}`")
    if method is None:
        rows = [row for row in standings(frame, definition).rows if row.savings]
        if not rows:
            raise UsageError(f"{suite} is over the noise, or has no complete Lasso, so nothing can be saved there")
        shown = [replace(columns.saving(definition, m), header=f"m = {m}") for m in definition.m]
        print(tables.markdown([replace(columns.METHOD, header="saving over the best Lasso"), *shown], rows))
        return
    for name in (method, against):
        if name not in set(frame["method"]):
            raise UsageError(f"no results of {name!r} on {suite} in {results}/; run `csbench run {suite}`")
    errors = samples(frame, definition)
    comparisons.check_saving(errors, definition, method, against)
    error = errors[method].estimates()[matched].value
    factor = comparisons.saving(errors[method], errors[against], matched)
    value, low, high = (
        texts.saving_times(f, definition, matched, "more than", "at most")
        for f in (factor.value, factor.low, factor.high)
    )
    print(
        f"{method} reaches {error:.4g} at m = {matched}; {against} needs {value} times as many measurements "
        f"(95% interval {low} to {high})"
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

    from csbench.catalogue.suites import load_suite
    from csbench.report.comparisons import ratios
    from csbench.report.samples import samples
    from csbench.report.texts import level_name
    from csbench.results.store import load_results

    definition = load_suite(suite)
    frame = load_results(definition.name, results)
    known = sorted(set(frame["method"])) if len(frame) else []
    for name in (against, *names(methods)):
        if name not in known:
            raise UsageError(f"no results of {name!r} on {suite} in {results}/; run `csbench run {suite}`")
    errors, rows = samples(frame, definition), []
    for name in names(methods) or [name for name in known if name != against]:
        found = ratios(errors[name], errors[against])
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

    from csbench.catalogue.suites import load_suite
    from csbench.report.phase import contours, table
    from csbench.report.phase import plot as draw
    from csbench.results.store import load_results

    may_write("--output", output, ".svg", ".png", ".pdf")
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
def gallery(
    suite: SuiteName,
    methods: Annotated[
        str | None, typer.Option("--methods", help="In this order; default: the suite's.", metavar="NAME,...")
    ] = None,
    m: Annotated[str | None, typer.Option("--m", help="Of the suite's; default: four.", metavar="M,...")] = None,
    images: Annotated[int, typer.Option(min=1, max=32, help="From the start of the test split.")] = 6,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Draw a .png, .svg or .pdf file.")] = None,
    style: FigureStyle = "screen",
    results: Results = Path("results"),
) -> None:
    """Recover a few test images from the suite's own measurements, and keep or draw the pictures.

    Without -o, the pictures of all methods go to results/gallery/, for `csbench site`; what is there is not made again.
    With it, a figure: the truth above, and below it what each method made.

    Example: csbench gallery mnist-gaussian --methods lasso-dct,csgm-vae --m 25,100,400 -o rows.pdf --style paper
    """
    import torch

    from csbench.catalogue.registry import get_dataset
    from csbench.catalogue.suites import load_suite
    from csbench.cli.progress import progress_bar
    from csbench.freshness.lineage import Lineage
    from csbench.report.gallery import MEASUREMENTS, TRUTH, draw, read_gallery, store
    from csbench.report.style import STYLES, check_format
    from csbench.report.texts import evenly_spaced
    from csbench.studies.pictures import missing, recover

    if output:
        check_format(output)
    may_write("--output", output)
    torch.set_num_threads(1)
    definition = load_suite(suite)
    if not output and get_dataset(definition.dataset).restricted:
        raise UsageError(f"pictures of {definition.dataset} must not be passed on, so none are kept; draw some with -o")
    part = definition.narrowed(m=integers("--m", m), methods=names(methods))
    if not m:
        four = tuple(evenly_spaced(part.levels, 4))
        part = replace(part, m=four) if part.axis == "m" else replace(part, noise_norms=four)
    known = {} if output else read_gallery(results, definition.name)
    cells = missing(part, images, known, Lineage.read(results, definition.name))
    with progress_bar("{task.fields[note]}") as progress:
        task = progress.add_task("recovering", total=len(cells), note="")
        for cell, found in zip(cells, recover(cells, images), strict=True):
            progress.update(task, advance=1, note=f"{cell.method_name} {cell.where}")
            for name, rows in found.items():
                merged = _with_older(known.get(name), rows, shared=name in (TRUTH, MEASUREMENTS))
                if merged is None:
                    continue  # other methods have more images
                known[name] = merged
                if not output:
                    store(results, definition.name, name, merged)
    if output:
        order = [TRUTH, MEASUREMENTS, *part.methods]
        draw(output, {name: known[name] for name in order if name in known}, part.axis, STYLES[style])
        print(f"wrote {output}")
    else:
        print(f"{len(cells)} pictures made; {len(known)} files in {results / 'gallery' / f'suite={definition.name}'}/")


def _with_older(old: pd.DataFrame | None, rows: pd.DataFrame, shared: bool) -> pd.DataFrame | None:
    """Pictures just made, with the older ones of other levels.

    Args:
        shared: whether these are pictures that all methods share; of a level, those of more images are then kept.

    Returns:
        None where older pictures are kept instead.
    """
    import pandas as pd

    if old is None:
        return rows
    here = old["level"].isin(rows["level"]).to_numpy()
    if shared and here.sum() > len(rows):
        return None
    return pd.concat([old.loc[~here], rows])
