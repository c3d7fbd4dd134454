"""The command line. Heavy imports happen inside the commands, so that `--help` and `list` answer at once."""

from __future__ import annotations

import sys
from typing import NoReturn

from csbench.cli import citing, listing, priors, reporting, running, upkeep  # noqa: F401  each registers its commands
from csbench.cli.common import app, fail
from csbench.core.errors import CsbenchError, UsageError
from csbench.runner.compiling import find_cache
from csbench.runner.interrupts import exit_code, interruptible

INTERRUPTED = 130  # where no signal came, and yet something was interrupted


def main() -> NoReturn:
    """Entry point: 0 done and ok, 1 something failed or differs, 2 the call was wrong, 128 + N ended by signal N."""
    with interruptible():
        try:
            find_cache()
            app()
        except UsageError as error:
            fail(error, 2)
        except CsbenchError as error:
            fail(error, 1)
        except (KeyboardInterrupt, SystemExit) as end:  # typer makes the latter of the former
            sys.exit(exit_code() or getattr(end, "code", INTERRUPTED))
        sys.exit(0)
