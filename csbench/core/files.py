"""Files: written so that no crash leaves half of one, and listed without what others leave behind."""

from __future__ import annotations

import contextlib
import os
import uuid
from fnmatch import fnmatchcase
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that a reader, or a crash, sees the old bytes or the new ones and nothing between.

    A link stays a link, to the new file; a device or a pipe is written to.

    Raises:
        OSError: it cannot be written; the error names the file, and what was there is as it was.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")  # processes of two containers may have one number
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # it is there only where something went wrong
            temporary.unlink()


def described(error: OSError) -> str:
    """File and reason of an error of the system, on one line."""
    return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename and error.strerror else str(error)


def listed(folder: Path, pattern: str) -> list[Path]:
    """What in a folder matches, sorted; empty where there is no such folder.

    A name that begins with a dot is passed over: editors and macOS leave such files beside the real ones, `.#x.toml`
    or `._x.toml`, with the same ending.

    Raises:
        OSError: it is no folder, or may not be read (`Path.glob` would find nothing there, and say nothing).
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        if folder.is_symlink():
            raise
        return []
    return [folder / name for name in sorted(names) if fnmatchcase(name, pattern) and not name.startswith(".")]
