"""What the commands share: the application, their common options, and how they fail."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from csbench.core.errors import ResultsError, UsageError
from csbench.core.files import described

app = typer.Typer(
    help="How well does a recovery method get x back from y = A x + noise, when m << n?\n\n"
    "Start with: csbench run quick",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help in half the time
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _folder(path: Path) -> Path:
    """Refuses what is there and is no folder that can be looked into, before anything is computed."""
    try:
        os.listdir(path)
    except OSError as error:
        if not isinstance(error, FileNotFoundError) or path.is_symlink():
            raise ResultsError(f"--results: {described(error)}; name a folder, or one that is to be made") from None
    return path


Results = Annotated[
    Path, typer.Option("--results", help="Folder of the results.", metavar="DIR", readable=False, callback=_folder)
]
Methods = Annotated[str | None, typer.Option("--methods", help="Only these, comma-separated.", metavar="NAME,...")]
FigureStyle = Annotated[
    Literal["screen", "paper"],
    typer.Option("--style", help="paper: as wide as a column, no title, fonts in the file."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
GAP = 2  # between the columns of a table
NEWLINE = "\n"
NARROWEST = 10  # columns are not wrapped below this
SuiteName = Annotated[str, typer.Argument(help="Name of a suite, or a TOML file.", metavar="SUITE")]


def fail(error: Exception, code: int) -> NoReturn:
    print(f"csbench: {plain(str(error), keep=NEWLINE)}", file=sys.stderr)
    sys.exit(code)


def plain(text: str, keep: str = "") -> str:
    """Text in which a terminal sees no command and no other direction of writing: such signs as Python writes them."""
    return "".join(sign if sign.isprintable() or sign in keep else ascii(sign)[1:-1] for sign in text)


def names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def integers(option: str, text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in names(text))
    except ValueError:
        raise UsageError(f"{option} takes integers separated by commas, got {text!r}") from None


def print_table(title: str, headers: list[str], rows: list[list[str]]) -> None:
    """A table that is no wider than the terminal; long cells are wrapped.

    Not by rich or tabulate, whose imports alone take a third of the time of a command that only lists.
    """
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    available = shutil.get_terminal_size((120, 24)).columns - GAP * (len(widths) - 1)
    while sum(widths) > available and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1  # the widest column gives way
    print(title)
    for row in (headers, ["-" * width for width in widths], *rows):
        cells = [textwrap.wrap(plain(cell), width) for cell, width in zip(row, widths, strict=True)]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            line = (" " * GAP).join(part.ljust(width) for part, width in zip(parts, widths, strict=True))
            print(line.rstrip())
