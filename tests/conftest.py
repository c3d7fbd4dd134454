"""What several test modules need: one thread, a command runner, a tiny suite, plug-ins that are really installed."""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.context
import multiprocessing.forkserver
import os
import subprocess
import sys
import tempfile
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


def pytest_configure() -> None:
    """One thread in every process that a test starts: beside other tests, threads mostly wait for each other."""
    os.environ["OMP_NUM_THREADS"] = "1"


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
    return environment_of(tmp_path)


def environment_of(folder: Path) -> dict[str, str]:
    paths = [str(folder / "plugins"), str(ROOT)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200", "NO_COLOR": "1"}


Run = Callable[..., subprocess.CompletedProcess]
WARM = ["csbench.cli.running", "csbench.runner.run", "csbench.methods.lasso", "matplotlib.figure"]


@pytest.fixture(scope="session")
def warm() -> multiprocessing.context.BaseContext:
    """A server that has imported csbench, for commands that need no new interpreter each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*WARM, "csbench.runner.worker"])
    multiprocessing.forkserver.ensure_running()
    return context


@pytest.fixture(autouse=True)
def _warm_first(warm: multiprocessing.context.BaseContext) -> None:
    """Whatever test is the first to start processes, the server is that of `warm`."""


@pytest.fixture
def csbench(tmp_path: Path, environment: dict[str, str], warm: multiprocessing.context.BaseContext) -> Run:
    """Runs a command in a folder and a process of its own, forked from one that has imported csbench already."""
    return forked(tmp_path, environment, warm)


@pytest.fixture(scope="module")
def csbench_in(warm: multiprocessing.context.BaseContext) -> Callable[[Path], Run]:
    """The same in a folder that several tests of a module share, for what is made once and copied for each of them."""
    return lambda folder: forked(folder, environment_of(folder), warm)


def forked(folder: Path, environment: dict[str, str], warm: multiprocessing.context.BaseContext) -> Run:
    def run(*arguments: str | Path, timeout: float = 120) -> subprocess.CompletedProcess:
        command = ["csbench", *map(str, arguments)]
        with tempfile.TemporaryDirectory() as streams:
            out, err = Path(streams, "out"), Path(streams, "err")
            process = warm.Process(target=type_command, args=(command, folder, environment, out, err))
            process.start()
            process.join(timeout)
            if process.exitcode is None:
                process.kill()
                raise subprocess.TimeoutExpired(command, timeout, out.read_bytes(), err.read_bytes())
            return subprocess.CompletedProcess(command, process.exitcode, out.read_text(), err.read_text())

    return run


def type_command(command: list[str], folder: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    """What the command does when it is typed in a folder and an environment."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    importlib.invalidate_caches()
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    sys.stdout, sys.stderr = (open(stream, "w", closefd=False) for stream in (1, 2))  # noqa: SIM115
    sys.argv = command

    from csbench.cli import main

    main()


@pytest.fixture
def typed(tmp_path: Path, environment: dict[str, str]) -> Run:
    """Runs a command in a new interpreter, as a newcomer's shell does."""

    def run(*arguments: str | Path, timeout: float = 120) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "csbench", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture
def install_plugin(tmp_path: Path) -> Callable[..., Path]:
    """Puts a module where the subprocess finds it, with the metadata of an installed package that declares it."""

    def install(module: str, source: str, kind: str = "methods") -> Path:
        folder = tmp_path / "plugins"
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        path = folder / f"{module}.py"
        path.write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[csbench.{kind}]\n{module} = {module}\n")
        return path

    return install


FEW_DIGITS = """
from csbench import Dataset, get_dataset

class FewDigits(Dataset):
    \"\"\"Embedded digits, few enough that what is trained on them is trained at once.\"\"\"
    name = "few-digits"
    image_shape = (1, 28, 28)
    licence = "CC BY-SA 3.0"

    def images(self, split):
        return get_dataset("mnist").images(split)[: 200 if split == "train" else 2]
"""


@pytest.fixture
def few_digits(install_plugin: Callable[..., Path]) -> str:
    """The name of a dataset on which commands train a prior in no time, without the official files."""
    install_plugin("few_digits", FEW_DIGITS, kind="datasets")
    return "few-digits"


@pytest.fixture
def full_data() -> Path:
    """The folder with the full official files."""
    folder = os.environ.get("CSBENCH_DATA")
    if not folder or not (Path(folder) / "mnist").is_dir():
        pytest.skip("CSBENCH_DATA names no folder with the full MNIST files")
    return Path(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need the official files, so that they can be run apart and none is forgotten."""
    for item in items:
        if "full_data" in getattr(item, "fixturenames", ()):
            item.add_marker("full_data")
