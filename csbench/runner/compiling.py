"""Where numba keeps what it has compiled."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from csbench.core.paths import PACKAGE

VARIABLE = "NUMBA_CACHE_DIR"


def find_cache() -> None:
    """Name numba a folder for its cache where it would find none, as in containers and read-only installations.

    Without one it refuses to compile functions that ask for a cache. Call this before numba is imported.
    """
    if VARIABLE in os.environ or any(map(_writable, _usual())):
        return
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
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return [home / "numba", PACKAGE / "solvers" / "lasso" / "__pycache__"]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return False
