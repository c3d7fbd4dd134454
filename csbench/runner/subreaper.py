"""Processes below this one, however deep they hide: found, named and ended.

Linux hands the orphans of a process to its nearest ancestor that has asked for them, so that nothing which a method
starts gets away by a double fork or a session of its own. Elsewhere a method's process is ended alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MARK = "CSBENCH_RUN"  # in the environment of every process of a run, to find what lost all its ancestors at once
ROUNDS = 200  # of stopping what is there, before what is there is killed even if more of it has come
END_SECONDS = 10.0  # for what has been killed to be gone
PAUSE = 0.002
SHOWN = 5  # names of processes in a text


def adopt_orphans() -> None:
    """Have the kernel make this process the parent of every descendant whose own parent ends; Linux only."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, even in an endless loop or stopped; Linux only.

    The parent is the thread that started this process, so that thread has to last.
    """
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def children(pid: int) -> list[int]:
    """Process ids of the children of a process; none where there is no /proc."""
    try:
        texts = [_read(f"/proc/{pid}/task/{task}/children") for task in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return _children_by_scan(pid)
    except OSError:
        return []
    return [int(word) for text in texts for word in text.split()]


def _children_by_scan(pid: int) -> list[int]:
    """The same for kernels that list no children."""
    found = []
    for one in _all_processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(_stat(one)[1]) == pid:
                found.append(one)
    return found


def below(pids: Iterable[int]) -> set[int]:
    """These processes and all their descendants, without those that have ended and are not reaped yet."""
    found: set[int] = set()
    todo = list(pids)
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo.extend(children(pid))
    return {pid for pid in found if _lives(pid)}


def end(find: Callable[[], set[int]]) -> dict[int, str]:
    """Kill processes, and what they start meanwhile.

    Args:
        find: what there is to end. It is asked again until it finds nothing new, and what it found is stopped each
            time, for a process that is stopped starts no others.

    Returns:
        what was ended, by process id: its name.
    """
    stopped: dict[int, str] = {}
    for _ in range(ROUNDS):
        new = find() - stopped.keys()
        if not new:
            break
        for pid in new:
            stopped[pid] = _name(pid)
            _kill(pid, signal.SIGSTOP)
    for pid in stopped:
        _kill(pid, signal.SIGKILL)
    return stopped


def end_children() -> dict[int, str]:
    """Kill and reap all that is below this process; the same."""
    ended: dict[int, str] = {}
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        ended |= end(lambda: below(children(os.getpid())))
        if not _reap_all():
            break
        time.sleep(PAUSE)
    return ended


def _reap_all() -> bool:
    """Reap what has ended; whether there are children that have not."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def end_marked(mark: str) -> None:
    """Kill all processes with this mark in their environment, this one excepted."""
    needle = f"{MARK}={mark}".encode()

    def find() -> set[int]:
        found = set()
        for pid in _all_processes():
            with contextlib.suppress(OSError):
                if needle in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and _lives(pid):
                    found.add(pid)
        return found - {os.getpid()}

    end(find)


def in_words(names: Sequence[str]) -> str:
    """What was ended, as part of a reason."""
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    what = (
        "a process that it left behind was" if len(names) == 1 else f"{len(names)} processes that it left behind were"
    )
    return f"{what} ended with its cell: {shown}"


def how(status: int) -> str:
    """The end of a process in words.

    Args:
        status: as `os.waitpid` gives it.
    """
    if os.WIFSTOPPED(status):
        return f"stopped by signal {signal.Signals(os.WSTOPSIG(status)).name}"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = str(-code)
    return f"signal {name}" + (", as the kernel sends it when memory runs out" if code == -signal.SIGKILL else "")


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()] if LINUX else []


def _lives(pid: int) -> bool:
    try:
        return _stat(pid)[0] not in ("Z", "X")
    except (OSError, IndexError):
        return not LINUX


def _stat(pid: int) -> list[str]:
    """State, parent and so on: what follows the name, which may hold anything."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _name(pid: int) -> str:
    try:
        return "".join(c if c.isprintable() else "?" for c in _read(f"/proc/{pid}/comm").strip()) or "?"
    except OSError:
        return "?"


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
