"""The process from which all others of a run are forked: it has imported the libraries, and runs no method's code.

Its parent, the run, asks for keepers, each with a connection of its own. As soon as the run has ended, by whatever
signal, the connection to it is closed, and this process ends itself and everything below it.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
import struct
import time

from csbench.runner import wire
from csbench.runner.birth import begin, settle
from csbench.runner.subreaper import adopt_orphans, below, children, die_with_parent, end, end_children, how

REQUEST = struct.Struct(">QQ")  # the number of a keeper, and bytes of memory, 0 for any; its connection comes with it
PRELOADED = ("numba", "csbench.runner.keeper", "csbench.operators", "csbench.priors.generator")
CHECK_SECONDS = 1.0  # between looks at whether the run is still there
GRACE_SECONDS = 0.3  # for keepers to end by themselves what they keep, when the run is over


def main(link: socket.socket, parent: int, tied: bool) -> None:
    """Serve a run until it ends.

    Args:
        link: to the run.
        parent: its process id.
        tied: whether the kernel is to kill this process with the thread that started it.
    """
    if tied:
        die_with_parent()
    adopt_orphans()
    bell = wake_on_child()
    for name in PRELOADED:
        importlib.import_module(name)
    settle()
    try:
        wire.send(link, {"what": "ready"})
        Server(link, parent, bell).serve()
    except (OSError, EOFError):
        pass  # the run has ended
    finally:
        deadline = time.monotonic() + GRACE_SECONDS
        while children(os.getpid()) and time.monotonic() < deadline:
            reap()
            time.sleep(0.01)
        end_children()


def wake_on_child() -> int:
    """A descriptor that can be read whenever a child has ended or has been stopped."""
    readable, writable = os.pipe()
    for end_of_pipe in (readable, writable):
        os.set_blocking(end_of_pipe, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


def reap() -> list[tuple[int, int]]:
    """Ids and statuses of the children that have ended or been stopped since the last call."""
    found = []
    try:
        while (one := os.waitpid(-1, os.WNOHANG | os.WUNTRACED))[0]:
            found.append(one)
    except ChildProcessError:
        pass
    return found


class Server:
    """Keepers by number, and what becomes of them."""

    def __init__(self, link: socket.socket, parent: int, bell: int):
        self.link, self.parent, self.bell = link, parent, bell
        self.keepers: dict[int, int] = {}  # process id to number
        self.fates: dict[int, str] = {}  # of those that were stopped and therefore killed

    def serve(self) -> None:
        """Raises: EOFError or OSError, when the run has ended."""
        poller = select.poll()
        poller.register(self.link, select.POLLIN)
        poller.register(self.bell, select.POLLIN)
        while os.getppid() == self.parent:
            ready = dict(poller.poll(1e3 * CHECK_SECONDS))
            if self.bell in ready:
                os.read(self.bell, 4096)
            self._bury()
            if self.link.fileno() in ready:
                self._fork()

    def _fork(self) -> None:
        self.link.settimeout(wire.SEND_SECONDS)
        request, descriptors, _, _ = socket.recv_fds(self.link, REQUEST.size, 1)
        if len(request) < REQUEST.size or not descriptors:
            raise EOFError
        number, memory = REQUEST.unpack(request)
        link = socket.socket(fileno=descriptors[0])
        self.keepers[begin("csbench.runner.keeper", link, memory=memory or None, parent=os.getpid())] = number

    def _bury(self) -> None:
        """Tell the run of keepers that have died, and end what they leave; what has no parent any more is theirs."""
        for pid, status in reap():
            if pid not in self.keepers:
                continue
            if os.WIFSTOPPED(status):
                self.fates[pid] = how(status)
                os.kill(pid, signal.SIGKILL)
            else:
                said = self.fates.pop(pid, how(status))
                wire.send(self.link, {"what": "ended", "number": self.keepers.pop(pid), "how": said})
        if set(children(os.getpid())) - self.keepers.keys():
            end(lambda: below(set(children(os.getpid())) - self.keepers.keys()))
