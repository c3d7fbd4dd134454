"""Places for cells on this machine: keepers that a server forks, and that outlive whatever a method does."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from csbench.core.errors import CsbenchError
from csbench.runner import compiling, wire
from csbench.runner.birth import spawn
from csbench.runner.limits import Limits
from csbench.runner.scratch import scratch
from csbench.runner.server import REQUEST
from csbench.runner.subreaper import MARK, end_marked

ATTEMPTS = 3  # to start a server
STOP_SECONDS = 5.0  # for a server to end all that it has forked
NEWS_SECONDS = 2.0  # for a server to say how a keeper ended
ANSWER = 2**40  # bytes of an answer; the keeper knows what each may have
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Server:
    """The run's end of the process that forks its keepers.

    Attributes:
        ready: whether it has said that it is.
    """

    def __init__(self, mark: str, errors: Path):
        self.ready, self.errors = False, errors
        self._fates: dict[int, str] = {}
        self.link, theirs = wire.pair()
        self._inbox = wire.Inbox(self.link, 0)
        tied = threading.current_thread() is threading.main_thread()  # the kernel means the thread, which has to last
        self.process = _started(theirs, {**os.environ, MARK: mark}, errors, tied)

    def keeper(self, number: int, memory: int | None) -> socket.socket:
        """A connection to a new keeper.

        Raises:
            OSError: the server has ended.
        """
        ours, theirs = wire.pair()
        with theirs:
            self.link.settimeout(wire.SEND_SECONDS)
            socket.send_fds(self.link, [REQUEST.pack(number, memory or 0)], [theirs.fileno()])
        return ours

    def fate(self, number: int) -> str | None:
        """How a keeper ended; None where the server has ended too."""
        deadline = time.monotonic() + NEWS_SECONDS
        with contextlib.suppress(EOFError, wire.Garbled):
            while number not in self._fates and (left := deadline - time.monotonic()) > 0:
                if message := self._inbox.wait(left):
                    self._note(message[0])
        return self._fates.pop(number, None)

    def look(self) -> None:
        """Take what it says, and kill it if something has stopped it."""
        with contextlib.suppress(EOFError, wire.Garbled):
            while message := self._inbox.receive():
                self._note(message[0])
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT):
                self.process.kill()

    def ended(self) -> bool:
        self.look()
        return self.process.poll() is not None

    def close(self) -> None:
        """End it, and wait until all that it has forked has ended."""
        self.link.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def complaint(self) -> str:
        """The last line of what it wrote to standard error, or how it ended."""
        lines = []
        with contextlib.suppress(OSError):  # somebody may have removed it
            lines = self.errors.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"the process that starts them ended with {self.process.returncode}"

    def _note(self, news: dict[str, Any]) -> None:
        if news["what"] == "ready":
            self.ready = True
        else:
            self._fates[news["number"]] = news["how"]


def _started(link: socket.socket, environment: dict[str, str], errors: Path, tied: bool) -> subprocess.Popen:
    try:
        with errors.open("wb") as file:
            return spawn("csbench.runner.server", link, environment, file, parent=os.getpid(), tied=tied)
    except OSError as error:
        raise CsbenchError(f"no worker process starts: {error}; what is finished is kept") from error


class Place:
    """One keeper at a time, replaced when it ends.

    Attributes:
        method: that its process serves, or None.
    """

    def __init__(self, pool: Pool):
        self._pool = pool
        self._server: Server | None = None
        self._number = 0
        self._inbox: wire.Inbox | None = None
        self.method: str | None = None

    def give(self, key: str, cell: dict[str, Any], task: bytes) -> None:
        """Hand over a task.

        Raises:
            CsbenchError: no process can be started.
        """
        for _ in range(ATTEMPTS):
            self._inbox = self._inbox or self._begun()
            try:
                wire.send(self._inbox.link, {"key": key, "cell": cell}, task)
            except OSError:  # it has ended while it had nothing to do
                self.drop()
            else:
                self.method = key
                return
        raise CsbenchError("no worker process takes a cell; what is finished is kept")

    def _begun(self) -> wire.Inbox:
        self._server, self._number, link = self._pool.keeper()
        return wire.Inbox(link, ANSWER)

    def fileno(self) -> int:
        assert self._inbox is not None
        return self._inbox.link.fileno()

    def receive(self) -> wire.Message | None:
        """What the keeper says, if all of it is there.

        Raises:
            EOFError: it has ended.
        """
        assert self._inbox is not None
        return self._inbox.receive()

    def fate(self) -> str | None:
        """How the keeper ended; None where it never began, since its server has not come up.

        Raises:
            CsbenchError: no server comes up.
        """
        assert self._server is not None
        return self._pool.fate(self._server, self._number)

    def drop(self) -> None:
        """Leave the keeper, which then ends with all that it keeps."""
        if self._inbox is not None:
            self._inbox.link.close()
        self._inbox = self.method = None


class Pool:
    """Places for so many cells at a time, and the folder where their processes find measurements."""

    def __init__(self, jobs: int, limits: Limits, folder: Path):
        self.folder, self._memory = folder, limits.memory(jobs)
        self._lock = threading.RLock()
        self._servers, self._keepers, self._failures = 0, 0, 0
        self._server = self._new_server()
        self._all = [Place(self) for _ in range(jobs)]
        self._free: queue.Queue[Place] = queue.Queue()
        for place in self._all:
            self._free.put(place)

    @contextlib.contextmanager
    def places(self, count: int) -> Iterator[list[Place]]:
        """So many places for one caller, as soon as they are free; threads of a Dask worker take one each."""
        taken = [self._free.get() for _ in range(count)]
        try:
            yield taken
        finally:
            for place in taken:
                self._free.put(place)

    def keeper(self) -> tuple[Server, int, socket.socket]:
        """A new keeper: its server, its number and the connection."""
        with self._lock:
            while True:
                if self._server.ended():
                    self._replace()
                self._keepers += 1
                with contextlib.suppress(OSError):
                    return self._server, self._keepers, self._server.keeper(self._keepers, self._memory)
                self._server.process.kill()
                self._server.process.wait()

    def fate(self, server: Server, number: int) -> str | None:
        """As `Place.fate`."""
        with self._lock:
            said = server.fate(number)
            if said is not None:
                return said
            if server is self._server:
                self._replace()
            return "with the server that forked it" if server.ready else None

    def look(self) -> None:
        """See to it that what something has stopped ends."""
        with self._lock:
            self._server.look()

    def _new_server(self) -> Server:
        self._servers += 1
        return Server(self.folder.name, self.folder / f"server-{self._servers}.txt")

    def _replace(self) -> None:
        """Another server for one that has ended, and the end of all that it may have left."""
        self._server.look()
        self._server.close()
        end_marked(self.folder.name)
        self._failures = 0 if self._server.ready else self._failures + 1
        if self._failures == ATTEMPTS:
            raise CsbenchError(f"no worker process starts: {self._server.complaint()}; what is finished is kept")
        self._server = self._new_server()

    def close(self) -> None:
        """End what runs."""
        for place in self._all:
            place.drop()
        self._server.close()
        end_marked(self.folder.name)


@contextlib.contextmanager
def open_pool(jobs: int, limits: Limits) -> Iterator[Pool]:
    """A pool of `jobs` places; what still runs in it at the end is ended.

    Raises:
        CsbenchError: no processes can be started, or TMPDIR cannot be written to.
    """
    torch.set_num_threads(1)  # the parent simulates and scores beside its workers
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # workers inherit it, and libraries read it as they load
    compiling.find_cache()
    with scratch() as folder, contextlib.closing(Pool(jobs, limits, folder)) as pool:
        yield pool
