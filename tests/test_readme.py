"""Figures of the README that are computed from the committed results."""

import subprocess
import sys

from tests.conftest import ROOT


def cells(text: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if set(row[0]) != {"-"}]


def test_the_savings_are_those_of_the_results():
    printed = subprocess.run(
        [sys.executable, "docs/reference/savings.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    section = (ROOT / "README.md").read_text().split("## What a prior saves")[1].split("\n## ")[0]
    assert cells(section) == cells(printed)
