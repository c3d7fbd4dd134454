"""The process that watches over one method's process at a time: it hands over cells, and ends what does not end.

It runs no method's code and reads no answer. One plain loop of one thread waits for whatever comes first: an answer,
the end of the process, the limit of time or of memory, the end of the run.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from csbench.runner import wire
from csbench.runner.birth import begin
from csbench.runner.memory import above
from csbench.runner.server import reap, wake_on_child
from csbench.runner.subreaper import adopt_orphans, below, children, end, end_children, how

ORDER = 2**40  # bytes of a task, at most: what the run sends is trusted
AT_ONCE = 1000  # messages of a method's process, between looks at its limits
TICK = 0.1  # seconds between looks at memory and at whether the run is still there
PREPARE_SECONDS = 900.0  # for a method's modules to be imported and compiled, which no limit of time counts
COMPILE_SECONDS = 900.0  # of compiling while a cell runs that its limit does not count, at most
Answer = tuple[dict[str, Any], bytes]


class Abandoned(Exception):
    """The run has ended, or wants nothing more of this keeper."""


def main(link: socket.socket, memory: int | None, parent: int) -> None:
    """Serve one place of a run's pool.

    Args:
        link: to the run.
        memory: bytes that a method's process and its children may allocate; None: any.
        parent: id of the server.
    """
    adopt_orphans()
    try:
        Keeper(link, memory, parent, wake_on_child()).serve()
    except Abandoned:
        pass
    finally:
        end_children()


@dataclass
class Process:
    """A method's process.

    Attributes:
        key: of the method.
        reaped: whether it has ended, and its id may be another's.
    """

    pid: int
    key: str
    link: socket.socket
    inbox: wire.Inbox
    reaped: bool = False


@dataclass
class Cell:
    """What is asked of a method's process, and for how long.

    Attributes:
        seconds: from when the process says that it is ready, without those in which numba compiles; None: any.
        most: bytes of the answer.
        shared: bytes of the measurement, which is no memory of the method's even where it lies in memory.
        last: whether the process is wanted no more afterwards.
        begun: when the process was asked to prepare itself.
        started: when it was ready; None before.
    """

    seconds: float | None
    most: int
    shared: int
    last: bool
    begun: float = field(default_factory=time.monotonic)
    started: float | None = None
    _compiled: float = 0.0
    _compiling: float | None = None

    def start(self) -> None:
        """The process is ready: time is taken from now on."""
        if self.started is None:
            self.started = time.monotonic()

    def compile(self, now: bool) -> None:
        """The process says that numba sets to work, or has come to the end; before it is ready nothing is counted."""
        if self.started is None or now == (self._compiling is not None):
            return
        self._compiled, self._compiling = self.compiled(), time.monotonic() if now else None

    def compiled(self) -> float:
        """Seconds so far in which numba compiled."""
        return self._compiled + (0.0 if self._compiling is None else time.monotonic() - self._compiling)

    def late(self) -> str | None:
        """Why it is to be stopped, or None."""
        now, uncounted = time.monotonic(), min(self.compiled(), COMPILE_SECONDS)
        if self.started is None:
            late = now - self.begun > PREPARE_SECONDS
            return f"its modules were not imported within {PREPARE_SECONDS:g} s" if late else None
        if self.seconds is None or now - self.started - uncounted <= self.seconds:
            return None
        beside = f", beside {uncounted:.3g} s in which numba compiled" if uncounted else ""
        return f"took longer than {self.seconds:g} s{beside}"


class Keeper:
    """One place of a pool."""

    def __init__(self, link: socket.socket, memory: int | None, parent: int, bell: int):
        self.link, self.memory, self.parent, self.bell = link, memory, parent, bell
        self.process: Process | None = None

    def serve(self) -> None:
        """Raises: Abandoned, in the end."""
        inbox = wire.Inbox(self.link, ORDER)
        while True:
            try:
                order = inbox.wait(10 * TICK)
            except (EOFError, wire.Garbled):
                raise Abandoned from None
            self._look()
            if order is not None:
                header, body = self._attended(order[0]["key"], order[0]["cell"], order[1])
                wire.send(self.link, header, body)

    def _look(self) -> None:
        if os.getppid() != self.parent:
            raise Abandoned

    def _attended(self, key: str, limits: dict[str, Any], task: bytes) -> Answer:
        """What becomes of a cell.

        Returns:
            `end`, which is "answer", "timeout", "memory", "garbled", "died", or "lost" where the measurement is gone;
            `said`, why there is no answer; `seconds` that the answer took; `compiled`, those of them in which numba
            compiled; `left`, the names of processes that the method left behind; and the answer.
        """
        for again in (False, True):
            cell = Cell(**limits)
            header, body = self._once(key, cell, task, again)
            changed = header.pop("changed", header["end"] != "answer") or cell.last
            left = end(self._strays) if not changed else {}
            if changed or left:
                left |= self._end_process()
            if header["end"] != "compiled":  # else a fresh process loads what this one has compiled
                break
        return header | {"left": sorted(left.values())}, body

    def _once(self, key: str, cell: Cell, task: bytes, again: bool) -> Answer:
        if self.process and (self.process.key != key or self._fate(self.process)):
            self._end_process()
        process = self.process = self.process or self._begin(key)
        process.inbox.most = cell.most
        try:
            wire.send(process.link, {"memory": self.memory, "again": again}, task)
        except OSError as error:
            return {"end": "died", "said": self._fate_soon(process) or f"it took no task ({error})"}, b""
        return self._awaited(process, cell)

    def _awaited(self, process: Process, cell: Cell) -> Answer:
        poller = select.poll()
        for file in (process.link, self.link, self.bell):
            poller.register(file, select.POLLIN)
        while True:
            ready = dict(poller.poll(1e3 * TICK))
            self._look()
            if self.link.fileno() in ready:
                raise Abandoned  # nothing comes from the run before it has its answer, but its end
            fate = self._fate(process)
            try:
                for message in islice(iter(process.inbox.receive, None), AT_ONCE):
                    if answer := _answer(cell, *message):
                        return answer
            except EOFError:
                fate = fate or self._fate_soon(process) or "it closed its connection to csbench"
            except wire.Garbled as error:
                return {"end": "garbled", "said": f"the worker process sent {error}"}, b""
            if fate:
                return {"end": "died", "said": fate}, b""
            if late := cell.late():
                return {"end": "timeout", "said": late}, b""
            if self.memory and (used := above(self.memory + cell.shared, below([process.pid]) | self._strays())):
                said = f"held {used / 2**30:.2f} GB, above the limit of {self.memory / 2**30:.2f} GB for a worker"
                return {"end": "memory", "said": said}, b""

    def _fate(self, process: Process) -> str | None:
        """How the method's process ended, if it did; all that has ended is reaped."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.bell, 4096)
        for pid, status in reap():
            if pid == process.pid:
                process.reaped = not os.WIFSTOPPED(status)
                return how(status)
        return None

    def _fate_soon(self, process: Process) -> str | None:
        """The same for a process whose connection is closed: it is ending, or has closed what it found open."""
        deadline = time.monotonic() + 2 * TICK
        while time.monotonic() < deadline:
            if fate := self._fate(process):
                return fate
            time.sleep(TICK / 20)
        return None

    def _begin(self, key: str) -> Process:
        ours, theirs = wire.pair()
        pid = begin("csbench.runner.worker", theirs, parent=os.getpid())
        return Process(pid, key, ours, wire.Inbox(ours, 0))

    def _strays(self) -> set[int]:
        """What the method has started: children of its process, and orphans that have become this process's."""
        roots = set(children(os.getpid()))
        if self.process and not self.process.reaped:
            roots = roots - {self.process.pid} | set(children(self.process.pid))
        return below(roots)

    def _end_process(self) -> dict[int, str]:
        """End the method's process and all that it has started; the latter, by process id."""
        process = self.process
        if process is None:
            return {}
        if not process.reaped:
            os.kill(process.pid, signal.SIGSTOP)  # it starts no more
        ended = end(self._strays)
        if not process.reaped:
            os.kill(process.pid, signal.SIGKILL)
            os.waitpid(process.pid, 0)
        self.process = None
        process.link.close()
        return ended | end_children()


def _answer(cell: Cell, header: dict[str, Any], body: bytes) -> Answer | None:
    """What a message of the method's process says; None where it only says how far the process is."""
    what = header.get("what")
    if what == "ready":
        cell.start()
        return None
    if what == "compiling":
        cell.compile(header.get("now") is True)
        return None
    if what in ("compiled", "lost") and cell.started is None:
        return {"end": what, "said": f"instead of an answer the worker process says {what!r}"}, b""
    cell.start()
    assert cell.started is not None
    told = {"seconds": time.monotonic() - cell.started, "compiled": cell.compiled()}
    return {"end": "answer", "changed": header.get("changed") is not False} | told, body
