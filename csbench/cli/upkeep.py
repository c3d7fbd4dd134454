"""`csbench show` and `merge`: results files, apart from running and rendering."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from csbench.cli.common import AsJson, app, print_table
from csbench.errors import CsbenchError


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
        print(f"{name}: {found[name]}")
    print_table(str(file), list(found["cells"][0]), [[str(v) for v in row.values()] for row in found["cells"]])
    for run, facts in found["runs"].items():
        print(f"run {run}")
        for name, value in facts.items():
            print(f"  {name}: {value}")


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
    from csbench.merge import merge_folders

    outcome = merge_folders(first, second, output, prefer)
    for path, rows in outcome.written.items():
        print(f"wrote {path}: {rows} rows")
    for conflict in outcome.conflicts:
        print(conflict)
    if outcome.conflicts and prefer is None:
        raise CsbenchError(
            f"{len(outcome.conflicts)} cells differ; their files were not written. Choose with --prefer A or --prefer B"
        )
