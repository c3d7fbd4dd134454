"""Artefacts: what is derived from cells or weights and kept on disk, and how long it holds.

An artefact holds where its `made_by` is what the code here would give, or where proofs say that both stand for the same
numbers (`Lineage.connects`). `csbench.results.artefact_kinds` lists the kinds. This module imports
neither torch nor, before a file needs them, the libraries of tables.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csbench.core.errors import ResultsError
from csbench.core.files import write_atomically
from csbench.core.names import NO_METHOD, checked, fault_of, shown
from csbench.results import artefact_formats as formats
from csbench.results.folder import METHOD

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
NAMES = {"suite", "dataset", "method", "prior", "run_id"}  # columns
Holds = Callable[[str], bool]  # of a hash `made_by`


@dataclass(frozen=True)
class Kind:
    """One kind of artefact.

    Attributes:
        name: in a sentence about a file of them.
        place: of a file in the results, with the names of what it is of in braces; its suffix is its format.
        columns: name to Arrow's name of its type; "vector" is as many float32 as the first row has, and "list" and
            "object" are JSON's.
        identity: the columns that rows are put in place of others by; empty where a file is of one thing.
        command: makes a file anew.
        shared: columns with the same value in all rows, which stand in the file's metadata.
        made_of: the columns that `made_by` is a hash of; empty where it is a column.
        published: others are of this machine alone, and a damaged file is as good as none.
        may_lack: those of `shared` that older files do not have, and that are empty then.
        ranges: column to the least and the greatest number that it may hold; NaN and null say that there is none.
        check: what is wrong with a row as a whole.
    """

    name: str
    place: str
    columns: Mapping[str, str]
    identity: tuple[str, ...]
    command: str
    shared: tuple[str, ...] = ()
    made_of: tuple[str, ...] = ()
    published: bool = True
    may_lack: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    check: Callable[[Row], str | None] | None = None

    def path(self, results: Path, **of: str) -> Path:
        """Where the artefacts of what the keywords say are kept.

        Raises:
            ResultsError: one of these is no name, so that the file could be anywhere.
        """
        for what, name in of.items():
            if name in NO_METHOD:
                continue
            checked(name.removeprefix(METHOD), f"{self.name} of {what}", "~", ResultsError)
        return results / self.place.format(**of)

    def read(self, results: Path, **of: str) -> list[Row]:
        """The rows of a file, each with its `made_by`; empty where there is no file.

        Raises:
            ResultsError: the file cannot be read or has other columns.
        """
        path = self.path(results, **of)
        if not path.is_file():
            return []
        try:
            rows = formats.read(path, self)
            if fault := next(self._faults(rows), None):
                raise ValueError(fault)
        except Exception as error:  # whatever a damaged file does to those that parse it
            if not self.published:
                return []
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise ResultsError(
                f"{path}: not a file of {self.name} ({said}); delete it, `{self.command}` makes it anew"
            ) from None
        if self.made_of:
            rows = [row | {"made_by": digest([row[name] for name in self.made_of])} for row in rows]
        return rows

    def _faults(self, rows: list[Row]) -> Iterator[str]:
        """What no row may hold: values of another type, names that are none, numbers out of range."""
        for i, row in enumerate(rows):
            for name, of in self.columns.items():
                if fault := formats.fault_of_value(row[name], of, self.ranges.get(name)):
                    yield f"column {name!r} {fault} in row {i}"
            for name in NAMES & self.columns.keys():
                if fault := fault_of(row[name], "~"):
                    yield f"column {name!r} {fault}, got {shown(row[name])}"
            if self.check and (fault := self.check(row)):
                yield f"row {i}: {fault}"

    def put(self, results: Path, rows: Iterable[Row], **of: str) -> None:
        """Store rows in place of all that have the same identity as one of them; the same rows give the same bytes.

        Raises:
            ResultsError: the file that is there cannot be read or has other columns.
        """
        rows = list(rows)
        new = {self._identity(row) for row in rows}
        old = [row for row in self.read(results, **of) if self._identity(row) not in new] if self.identity else []
        path = self.path(results, **of)
        write_atomically(path, formats.encode(path.suffix, self, sorted([*old, *rows], key=self._identity)))

    def frame(self, rows: Iterable[Row]) -> pd.DataFrame:
        """Rows as a data frame, whose columns have their types even where there are no rows."""
        return formats.table(self, rows).to_pandas()

    def _identity(self, row: Row) -> tuple:
        return tuple(row[name] for name in self.identity)


def held(rows: Iterable[Row], of: Mapping[str, Any], holds: Holds) -> list[Row]:
    """Those of the rows that hold, among those that have the values `of`."""
    return [row for row in rows if all(row[name] == value for name, value in of.items()) and holds(row["made_by"])]


def digest(facts: Any) -> str:
    """A hash `made_by` of facts that JSON can hold."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
