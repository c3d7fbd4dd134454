"""The folder in which a run keeps what its processes share, and how what killed runs have left is found."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from csbench.core.errors import ResultsError
from csbench.runner.subreaper import end_marked

PREFIX = "csbench-run-"
UNLOCKED = "csbench-run."  # of a folder that has no lock yet
LOCK = "lock"
FORGOTTEN_SECONDS = 86_400.0  # after which a folder that never had a lock is nobody's


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder of this run's own, locked while it lasts, and removed.

    The lock tells the living from the dead also among containers and hosts that share a TMPDIR, where ids of processes
    tell nothing.

    Raises:
        ResultsError: TMPDIR cannot be written to.
    """
    root = Path(tempfile.gettempdir())
    sweep(root)
    try:
        folder, locked = _locked(Path(tempfile.mkdtemp(prefix=UNLOCKED)))
    except OSError as error:
        raise ResultsError(f"{root}: {error}; set TMPDIR to a folder that can be written to") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(locked)


def _locked(unlocked: Path) -> tuple[Path, int]:
    """The folder under its name, which it gets once it is locked, and a descriptor that holds the lock."""
    descriptor = os.open(unlocked / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks; nobody else gets it either then
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    folder = unlocked.with_name(PREFIX + unlocked.name.removeprefix(UNLOCKED))
    unlocked.rename(folder)
    return folder, descriptor


def sweep(root: Path) -> None:
    """Remove what killed runs left behind, with the processes of theirs that nothing else has ended."""
    for folder in [*root.glob(f"{PREFIX}*"), *root.glob(f"{UNLOCKED}*")]:
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.geteuid() and _is_dead(folder):
                end_marked(folder.name)
                shutil.rmtree(folder, ignore_errors=True)


def _is_dead(folder: Path) -> bool:
    if not folder.is_dir() or folder.is_symlink():
        return False
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # whoever removed it did not come to the end, or whoever makes it is not that far
        return folder.name.startswith(PREFIX) or time.time() - folder.stat().st_mtime > FORGOTTEN_SECONDS
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
