"""Annotations tell the truth about shapes: csbench runs with all of them enforced, in a process of its own."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("checks", [("operators", "scores", "solvers", "priors"), ("methods",), ("refusals",)])
def test_what_is_annotated_holds(checks):
    command = [sys.executable, "-m", "tests.enforced", *checks]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stderr
