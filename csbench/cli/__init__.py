"""The command line. Heavy imports happen inside the commands, so that `--help` and `list` answer at once."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import NoReturn

from csbench.cli import citing, listing, priors, reporting, running, upkeep  # noqa: F401  each registers its commands
from csbench.cli.common import app, fail
from csbench.core.errors import CsbenchError, UsageError
from csbench.core.files import described
from csbench.runner.compiling import find_cache
from csbench.runner.interrupts import exit_code, interruptible

INTERRUPTED = 130  # where no signal came, and yet something was interrupted


def main() -> NoReturn:
    """Entry point: 0 done and ok, 1 something failed or differs, 2 the call was wrong, 128 + N ended by signal N."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be text in any encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    with interruptible():
        try:
            find_cache()
            _typed()
        except UsageError as error:
            fail(error, 2)
        except CsbenchError as error:
            fail(error, 1)
        except (KeyboardInterrupt, SystemExit) as end:  # typer makes the latter of the former
            sys.exit(exit_code() or getattr(end, "code", INTERRUPTED))
        except BrokenPipeError:  # who reads has seen enough
            _drop_output()
            sys.exit(1)
        except OSError as error:
            _drop_output()
            fail(CsbenchError(described(error)), 1)
        sys.exit(0)


def _typed() -> None:
    try:
        app()
    finally:
        sys.stdout.flush()


def _drop_output() -> None:
    """What is left to print cannot be; Python would try once more, and say so."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
