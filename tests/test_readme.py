"""Figures of the README that are computed from the committed results, and files that the documentation names."""

import re
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


def test_files_that_the_architecture_names_are_there():
    text = (ROOT / "docs" / "architecture.md").read_text()
    known = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("[cdmst]*/**/*.py")}
    names = {path.rpartition("/")[2] for path in known}
    for name in set(re.findall(r"`([\w/]+\.py)`", text)):
        assert name in known or ("/" not in name and name in names), name
