"""Looking at runs from outside: their processes, and the cells in their journal."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def start_run(folder: Path, environment: dict[str, str], suite: Path, *arguments: str) -> subprocess.Popen:
    """`csbench run` in the background, its output in pipes."""
    command = [sys.executable, "-m", "csbench", "run", str(suite), *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def children(pid: int) -> list[int]:
    return [
        int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()
    ]


def server(pid: int) -> int:
    """The process that forks all others of a run."""
    (found,) = [
        child for child in children(pid) if b"csbench.runner.server" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return found


def keepers(pid: int) -> list[int]:
    """The processes of a run that watch over methods' processes."""
    return children(server(pid))


def workers(pid: int) -> list[int]:
    """The processes of a run in which methods run."""
    return [worker for keeper in keepers(pid) for worker in children(keeper)]


def marked(mark: str) -> list[int]:
    """Processes with this word in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (
                mark.encode() in (folder / "environ").read_bytes()
                and b"\nState:\tZ" not in (folder / "status").read_bytes()
            ):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def journalled(results: Path) -> int:
    """Cells in the journal."""
    try:
        with sqlite3.connect(f"file:{results / '.journal.sqlite'}?mode=ro", uri=True, timeout=5) as db:
            return db.execute("SELECT count(*) FROM cell").fetchone()[0]
    except sqlite3.OperationalError:
        return 0  # it is about to be made


def wait_for_cells(results: Path, count: int, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while journalled(results) < count:
        assert time.monotonic() < deadline, f"{journalled(results)} of {count} cells were journalled in {seconds:g} s"
        time.sleep(0.02)
