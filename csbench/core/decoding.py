"""Reading what others wrote: every way in which a decoder may fail becomes one error with a plain text."""

from __future__ import annotations

from types import TracebackType

from csbench.core.errors import CsbenchError

LONGEST = 300  # characters of a reason


class Decoding:
    """Around code that decodes a user's file: whatever it raises on damaged data becomes an error of one kind.

    Args:
        kind: of the error; what is of that kind already, or csbench's own, is left as it is.
        what: before the reason.
    """

    def __init__(self, kind: type[Exception], what: str = ""):
        self.kind = kind
        self.what = what

    def __enter__(self) -> None: ...

    def __exit__(self, _: type | None, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, Exception) & (not isinstance(error, (self.kind, CsbenchError))):
            raise self.kind(f"{self.what}{type(error).__name__}: {' '.join(str(error).split())[:LONGEST]}") from error
