"""Where results are: DIR/suite=NAME/method=NAME.parquet, and nothing else in these folders is looked at."""

from __future__ import annotations

from pathlib import Path

from csbench.core.errors import ResultsError
from csbench.core.files import listed
from csbench.core.names import check_distinct, checked

SUITE, METHOD = "suite=", "method="


def results_file(results: Path, suite: str, method: str) -> Path:
    """Where the rows of a method on a suite are published.

    Raises:
        ResultsError: these are no names, so that the file could be anywhere.
    """
    checked(suite, "the name of a suite", "~", ResultsError)
    checked(method, "the name of a method", error=ResultsError)
    return results / f"{SUITE}{suite}" / f"{METHOD}{method}.parquet"


def results_files(results: Path, suite: str | None = None) -> list[Path]:
    """The results files of a suite, or of all, sorted.

    Raises:
        ResultsError: a folder may not be read or is none; a name is none, or differs from another in case alone.
    """
    try:
        folders = [results / f"{SUITE}{suite}"] if suite is not None else listed(results, f"{SUITE}*")
        files = [path for folder in folders for path in listed(folder, f"{METHOD}*.parquet")]
    except OSError as error:
        raise ResultsError(f"{error.filename}: {error.strerror}; it should be a folder of results") from error
    for path in files:
        checked(suite_of(path), f"{path}: the name of its suite", "~", ResultsError)
        checked(method_of(path), f"{path}: the name of its method", error=ResultsError)
    check_distinct((str(path.relative_to(results)) for path in files), f"{results}: the files", ResultsError)
    return files


def suite_of(path: Path) -> str:
    """The suite whose results are in this file."""
    return path.parent.name.removeprefix(SUITE)


def method_of(path: Path) -> str:
    """The method whose results are in this file."""
    return path.stem.removeprefix(METHOD)
