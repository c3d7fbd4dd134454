"""Being told to stop: Ctrl-C, a terminal that closes, the end of a batch job. All are one interruption."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []
_terminals: list[int] = []  # the standard streams that are one


class Interrupted(KeyboardInterrupt):
    """A signal that asks to stop has come."""


def exit_code() -> int | None:
    """128 and the number of the signal that came, as shells have it; None where none did."""
    return 128 + _received[0] if _received else None


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within, the first such signal raises `Interrupted`, and later ones do nothing, for the end is under way.

    They do nothing afterwards either, if there was one. A signal that was ignored before stays so, as under nohup.
    Only for the main thread; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _terminals[:] = [stream for stream in (1, 2) if os.isatty(stream)]  # once one has closed, nobody can tell
    former = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in former.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in former.items():
            if handler is not None:
                signal.signal(number, signal.SIG_IGN if _received else handler)


def check() -> None:
    """Raise `Interrupted` once more, should the code that ran when the signal came have swallowed it."""
    if _received:
        raise Interrupted(signal.Signals(_received[0]).name)


def _stop(number: int, frame: FrameType | None) -> None:
    if _received:
        return
    _received.append(number)
    if number == signal.SIGHUP:
        _leave_terminal()
    raise Interrupted(signal.Signals(number).name)


def _leave_terminal() -> None:
    """What would be written to a terminal that has closed goes nowhere, rather than failing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in _terminals:
        os.dup2(nowhere, stream)
    os.close(nowhere)
