"""What a container may use, which the kernel tells by control groups, of both versions."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

UNLIMITED = 2**60  # bytes from which on a limit of version 1 means none


def memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process and all that it starts may hold together; None: no limit, or none is told.

    Args:
        root: of the file system where the groups are told.
    """
    files = {"memory": "memory.limit_in_bytes", "": "memory.max"}
    limits = [_number(folder / files[kind]) for kind, folder in _groups(root, files)]
    least = min(limits, default=math.inf)
    return int(least) if least < UNLIMITED else None


def cores(root: Path = Path("/")) -> float | None:
    """Processors' worth of time that it may use, such as 1.5; None: no limit, or none is told."""
    quotas = []
    for kind, folder in _groups(root, {"cpu": "cpu.cfs_quota_us", "": "cpu.max"}):
        if kind:
            quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        else:
            quota, period = _number(folder / "cpu.max"), _number(folder / "cpu.max", 1)
        if 0 < quota < math.inf and 0 < period < math.inf:
            quotas.append(quota / period)
    return min(quotas, default=None)


def _groups(root: Path, files: dict[str, str]) -> Iterator[tuple[str, Path]]:
    """The groups of this process, and all around them: by controller in version 1, under "" in version 2."""
    with contextlib.suppress(OSError, ValueError):
        places = _mounts(root)
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for kind in set(controllers.split(",")) & files.keys():
                if kind in places:
                    mounted, shown = places[kind]
                    yield from ((kind, folder) for folder in _upward(mounted, shown, path))


def _upward(mounted: Path, shown: str, path: str) -> Iterator[Path]:
    """A group's folder and those above it, as far as they can be seen.

    Args:
        mounted: where groups can be seen.
        shown: the group that is seen there as the top.
        path: the group.
    """
    inside = path.removeprefix(shown.rstrip("/")) if path.startswith(shown) else ""
    folder = mounted / inside.strip("/")
    folder = folder if folder.is_dir() and ".." not in inside else mounted  # a container may see its own group alone
    while True:
        yield folder
        if folder == mounted:
            return
        folder = folder.parent


def _mounts(root: Path) -> dict[str, tuple[Path, str]]:
    """Controller, or "" for version 2, to where its groups are mounted and which group is at the top there."""
    found: dict[str, tuple[Path, str]] = {}
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        shown, point = left.split()[3:5]
        kind, _, options = right.split()[:3]
        place = root / _unescaped(point).lstrip("/"), _unescaped(shown)
        if kind == "cgroup2":
            found.setdefault("", place)
        elif kind == "cgroup":
            found |= {name: place for name in options.split(",") if name in ("memory", "cpu")}
    return found


def _unescaped(text: str) -> str:
    """Paths in mountinfo have spaces and the like as octal numbers."""
    return text.encode().decode("unicode_escape") if "\\" in text else text


def _number(path: Path, word: int = 0) -> float:
    """A number in a file; infinite where there is none, or `max`."""
    try:
        return float(path.read_text().split()[word])
    except (OSError, ValueError, IndexError):
        return math.inf
