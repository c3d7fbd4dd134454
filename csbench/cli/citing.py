"""`csbench cite`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from csbench.cli.common import Results, app
from csbench.core.errors import UnknownName, UsageError


@app.command()
def cite(
    name: Annotated[
        str | None, typer.Argument(help="A suite or a method; default: csbench itself.", metavar="SUITE|METHOD")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Print BibTeX; of a suite also its results, the papers of its methods and dataset, and the protocol.

    Example: csbench cite mnist-gaussian > references.bib
    """
    from csbench.catalogue.registry import entries
    from csbench.catalogue.suites import load_suite, suite_names
    from csbench.report.citation import cite_csbench, cite_method, cite_suite

    methods = entries("methods")
    if name is None:
        text = cite_csbench()
    elif name in suite_names() or name.endswith(".toml"):
        from csbench.results.store import methods_with_results, results_digest

        suite = load_suite(name)
        found = methods_with_results(results, suite)
        if not found:
            raise UsageError(f"no results of {suite.name} in {results}/; run `csbench run {name}`")
        text = cite_suite(suite, found, results_digest(results, suite.name))
    elif name in methods:
        text = cite_method(methods[name])
    else:
        raise UnknownName("suite or method", name, [*suite_names(), *methods])
    print(text, end="")
