"""What numba compiles in a method's process, heard as it happens; numba is never imported for it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from time import perf_counter, process_time  # by name, so that a method that replaces time's gets no other times
from types import ModuleType
from typing import Any


class Jit:
    """Counts and times what numba compiles in this process, from when something imports numba.

    The compiler's lock is what is timed: it is held while numba compiles, and while it loads from its cache and stores
    there, for functions of every kind; it is taken again by whatever compiles for what compiles.

    Args:
        tell: called with True when numba sets to work, and with False when it has come to the end, by the thread that
            compiles and not by a process that this one forks.

    Attributes:
        wall, cpu: seconds so far.
    """

    def __init__(self, tell: Callable[[bool], None]):
        self.wall, self.cpu = 0.0, 0.0
        self._tell, self._own, self._lock = tell, os.getpid(), threading.RLock()
        self._functions, self._depth, self._since = 0, 0, (0.0, 0.0)
        once_imported("numba", self._listen)

    def compiled(self) -> int:
        """How many functions numba has compiled, rather than loading them from its cache, since the last call.

        What is never cached does not count.
        """
        count, self._functions = self._functions, 0
        return count

    def _listen(self) -> None:
        from numba.core import event

        count, begin, end = self._count, self._begin, self._end

        class Functions(event.Listener):
            def on_start(self, event: event.Event) -> None:
                assert event.data is not None
                count(event.data["dispatcher"])

            def on_end(self, event: event.Event) -> None:
                """Has been counted."""

        class Work(event.Listener):
            def on_start(self, event: event.Event) -> None:
                begin()

            def on_end(self, event: event.Event) -> None:
                end()

        event.register("numba:compile", Functions())
        event.register("numba:compiler_lock", Work())

    def _count(self, dispatcher: Any) -> None:
        stats = getattr(dispatcher, "stats", None)  # a loop that is compiled by itself has none, nor a cache
        self._functions += stats is not None and stats.cache_path is not None

    def _begin(self) -> None:
        if os.getpid() == self._own:
            with self._lock:
                self._depth += 1
                if self._depth == 1:
                    self._since = perf_counter(), process_time()
                    self._tell(True)

    def _end(self) -> None:
        if os.getpid() == self._own:
            with self._lock:
                self._depth -= 1
                if self._depth == 0:
                    self.wall += perf_counter() - self._since[0]
                    self.cpu += process_time() - self._since[1]
                    self._tell(False)


def once_imported(name: str, then: Callable[[], None]) -> None:
    """Call `then` as soon as a package is imported; now, if it is already."""
    if name in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, _Awaited(name, then))


class _Awaited(MetaPathFinder):
    """Finds one package as Python does, once, and calls a function when it has been imported."""

    def __init__(self, name: str, then: Callable[[], None]):
        self.name, self.then = name, then

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute, then = spec.loader.exec_module, self.then

        def executed(module: ModuleType) -> None:
            execute(module)
            then()

        spec.loader.exec_module = executed
        return spec
