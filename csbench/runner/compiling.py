"""Where numba keeps what it has compiled."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from csbench.core.paths import PACKAGE

VARIABLE = "NUMBA_CACHE_DIR"


def find_cache() -> None:
    """Name numba a folder for its cache where it would find none, as in containers and read-only installations.

    Without one it refuses to compile functions that ask for a cache. Call this before numba is imported.
    """
    if VARIABLE in os.environ or any(map(_writable, _usual())):
        return
    import tempfile  # takes as long to import as all the rest of a command that only lists

    folder = Path(tempfile.gettempdir(), f"csbench-numba-{os.geteuid()}")
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
        if (
            facts.st_uid != os.geteuid() or facts.st_mode & 0o077 or folder.is_symlink()
        ):  # another may have put code there
            folder = Path(tempfile.mkdtemp(prefix="csbench-numba-"))
        os.environ[VARIABLE] = str(folder)


def _usual() -> list[Path]:
    """Where numba looks: the user's cache, and beside the source."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return [home / "numba", PACKAGE / "solvers" / "lasso" / "__pycache__"]


def _writable(folder: Path) -> bool:
    """Whether it can be written to, or made."""
    there = next(one for one in (folder, *folder.parents) if one.exists() or one == one.parent)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
