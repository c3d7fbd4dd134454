"""The states of a suite's cells as `csbench run` or `status` last found them, which hold while nothing has changed.

Telling what is stale needs every method as an object, and so the import of torch and of all that the methods use:
seconds. This module imports none of it. Suites are taken as they were asked for, with `methods` empty where that means
all of them, for to list the methods takes longer than to look here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from csbench.catalogue.registry import entries, source_roots
from csbench.catalogue.suites import Suite
from csbench.freshness.lineage import Lineage, lineage_path
from csbench.freshness.states import ACCEPTED
from csbench.results.artefact_kinds import STATES
from csbench.results.artefacts import digest, held
from csbench.results.folder import results_files

BY_CONTENT = (".py", ".json", ".toml")  # other files are large: their size and time of change must do


def recall(suite: Suite, results: Path) -> dict[str, Any] | None:
    """What was remembered of a suite, if it still holds."""
    known = next((row for row in STATES.read(results) if row["suite"] == suite.name), None)
    if known is None:
        return None
    made_by = _made_by(stamp(suite, results), known["files"], known["answer"])
    holds = partial(Lineage.read(results, suite.name).connects, made_by)
    return known["answer"] if held([known], {}, holds) else None


def remember(suite: Suite, results: Path, before: str, files: Iterable[Path], answer: dict[str, Any]) -> None:
    """Keep an answer; where that is not possible, as in a folder that may not be written to, the next call computes it.

    Args:
        before: `stamp` as it was before the answer was computed.
        answer: `counts`, method to state to number of cells, and `reasons`, method to reason to number of cells.
        files: further files that the answer depends on: the methods' own data, wherever they are.
    """
    paths = sorted(map(str, files))
    ours = entries("datasets")[suite.dataset].module.startswith("csbench.")  # where others read is not known
    if results.is_dir() and ours:
        row = {"suite": suite.name, "made_by": _made_by(before, paths, answer), "files": paths, "answer": answer}
        with contextlib.suppress(OSError):
            STATES.put(results, [row])


def open_cells(counts: Mapping[str, Mapping[str, int]]) -> int:
    """How many cells are changed, stale, missing or failed.

    Args:
        counts: method to state to number of cells.
    """
    return sum(count for states in counts.values() for state, count in states.items() if state not in ACCEPTED)


def stamp(suite: Suite, results: Path) -> str:
    """A hash of `code_stamp`, of the suite, of its results and journal, and of the dataset's files in CSBENCH_DATA."""
    files = [*results_files(results, suite.name), *results.glob(".journal.sqlite*")]
    files.append(lineage_path(results, suite.name))
    folders = [os.environ.get(name) for name in ("CSBENCH_DATA", "CSBENCH_WEIGHTS")]
    data = Path(folders[0], suite.dataset) if folders[0] else None
    files += sorted(data.iterdir()) if data and data.is_dir() else []
    facts = f"{code_stamp()}{suite}{results.resolve()}{_seen(files)}{folders}{_packages()}"
    return hashlib.sha256(os.fsencode(facts)).hexdigest()


def code_stamp() -> str:
    """A hash of all code, weights and tuned values."""
    return _seen(_walked(source_roots()))


def _packages() -> list[str]:
    """The installed packages with their versions, as the names of the folders of their metadata say."""
    folders = [folder for folder in sys.path if os.path.isdir(folder)]
    return sorted(name for folder in folders for name in os.listdir(folder) if name.endswith("-info"))


def _made_by(stamped: str, files: Iterable[str], answer: Mapping[str, Any]) -> str:
    """A hash of what an answer is made of, and of the answer, so that one whose bytes have changed is none."""
    return digest([stamped, _seen(files), answer])


def _walked(roots: Iterable[Path]) -> Iterator[str]:
    for root in roots:
        if root.is_file():
            yield str(root)
        for folder, _, names in os.walk(root, followlinks=True):
            if not folder.endswith("__pycache__"):
                yield from (os.path.join(folder, name) for name in names)


def _seen(files: Iterable[str | Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(map(str, files)):
        try:
            facts = os.stat(path)
        except OSError:  # an editor's link that leads nowhere, or the journal's, which another run has closed
            continue
        digest.update(os.fsencode(path) + f"\0{facts.st_size}\0".encode())
        if path.endswith(BY_CONTENT):
            with open(path, "rb") as file:
                digest.update(file.read())
        else:
            digest.update(str(facts.st_mtime_ns).encode())
    return digest.hexdigest()
