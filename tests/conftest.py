"""What several test modules need: one thread, a command runner, a tiny suite, plug-ins that are really installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent

TINY_SUITE = """\
name = "tiny"
version = 1
title = "A tiny suite"
dataset = "mnist"
operator = "gaussian"
m = [10, 25]
noise_norm = 0.1
images = 3
draws = 1
reference_m = 25
published = false
"""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny_suite(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY_SUITE)
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Environment of a subprocess: finds this csbench, and plug-ins in `tmp_path/plugins`."""
    paths = [str(tmp_path / "plugins"), str(ROOT)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200", "NO_COLOR": "1"}


Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def csbench(tmp_path: Path, environment: dict[str, str]) -> Run:
    """Runs the command line in a folder of its own, as a user would."""

    def run(*arguments: str | Path, timeout: float = 120) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "csbench", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture
def install_plugin(tmp_path: Path) -> Callable[[str, str], Path]:
    """Puts a module where the subprocess finds it, with the metadata of an installed package that declares it."""

    def install(module: str, source: str) -> Path:
        folder = tmp_path / "plugins"
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        path = folder / f"{module}.py"
        path.write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[csbench.methods]\n{module} = {module}\n")
        return path

    return install


@pytest.fixture
def full_data() -> Path:
    """The folder with the full official files."""
    folder = os.environ.get("CSBENCH_DATA")
    if not folder or not (Path(folder) / "mnist").is_dir():
        pytest.skip("CSBENCH_DATA names no folder with the full MNIST files")
    return Path(folder)
