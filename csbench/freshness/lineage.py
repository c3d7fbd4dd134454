"""Proofs that two hashes `made_by` stand for the same numbers, or not: `results/lineage/`, of `csbench prove`.

A text file for each suite, one line for each proof, so that Git merges what two people add.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from csbench.core.errors import ResultsError
from csbench.core.files import write_atomically
from csbench.core.names import fault_of, shown

Outcome = Literal["equal", "differs"]


@dataclass(frozen=True)
class Proof:
    """Two codes that ran on the same cells of one machine.

    Attributes:
        old, new: hashes `made_by`.
        outcome: `equal` where x_hat, diagnostics and metrics are, to the bit, and every line that differs was run;
            `differs` where some number does.
        cells: which, such as `25/0` for m = 25, draw 0.
        images: of each cell.
        deviation: the largest that was found, in words; empty where there is none.
        commit: of the new code; empty where it was not committed.
        environment: versions and processor in words.
    """

    method: str
    old: str
    new: str
    outcome: Outcome
    cells: str
    images: int
    deviation: str
    commit: str
    environment: str

    def check(self) -> None:
        """
        Raises:
            ValueError: a field holds what `csbench prove` does not write.
        """
        for name in ("method", "old", "new"):
            if fault := fault_of(getattr(self, name)):
                raise ValueError(f"{name} {fault}, got {shown(getattr(self, name))}")
        if self.outcome not in get_args(Outcome):
            raise ValueError(f"outcome is {shown(self.outcome)}, it must be equal or differs")
        if self.images < 0:
            raise ValueError(f"images is {self.images}, it must be 0 or more")


COLUMNS = [one.name for one in fields(Proof)]


@dataclass(frozen=True)
class Lineage:
    """The proofs of a suite."""

    proofs: tuple[Proof, ...] = ()

    @classmethod
    def read(cls, results: Path, suite: str) -> Lineage:
        """
        Raises:
            ResultsError: the file cannot be read or has other columns.
        """
        path = lineage_path(results, suite)
        if not path.is_file():
            return cls()
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            proofs = tuple(Proof(**row | {"images": int(row["images"])}) for row in rows)  # type: ignore[arg-type]
            for proof in proofs:
                proof.check()
            return cls(proofs)
        except (OSError, TypeError, ValueError, KeyError, csv.Error) as error:
            raise ResultsError(
                f"{path}: not a file of proofs ({error}); restore it, or delete it and prove again"
            ) from None

    def leads(self, old: str, new: str) -> bool:
        """Whether a chain of proofs says that both stand for the same numbers."""
        return new in self.equal_to(old)

    def connects(self, one: str, other: str) -> bool:
        """Whether what was made by one may stand for what the other makes: they are equal, or proved so, either way."""
        return self.leads(one, other) or self.leads(other, one)

    def equal_to(self, old: str) -> dict[str, str]:
        """Every hash that is proved to stand for the same numbers, to a commit that has its code; nearest first."""
        found, queue = {old: ""}, [old]
        for one in queue:
            for proof in self.proofs:
                if proof.outcome == "equal" and proof.old == one and proof.new not in found:
                    found[proof.new] = proof.commit
                    queue.append(proof.new)
        return found

    def refuted(self, old: str, new: str) -> Proof | None:
        """A proof that they stand for other numbers, or None."""
        same = self.equal_to(old)
        return next(
            (one for one in self.proofs if one.outcome == "differs" and one.old in same and one.new == new), None
        )

    def with_proofs(self, proofs: Iterable[Proof]) -> Lineage:
        """These proofs as well; a newer one takes the place of an older one between the same hashes."""
        known = {(one.method, one.old, one.new): one for one in (*self.proofs, *proofs)}
        return Lineage(tuple(known[place] for place in sorted(known)))

    def write(self, results: Path, suite: str) -> Path:
        """Store the proofs of a suite."""
        sheet = io.StringIO()
        writer = csv.DictWriter(sheet, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows())
        path = lineage_path(results, suite)
        write_atomically(path, sheet.getvalue().encode())
        return path

    def _rows(self) -> Iterator[dict]:
        return (asdict(proof) for proof in self.proofs)


def lineage_path(results: Path, suite: str) -> Path:
    """Where the proofs of a suite are kept."""
    return results / "lineage" / f"{suite}.csv"
