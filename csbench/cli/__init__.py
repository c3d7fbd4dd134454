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


def main() -> NoReturn:
    """Entry point: 0 done and ok, 1 something failed or differs, 2 the call was wrong, 130 interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be text in any encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except UsageError as error:
        fail(error, 2)
    except CsbenchError as error:
        fail(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # who reads has seen enough
        _drop_output()
        sys.exit(1)
    except OSError as error:
        _drop_output()
        fail(CsbenchError(described(error)), 1)
    sys.exit(0)


def _drop_output() -> None:
    """What is left to print cannot be; Python would try once more, and say so."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
