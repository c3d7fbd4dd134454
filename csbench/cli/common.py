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


def names(text: str | None, option: str = "--methods") -> tuple[str, ...]:
    """The names between commas, none where the option was not given.

    Raises:
        UsageError: it was given, and names nothing.
    """
    found = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if text is not None and not found:
        raise UsageError(f"{option} names nothing, got {text!r}; leave it out to take all")
    return found


def integers(option: str, text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in names(text, option))
    except ValueError:
        raise UsageError(f"{option} takes integers separated by commas, got {text!r}") from None


def within(option: str, value: float | None, least: float, most: float) -> None:
    """Raises: UsageError, where an option was given and is not in a range; NaN is in none."""
    if value is not None and not least <= value <= most:
        raise UsageError(f"{option} is {least:g} to {most:g}, not {value}")


def may_write(option: str, path: Path | None, *suffixes: str) -> None:
    """See to it that a file can be written in the end, before anything is computed for it.

    Args:
        suffixes: of which its name must have one; empty for any.

    Raises:
        UsageError: it cannot.
    """
    if path is None:
        return
    if suffixes and path.suffix not in suffixes:
        raise UsageError(f"{option} is a {', '.join(suffixes)} file, not {str(path)!r}")
    if path.is_dir():
        raise UsageError(f"{option} is a file to write, and {path} is a folder")
    may_write_into(option, path.parent)


def may_write_into(option: str, folder: Path) -> None:
    """See to it that files can be written into a folder, which need not be there yet.

    Raises:
        UsageError: they cannot.
    """
    try:
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    except (OSError, ValueError) as error:  # a name that is too long, or has a null byte
        raise UsageError(f"{option}: {str(folder)!r} is no folder: {error}") from None
    if not there.is_dir():
        raise UsageError(f"{option}: {there} is a file, where a folder is wanted")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{option}: nothing may be written into {there}")


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
