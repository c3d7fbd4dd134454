"""How the processes of a run come about: each has one connection to the one that it serves, and nothing else of it.

On Linux they are forked from a process that has imported the libraries, which takes milliseconds. Elsewhere a fork of a
process that has used its system's libraries may crash, so each is a new interpreter, and takes seconds.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import traceback
from typing import Any

from csbench.runner.subreaper import LINUX

CODE = (
    "import json, sys; told = json.loads(sys.argv[1]); sys.path[:] = told['path']; "
    "from csbench.runner.birth import live; live(told)"
)
RESET = (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)
HIGHEST = 2**16  # file descriptors that are closed one by one, where the system names no limit


def begin(module: str, link: socket.socket, **arguments: Any) -> int:
    """A process that runs `main(link, **arguments)` of a module, forked where that is safe; its id.

    It is a session of its own, so that no signal to a terminal or a group reaches it.

    Args:
        link: the new process's end; this process closes it.
        arguments: what JSON can hold.
    """
    if not LINUX:
        process = spawn(module, link, os.environ, subprocess.DEVNULL, **arguments)
        process.returncode = 0  # whoever calls this reaps it
        return process.pid
    pid = os.fork()
    if pid == 0:
        _be(module, link.fileno(), arguments)
    link.close()
    return pid


def spawn(module: str, link: socket.socket, environment: Any, errors: Any, **arguments: Any) -> subprocess.Popen:
    """The same in a new interpreter, that finds what this one finds.

    Args:
        errors: where its standard error goes.
    """
    told = {"module": module, "link": link.fileno(), "path": sys.path, "arguments": arguments}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, json.dumps(told)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        env=environment,
        pass_fds=[link.fileno()],
        start_new_session=True,
    )
    link.close()
    return process


def live(told: dict[str, Any]) -> None:
    """What a new interpreter does."""
    _be(told["module"], told["link"], told["arguments"])


def _be(module: str, link: int, arguments: dict[str, Any]) -> None:
    """Run to the end of this process; whatever happens it returns to nobody's code."""
    code = 1
    try:
        with contextlib.suppress(OSError):  # it may lead one already
            os.setsid()
        signal.set_wakeup_fd(-1)
        for number in RESET:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        close_all_but(link)
        importlib.import_module(module).main(socket.socket(fileno=link), **arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stderr.flush()
        os._exit(code)


def close_all_but(link: int) -> None:
    """Close what this process inherited, the standard streams and one connection excepted."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = HIGHEST if most == resource.RLIM_INFINITY else most
    os.closerange(3, link)
    os.closerange(link + 1, max(most, link + 1))


def settle() -> None:
    """Before a process is forked many times: what it holds stays where it is, so that children share its memory."""
    gc.collect()
    gc.freeze()
