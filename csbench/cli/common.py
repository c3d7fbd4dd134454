"""What the commands share: the application, their common options, and how they fail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from csbench.errors import UsageError

app = typer.Typer(
    help="How well does a recovery method get x back from y = A x + noise, when m << n?\n\n"
    "Start with: csbench run quick",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help in half the time
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

Results = Annotated[Path, typer.Option("--results", help="Folder of the results.", metavar="DIR")]
Methods = Annotated[str | None, typer.Option("--methods", help="Only these, comma-separated.", metavar="NAME,...")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
SuiteName = Annotated[str, typer.Argument(help="Name of a suite, or a TOML file.", metavar="SUITE")]


def fail(error: Exception, code: int) -> NoReturn:
    print(f"csbench: {error}", file=sys.stderr)
    sys.exit(code)


def names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def integers(option: str, text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in names(text))
    except ValueError:
        raise UsageError(f"{option} takes integers separated by commas, got {text!r}") from None


def print_table(title: str, headers: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*headers, title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
