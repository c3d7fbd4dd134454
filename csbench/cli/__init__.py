"""The command line. Heavy imports happen inside the commands, so that `--help` and `list` answer at once."""

from __future__ import annotations

import sys
from typing import NoReturn

from csbench.cli import citing, listing, priors, reporting, running, upkeep  # noqa: F401  each registers its commands
from csbench.cli.common import app, fail
from csbench.core.errors import CsbenchError, UsageError


def main() -> NoReturn:
    """Entry point: 0 done and ok, 1 something failed or differs, 2 the call was wrong, 130 interrupted."""
    try:
        app()
    except UsageError as error:
        fail(error, 2)
    except CsbenchError as error:
        fail(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
