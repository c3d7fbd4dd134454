"""From `new-method` to a run, in a copy of the checkout, as a newcomer does it."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.fixture
def checkout(tmp_path):
    """csbench with its links, without results and data that are not needed."""
    folder = tmp_path / "checkout"
    skip = shutil.ignore_patterns("__pycache__", ".git", "suite=*", "gallery", "*celeba*", ".venv", "*.egg-info")
    shutil.copytree(ROOT, folder, symlinks=True, ignore=skip)
    return folder


def command(checkout, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(checkout), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=checkout, env=environment, capture_output=True, text=True, timeout=300
    )


def test_a_new_method_passes_its_checks_and_its_test_and_runs(checkout):
    made = command(checkout, "csbench", "new-method", "my-ridge")
    assert made.returncode == 0, made.stderr
    assert "csbench check methods/my_ridge.py" in made.stdout
    checked = command(checkout, "csbench", "check", "methods/my_ridge.py")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "failed" not in checked.stdout
    tested = command(checkout, "pytest", "-q", "tests/test_my_ridge.py", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    ran = command(checkout, "csbench", "run", "quick", "--methods", "my-ridge", "--images", "2", "--m", "25")
    assert ran.returncode == 0, ran.stderr
    assert "my-ridge" in ran.stdout
    style = command(checkout, "ruff", "check", "methods/my_ridge.py", "tests/test_my_ridge.py")
    assert style.returncode == 0, style.stdout
    again = command(checkout, "csbench", "new-method", "my-ridge")
    assert again.returncode == 2
    assert "there is a method called 'my-ridge'" in again.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MyMethod", "lower case words joined by hyphens"),
        ("lasso-dct", "there is a method"),
        ("mine", "has no methods/"),
    ],
)
def test_new_method_refuses(csbench, tmp_path, name, message):
    done = csbench("new-method", name)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


BROKEN = '''
from dataclasses import dataclass, field
import torch
from csbench import Method

@dataclass(frozen=True)
class Broken(Method):
    """Breaks most rules."""
    table: dict = field(default_factory=lambda: {"a": torch.zeros(1)})

    def recover(self, given, rng):
        torch.set_num_threads(2)
        given.y.zero_()
        return 2 * torch.rand(given.batch, given.n, dtype=given.y.dtype)
'''


def test_check_says_what_to_fix(csbench, install_plugin):
    path = install_plugin("broken", BROKEN)
    for target in ("broken", path):
        done = csbench("check", target)
        assert done.returncode == 1
        for advice in (
            "fields are numbers, strings",
            "clamp x_hat to that range",
            "work on given.y.clone()",
            "draw all randomness from rng",
            "torch's global generator was used",
        ):
            assert advice in done.stdout, advice
        assert "6 checks failed" in done.stderr


def test_check_of_what_is_not_there(csbench, tmp_path):
    assert "unknown method 'nosuch'" in csbench("check", "nosuch").stderr
    assert "no such file" in csbench("check", "nosuch.py").stderr
    (tmp_path / "stray.py").write_text(BROKEN)
    done = csbench("check", "stray.py")
    assert done.returncode == 2
    assert "entry-point group csbench.methods" in done.stderr
