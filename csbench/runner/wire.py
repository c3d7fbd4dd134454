"""Messages between the processes of a run: a small header in JSON, and bytes."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
from typing import Any

LENGTHS = struct.Struct(">QQ")  # of header and body
HEADER = 2**16  # bytes of a header, at most
CHUNK = 2**18
BUFFER = 2**20  # bytes that a socket holds, where the system allows it
SEND_SECONDS = 20.0  # for whoever is at the other end to take a message
Message = tuple[dict[str, Any], bytes]


class Garbled(Exception):
    """What came is no message."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection that has no name, so that no length of a path and no other process matters."""
    both = socket.socketpair()
    for one in both:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return both


def send(link: socket.socket, header: dict[str, Any], body: bytes = b"") -> None:
    """Raises: OSError, where nobody takes it; TimeoutError is one."""
    head = json.dumps(header).encode()
    link.settimeout(SEND_SECONDS)
    link.sendall(LENGTHS.pack(len(head), len(body)) + head + body)


class Inbox:
    """Messages as they arrive, without ever waiting for the rest of one.

    Args:
        most: bytes of a body, at most.
    """

    def __init__(self, link: socket.socket, most: int):
        self.link, self.most = link, most
        self._bytes = bytearray()

    def receive(self) -> Message | None:
        """The next message, if all of it is there.

        Raises:
            EOFError: the other end is closed, and no whole message is left.
            Garbled: this is no message, or one that is too large.
        """
        ended = self._fill()
        if message := self._parsed():
            return message
        if ended:
            raise EOFError
        return None

    def wait(self, seconds: float | None = None) -> Message | None:
        """The same, and waits for it; None after so many seconds."""
        while (message := self.receive()) is None:
            poller = select.poll()
            poller.register(self.link, select.POLLIN)
            if not poller.poll(None if seconds is None else 1e3 * seconds):
                return None
        return message

    def _fill(self) -> bool:
        """Take what is there; whether the other end is closed."""
        while len(self._bytes) <= LENGTHS.size + HEADER + self.most:
            try:
                self.link.setblocking(False)
                part = self.link.recv(CHUNK)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:  # reset, or closed at this end
                return True
            if not part:
                return True
            self._bytes += part
        return False

    def _parsed(self) -> Message | None:
        if len(self._bytes) < LENGTHS.size:
            return None
        head, body = LENGTHS.unpack_from(self._bytes)
        if head > HEADER or body > self.most:
            raise Garbled(f"a message of {body} bytes, where {self.most} are the most that an answer can have")
        start, whole = LENGTHS.size + head, LENGTHS.size + head + body
        if len(self._bytes) < whole:
            return None
        try:
            header = json.loads(self._bytes[LENGTHS.size : start])
        except (ValueError, RecursionError) as error:
            raise Garbled("a message whose header is not JSON") from error
        if not isinstance(header, dict):
            raise Garbled("a message whose header is no object")
        content = bytes(self._bytes[start:whole])
        del self._bytes[:whole]
        return header, content
