"""What of a code counts, and what has to run of a difference between two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from csbench.freshness.changes import differences
from csbench.freshness.closure import Closure, closure
from csbench.freshness.source import Tree
from csbench.freshness.unseen import Code, compared, lines_to_watch
from csbench.studies.prove import Examined, Finding


@pytest.fixture
def package(tmp_path) -> Callable[..., Closure]:
    """Writes modules of a package called csbench, and gives the code that `csbench.start` uses of `go`."""
    versions = iter(range(100))

    def write(**modules: str) -> Closure:
        folder = tmp_path / str(next(versions))
        (folder / "csbench").mkdir(parents=True)
        (folder / "csbench" / "__init__.py").touch()
        for name, source in modules.items():
            (folder / "csbench" / f"{name}.py").write_text(source)
        return closure(Tree(folder), [("csbench.start", ["go"])])

    return write


def test_only_what_is_used_counts(package):
    code = package(
        start="from csbench.tools import helper\nimport numpy as np, rich\ndef go():\n    return helper(np.pi)\n",
        tools="import scipy\nLIMIT = 3\ndef helper(x):\n    return x + LIMIT\ndef unused(x):\n    return scipy.x\n",
    )
    assert set(code.units) >= {("csbench.start", "go"), ("csbench.tools", "helper"), ("csbench.tools", "LIMIT")}
    assert ("csbench.tools", "unused") not in code.units
    assert code.packages == {"numpy"}


@pytest.mark.parametrize(
    "use",
    [
        "getattr(tools, 'hid' + name)()",
        "getattr(tools, f'{name}')()",
        "tools.hidden()",
        "getattr(tools, 'hidden')()",
        "vars(tools)[name]()",
    ],
)
def test_what_is_reached_by_text_counts(package, use):
    code = package(
        start=f"from csbench import tools\ndef go(name):\n    return tools.table() + {use}\n",
        tools="def table():\n    return globals()\ndef hidden():\n    return 1\n" if "hidden" not in use else
        "def table():\n    return 0\ndef hidden():\n    return 1\n",
    )  # fmt: skip
    assert ("csbench.tools", "hidden") in code.units


def test_methods_that_foreign_code_calls_count(package):
    code = package(
        start="from torch import nn\nfrom csbench.tools import Plain\n"
        "class Net(nn.Module):\n    def forward(self, x):\n        return x\n"
        "def go(x):\n    return Net()(x) + Plain().used()\n",
        tools="class Plain:\n    def used(self):\n        return 1\n    def idle(self):\n        return 2\n"
        "    def __len__(self):\n        return 3\n",
    )
    assert ("csbench.start", "Net.forward") in code.units
    assert ("csbench.tools", "Plain.used") in code.units
    assert ("csbench.tools", "Plain.idle") not in code.units


REGISTERED = """\
TABLE = {{}}
def enter(f):
    TABLE[f.__name__] = f
    return f
@enter
def hidden():
    return {0}
"""


def test_functions_that_register_themselves_count(package):
    code = package(
        start="from csbench.tools import TABLE\ndef go(name):\n    return TABLE[name]()\n",
        tools=REGISTERED.format(1),
    )
    assert (
        code.code["csbench.tools"]
        != package(
            start="from csbench.tools import TABLE\ndef go(name):\n    return TABLE[name]()\n",
            tools=REGISTERED.format(2),
        ).code["csbench.tools"]
    )


def test_a_moved_module_differs_in_nothing_that_has_to_run(package):
    body = "def helper(x):\n    if x > 9:\n        return -x\n    return x\n"
    old = package(start="from csbench.tools import helper\ndef go():\n    return helper(1)\n", tools=body)
    new = package(start="from csbench.things import helper\ndef go():\n    return helper(1)\n", things=body)
    assert old.code != new.code
    assert differences(old, new, root_of(old), root_of(new)) == ([], [])


def test_a_renamed_helper_differs_where_it_is_named(package):
    body = "def {0}(x):\n    if x > 9:\n        return -x\n    return x\n"
    start = "from csbench.tools import {0}\ndef go():\n    return {0}(1)\n"
    old = package(start=start.format("helper"), tools=body.format("helper"))
    new = package(start=start.format("aide"), tools=body.format("aide"))
    gone, come = differences(old, new, root_of(old), root_of(new))
    lines = {(one.path, one.spans[0][0]) for one in come}
    assert lines == {("csbench/start.py", 1), ("csbench/start.py", 3), ("csbench/tools.py", 1)}
    assert len(gone) == 3


def test_a_tolerance_that_changed_is_proved_by_no_run(package):
    old = package(start="TOL = 1e-6\ndef go(x):\n    return x > TOL\n")
    new = package(start="TOL = 1e-5\ndef go(x):\n    return x > TOL\n")
    _, (come,) = differences(old, new, root_of(old), root_of(new))
    assert come.number
    assert not come.is_covered([(1, 0, 1, 10)])
    assert "only a number differs" in str(come)


def test_every_branch_of_a_changed_expression_has_to_run(package):
    old = package(start="def go(x):\n    return x if x > 0 else 1\n")
    new = package(start="def go(x):\n    return x if x > 0 else 2\n")
    _, (come,) = differences(old, new, root_of(old), root_of(new))
    assert come.number
    new = package(start="def go(x):\n    return x if x > 0 else -x\n")
    _, (come,) = differences(old, new, root_of(old), root_of(new))
    assert not come.is_covered([(2, 11, 2, 12), (2, 16, 2, 21)])
    assert come.is_covered([(2, 16, 2, 21), (2, 27, 2, 28)])


def test_a_new_refusal_need_not_run_but_its_condition_must(package):
    old = package(start="def go(x):\n    return x\n")
    new = package(start="def go(x):\n    if x < 0:\n        raise ValueError(x)\n    return x\n")
    _, (come,) = differences(old, new, root_of(old), root_of(new))
    assert come.spans[0][0] == 2
    prepared = "    if x < 0:\n        least = min(x)\n        {0}raise ValueError(least)\n    return x\n"
    for between, lines in (("", {2}), ("yield least\n        ", {2, 3, 4})):
        new = package(start=f"def go(x):\n{prepared.format(between)}")
        _, come = differences(old, new, root_of(old), root_of(new))
        assert {one.spans[0][0] for one in come} == lines
    caught = "    try:\n        if x < 0:\n            raise ValueError(x)\n    except ValueError:\n        x = 1\n"
    new = package(start=f"def go(x):\n{caught}    return x\n")
    _, come = differences(old, new, root_of(old), root_of(new))
    assert 4 in {one.spans[0][0] for one in come}


def test_a_method_that_goes_to_a_base_class_differs_where_its_text_does(package):
    body = "    def solve(self, x):\n        if x > 9:\n            return -x\n        return {0}\n"
    start = "{0}class Mine{1}:\n{2}def go(x):\n    return Mine().solve(x)\n"
    old = package(start=start.format("", "", body.format("x")))
    new = package(start=start.format("class Base:\n" + body.format("x + 1 - 1"), "(Base)", "    pass\n"))
    _, come = differences(old, new, root_of(old), root_of(new))
    assert 3 not in {one.spans[0][0] for one in come}
    assert 5 in {one.spans[0][0] for one in come}


GUARDED = """\
from csbench.tools import slow{imports}
def suite_fact(f):
    return f
