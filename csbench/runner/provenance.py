"""Where and with what a run was made; collected once per run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_info

import csbench
from csbench import __version__
from csbench.core.machine import cpu_model
from csbench.runner.limits import cores, memory

PACKAGES = ("torch", "numpy", "scipy", "numba", "PyWavelets", "pyarrow")


def collect() -> dict[str, Any]:
    """Commit and dirty flag, versions, processor, system, command and start; paths in the command lose their folders.

    Commit and dirty are None where csbench does not run from a checkout of its own. New files count as dirty.
    """
    checkout = _git("rev-parse", "--show-toplevel")
    own = checkout is not None and Path(checkout).resolve() == Path(csbench.__file__).resolve().parent.parent
    changes = _git("status", "--porcelain", "--", "csbench", "methods", "datasets", cwd=checkout) if own else None
    return {
        "csbench": __version__,
        "commit": _git("rev-parse", "HEAD") if own else None,
        "dirty": None if changes is None else bool(changes),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_gb": _memory_gb(),
        "os": f"{platform.system()} {platform.release()}",
        "blas": _blas(),
        "threads_per_worker": 1,
        "command": " ".join(["csbench", *(Path(word).name if os.sep in word else word for word in sys.argv[1:])]),
        "started": now(),
    }


def now() -> str:
    """The time in UTC to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _blas() -> str:
    """The libraries for matrix products that are loaded, with their versions."""
    found = {f"{lib['internal_api']} {lib['version']}" for lib in threadpool_info() if lib["user_api"] == "blas"}
    return ", ".join(sorted(found | ({"mkl in torch"} if torch.backends.mkl.is_available() else set())))


def _git(*arguments: str, cwd: str | Path | None = None) -> str | None:
    """Git's answer about the checkout that this file is in; None where it is in none."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd or Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _memory_gb() -> float | None:
    total = memory()
    return None if total is None else round(total / 2**30, 1)
