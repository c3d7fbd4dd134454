"""How much memory processes hold that is not that of files: also what they share, which no kernel's limit counts."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path


def above(limit: int, pids: Collection[int]) -> int | None:
    """Bytes that these processes hold together, anonymous or shared, if these are more than a limit; else None.

    What several of them share is counted once. None as well where the system does not say.
    """
    for file, names in (("status", ("RssAnon:", "RssShmem:")), ("smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))):
        found = sum(_field(pid, file, names) for pid in pids)
        if found <= limit:  # the first file takes microseconds, and counts what is shared for each
            return None
    return found


def _field(pid: int, file: str, names: tuple[str, ...]) -> int:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
        return sum(int(line.split()[1]) * 2**10 for line in lines if line.startswith(names))
    return 0