class A:
    @property
    @suite_fact
    def small(self):
        return True
def go(a):
{branch}    return slow(a)
"""
TOOLS = "def slow(a):\n    return a\ndef fast(a):\n    return other(a) + {0}\ndef other(a):\n    return a\n"


@pytest.fixture
def against(tmp_path) -> Callable[..., list[Code]]:
    """Old and new code of which each has a branch of `go`, and a number in what it leads to."""

    def write(*sides: tuple[str, int]) -> list[Code]:
        trees = []
        for side, (branch, number) in enumerate(sides):
            folder = tmp_path / str(side) / "csbench"
            folder.mkdir(parents=True)
            (folder / "__init__.py").touch()
            imports = ", fast" if "fast" in branch else ""
            (folder / "start.py").write_text(GUARDED.format(branch=branch, imports=imports))
            (folder / "tools.py").write_text(TOOLS.format(number))
            trees.append((Tree(folder.parent), {"csbench.start": ["go"], "csbench": ["A.small"]}))
        return list(compared(*trees))

    return write


GUARD = "    if {0}:\n        return fast(a)\n"


def test_a_branch_on_what_the_suite_decides_need_not_run(against):
    """Nor what only the branch uses; its condition must."""
    _, new = against(("", 1), (GUARD.format("not a.small"), 1))
    test, end = (10, 4, 10, 18), (12, 4, 12, 18)
    imported = {"csbench/start.py": {(1, 0, 1, 36)}, "csbench/tools.py": {(3, 0, 4, 24), (5, 0, 6, 12)}}
    ran = {"csbench/start.py": {test, end} | imported["csbench/start.py"]}
    assert new.unseen(ran) == []
    assert {one.spans[0][0] for one in new.unseen({"csbench/start.py": imported["csbench/start.py"] | {end}})} == {10}
    assert [11, 11] in lines_to_watch([new])["csbench/start.py"]
    # Where the branch ran, all that it leads to has to be seen.
    taken = ran["csbench/start.py"] | {(11, 8, 11, 22)}
    assert {one.unit for one in new.unseen({"csbench/start.py": taken})} == {"fast", "other"}


@pytest.mark.parametrize("test", ["not small(a)", "a.small and a.large", "a.small == 1", "a.large"])
def test_a_branch_on_anything_else_has_to_run(against, test):
    _, new = against(("", 1), (GUARD.format(test), 1))
    everything = {(1, 0, 1, 36), (10, 7, 10, 8), (12, 4, 12, 18)}
    assert {one.unit for one in new.unseen({"csbench/start.py": everything})} >= {"go", "fast", "other"}


def test_what_changes_behind_such_a_branch_is_no_change_of_other_suites(against):
    guard = GUARD.format("not a.small")
    old, new = against((guard, 1), (guard, 2))
    assert [str(one) for one in new.changed] == ["csbench/tools.py:4 (fast), where only a number differs"]
    assert new.unseen({"csbench/start.py": {(12, 4, 12, 18)}}) == []
    assert old.unseen({"csbench/start.py": {(12, 4, 12, 18)}}) == []
    assert len(new.unseen({"csbench/start.py": {(11, 8, 11, 22)}})) == 1


def test_what_other_cells_ran_of_todays_code_counts(against):
    """Not of the old code, which is another in each group."""
    old, new = against(("    a = slow(a)\n", 1), ("    a = slow(slow(a))\n", 1))
    claim = Examined(Finding(None, "proved"), (old, new), ({}, {}))  # type: ignore[arg-type]
    line = {"csbench/start.py": {(10, 4, 10, 21)}}
    assert {one.path for one in claim.unseen({})} == {"csbench/start.py"}
    assert len(claim.unseen(line)) == len(claim.unseen({})) - 1 == 1


def root_of(code: Closure) -> Path:
    return code.paths["csbench.start"].parents[1]
