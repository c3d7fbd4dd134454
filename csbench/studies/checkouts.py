"""Older code beside today's: a worktree of a commit, an environment with its packages, a process that runs cells."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from csbench.core.errors import CsbenchError, UsageError
from csbench.freshness.made_by import ROOT

DRIVER = Path(__file__).with_name("driver.py")
CODE = ("csbench", "methods", "datasets")


@dataclass
class Checkouts:
    """Worktrees of this checkout's commits, which end with the `with` block.

    Attributes:
        folder: where they are.
    """

    folder: Path
    _trees: dict[str, Path] = field(default_factory=dict)

    def tree(self, commit: str) -> Path:
        """The files of a commit.

        Raises:
            CsbenchError: the commit is not in this clone; the message says how to get it.
        """
        if commit not in self._trees:
            if git("cat-file", "-e", f"{commit}^{{commit}}") is None:
                raise CsbenchError(
                    f"commit {commit[:12]} is not in this clone; `git fetch --depth 1 origin {commit}` gets it"
                )
            path = self.folder / commit[:12]
            git("worktree", "add", "--detach", "--force", str(path), commit, check=True)
            self._trees[commit] = path
        return self._trees[commit]

    def close(self) -> None:
        for path in self._trees.values():
            git("worktree", "remove", "--force", str(path))


@contextlib.contextmanager
def open_checkouts() -> Iterator[Checkouts]:
    """
    Raises:
        UsageError: csbench does not run from a checkout.
    """
    if git("rev-parse", "--show-toplevel") is None or not (ROOT / ".git").exists():
        raise UsageError(f"{ROOT} is no Git checkout; proofs compare the code of two commits, so clone the repository")
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"csbench-proof-{os.getpid()}-"))
    checkouts = Checkouts(folder)
    try:
        yield checkouts
    finally:
        checkouts.close()
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Remove the worktrees that proofs left behind when they were killed."""
    for folder in Path(tempfile.gettempdir()).glob("csbench-proof-*-*"):
        pid = folder.name.split("-")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
    git("worktree", "prune")


def git(*arguments: str, check: bool = False) -> str | None:
    """Git's answer about the checkout of this code; None where it fails.

    Raises:
        CsbenchError: it fails, and `check` says that it must not.
    """
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode and check:
        raise CsbenchError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return None if done.returncode else done.stdout.strip()


def commit_here() -> str:
    """The commit of the code that runs; empty where it has changes that are in none."""
    changes = git("status", "--porcelain", "--untracked-files=normal", "--", *CODE, ":!methods/tuned.json")
    return "" if changes else git("rev-parse", "HEAD") or ""


def resolved(revision: str) -> str:
    """The commit that a revision names.

    Raises:
        UsageError: there is none.
    """
    commit = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit is None:
        raise UsageError(f"--since {revision}: no such commit in this clone")
    return commit


def interpreter(environment: Path | None, tree: Path) -> str:
    """The Python of an environment; where the folder is not there, it is made with the versions that a commit names.

    Raises:
        CsbenchError: it cannot be made.
    """
    if environment is None:
        return sys.executable
    python = environment / "bin" / "python"
    if not python.exists():
        commands = [
            [sys.executable, "-m", "venv", str(environment)],
            [str(python), "-m", "pip", "install", "--quiet", "-c", "constraints.txt", "."],
            [str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "csbench"],  # the worktrees are run
        ]
        for command in commands:
            done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
            if done.returncode:
                raise CsbenchError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    return str(python.absolute())


@dataclass(frozen=True)
class Side:
    """One code: a checkout and the Python that runs it.

    Attributes:
        adapter: what stands in for `csbench.runner.inline`; None: nothing has to.
    """

    root: Path
    python: str
    adapter: Path | None = None


@dataclass(frozen=True)
class Answers:
    """What a process has written.

    Attributes:
        told: suite to what its cells would be made of there.
        imported: what ran before the first cell.
        jobs: of each cell its texts; None where the process ended before.
    """

    folder: Path
    told: dict[str, dict[str, dict[str, Any]]]
    imported: dict[str, Any]
    jobs: list[dict[str, Any] | None]

    def replace(self, numbers: list[int], others: Answers) -> None:
        """Take the answers of another process for some of the cells."""
        for position, number in enumerate(numbers):
            self.jobs[number] = others.jobs[position]
            if (path := others.folder / f"{position}.npz").exists():
                shutil.copy(path, self.folder / f"{number}.npz")


@contextlib.contextmanager
def running(
    side: Side,
    folder: Path,
    tell: list[tuple[str, list[str]]],
    jobs: list[dict[str, Any]],
    watch: Mapping[str, Any] = {},
    compiled: bool = True,
) -> Iterator[Callable[[float | None], Answers]]:
    """Start a process that runs cells; what is yielded waits for it, for so many seconds at most, and collects.

    Args:
        compiled: False: code that numba would compile is interpreted.
    """
    folder.mkdir(parents=True)
    request = {
        "root": str(side.root), "adapter": str(side.adapter) if side.adapter else None, "watch": watch, "tell": tell,
        "jobs": jobs, "answers": str(folder),
    }  # fmt: skip
    (folder / "request.json").write_text(json.dumps(request))
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment = os.environ | one_thread
    if not compiled:
        environment["NUMBA_DISABLE_JIT"] = "1"
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [side.python, "-P", str(DRIVER), str(folder / "request.json")], stdout=log, stderr=log, env=environment
        )

    def collect(seconds: float | None) -> Answers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        process.wait()
        if not (folder / "told.json").exists():
            said = (folder / "log.txt").read_text().strip().splitlines() or ["it was too slow"]
            raise CsbenchError(f"the code in {side.root.name} does not start: {said[-1]}")
        texts = [folder / f"{number}.json" for number in range(len(jobs))]
        found = [json.loads(path.read_text()) if path.exists() else None for path in texts]
        told = json.loads((folder / "told.json").read_text())
        return Answers(folder, told["suites"], told["imported"], found)

    try:
        yield collect
    finally:
        process.kill()
        process.wait()
