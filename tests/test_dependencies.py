"""What is imported is declared: no package is there only because another one happens to bring it."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OURS = {"csbench", "tests"}
DISTRIBUTIONS = packages_distributions()


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(*requirements: list[str]) -> set[str]:
    """The distributions of some lists of requirements."""
    return {canonical(re.match(r"[\w.-]+", line)[0]) for lines in requirements for line in lines}


def imported(folder: str) -> dict[str, str]:
    """Top-level name of every import from elsewhere, wherever it stands in a module, and a file that has it."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            found |= {name.split(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {name: path for name, path in found.items() if name not in OURS | sys.stdlib_module_names}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [("csbench", [*EXTRAS]), ("methods", [*EXTRAS]), ("datasets", [*EXTRAS]), ("tests", ["test"])],
)
def test_imports_are_declared(folder, extras):
    declared = named(PROJECT["dependencies"], *(EXTRAS[extra] for extra in extras))
    undeclared = {
        name: path
        for name, path in imported(folder).items()
        if not {canonical(one) for one in DISTRIBUTIONS.get(name, [name])} & declared
    }
    assert not undeclared


def test_dependencies_are_imported():
    """A plain dependency that no module imports would be one that everybody installs for nothing."""
    names = imported("csbench") | imported("methods") | imported("datasets")
    used = {canonical(one) for name in names for one in DISTRIBUTIONS.get(name, [name])}
    assert named(PROJECT["dependencies"]) <= used


def test_every_dependency_says_what_it_is_for():
    section = (ROOT / "pyproject.toml").read_text().split("\ndependencies = [")[1].split("[project.scripts]")[0]
    requirements = [line for line in section.splitlines() if line.startswith('    "')]
    assert len(requirements) == len(PROJECT["dependencies"]) + sum(map(len, EXTRAS.values()))
    assert not [line for line in requirements if not re.search(r'", +# \w', line)]
