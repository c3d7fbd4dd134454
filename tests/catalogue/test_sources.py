"""Plug-ins whose bases are imported in all the ways that there are, and those that are not taken, with the reason."""

import sys
from textwrap import dedent

import pytest

from csbench.catalogue import registry
from csbench.catalogue.registry import entries, get_method, untaken
from csbench.catalogue.sources import Sources, find
from csbench.core.errors import UsageError

RECOVER = "def recover(self, given, rng): ..."
BASE = f"""
from csbench import Method

class MyBase(Method):
    oracle = True
    level: float = 0.5
    {RECOVER}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A plug-in's package, installed, whose declared module is `mypkg.methods`; importing any of it is an error."""

    def install(**files: str) -> None:
        folder = tmp_path / "mypkg"
        folder.mkdir()
        for name, text in ({"__init__": "1 / 0", "base": BASE} | files).items():
            (folder / f"{name}.py").write_text(dedent(text))
        info = tmp_path / "mypkg-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mypkg\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[csbench.methods]\nmine = mypkg.methods\n")
        monkeypatch.syspath_prepend(tmp_path)
        empty = tmp_path / "csbench"
        (empty / "methods").mkdir(parents=True)
        monkeypatch.setattr(registry, "PACKAGE", empty)

    return install


@pytest.mark.parametrize(
    ("imports", "base"),
    [
        ("from csbench import Method", "Method"),
        ("from csbench.core.method import Method as M", "M"),
        ("import csbench", "csbench.Method"),
        ("import csbench.core.method", "csbench.core.method.Method"),
        ("import csbench.core.method as cm", "cm.PathMethod"),
        ("from csbench import method", "method.Method"),
        ("from csbench.core.tunable import GridMethod", "GridMethod"),
        ("from csbench.methods.lasso import LassoDCT", "LassoDCT"),
        ("from mypkg.base import MyBase", "MyBase"),
        ("import mypkg.base as b", "b.MyBase"),
        ("from .base import MyBase as Method", "Method"),
        ("from . import base", "base.MyBase"),
        ("from .base import *", "MyBase"),
        ("from typing import Generic, TypeVar\nfrom csbench import Method\nT = TypeVar('T')", "Method, Generic[T]"),
        ("try:\n    from fast import Method\nexcept ImportError:\n    from csbench import Method", "Method"),
    ],
)
def test_bases_are_followed_through_imports(package, imports, base):
    package(methods=f"{imports}\n\nclass Mine({base}):\n    level: float = 1.0\n    {RECOVER}\n")
    entry = entries("methods")["mine"]
    assert entry.fields["level"] == "1.0"
    assert entry.facts["oracle"] is ("MyBase" in imports or "base" in imports)
    assert not untaken("methods")
    assert "mypkg" not in sys.modules, "nothing of the plug-in was imported"


def test_a_name_that_a_package_passes_on_is_followed(package):
    package(__init__="from .base import MyBase", methods="from mypkg import MyBase\n\nclass Mine(MyBase): ...\n")
    assert entries("methods")["mine"].fields == {"level": "0.5"}


def test_configurations_of_an_imported_class(package):
    package(methods="from mypkg import base\nconfigurations = {'bright': base.MyBase(level=0.9)}\n")
    assert entries("methods")["bright"].fields == {"level": "0.9"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (f"class Mine:\n    {RECOVER}", "it has no base; derive it from csbench.Method"),
        (
            f"from abc import ABC\n\nclass Mine(ABC):\n    {RECOVER}",
            "its base ABC, imported from abc, is not known to be a csbench.Method; derive",
        ),
        (
            f"from csbench import Prior\n\nclass Mine(Prior):\n    {RECOVER}",
            "its base Prior, imported from csbench, is not a csbench.Method",
        ),
        (
            f"import csbench\nBase = csbench.Method\n\nclass Mine(Base):\n    {RECOVER}",
            "its base Base is not known to be a csbench.Method",
        ),
        (
            f"from nowhere import A\n\nclass _B(A):\n    {RECOVER}\n\nclass Mine(_B): ...",
            "its base _B is not a csbench.Method, for its base A, imported from nowhere, is not known to be",
        ),
        (f"from csbench import Method\nif True:\n    class Mine(Method):\n        {RECOVER}", "it is under an if"),
        ("from mypkg.base import MyBase", "mypkg.methods only imports it; declare mypkg.base in the group"),
    ],
)
def test_a_class_that_is_not_taken_is_reported_with_the_reason(package, source, reason):
    package(methods=source)
    assert not entries("methods")
    (one,) = untaken("methods")
    assert one.class_name in ("Mine", "MyBase")
    assert one.path.read_text().splitlines()[one.line - 1].strip().startswith(f"class {one.class_name}")
    assert reason in str(one)


@pytest.mark.parametrize(
    "source",
    [
        f"class _Mixin:\n    {RECOVER}",
        "class Mine:\n    level: float = 0.5",
        "from mypkg.base import MyBase\n\nclass _Mine(MyBase): ...",
        "from typing import Protocol\n\nclass Denoiser(Protocol):\n    def __call__(self, x): ...",
    ],
)
def test_what_does_not_look_like_a_method_is_not_reported(package, source):
    package(methods=source)
    assert not entries("methods")
    assert not untaken("methods")


def test_nothing_of_csbench_is_overlooked():
    assert not [one for kind in registry.KINDS for one in untaken(kind)]


def test_classes_that_are_among_their_own_bases_are_refused(package):
    package(
        base="from mypkg.methods import A\n\nclass B(A): ...", methods="from mypkg.base import B\n\nclass A(B): ..."
    )
    with pytest.raises(UsageError, match="among its own bases"):
        entries("methods")


def test_what_the_command_line_says(csbench, install_plugin):
    path = install_plugin("lonely", f"class Lonely:\n    {RECOVER}\n")
    said = f"csbench: {path}:1: class Lonely is not registered: it has no base; derive it from csbench.Method"
    listed = csbench("list", "methods")
    assert listed.returncode == 0
    assert said in listed.stderr
    checked = csbench("check", path)
    assert checked.returncode == 2
    assert said in checked.stderr


def test_what_editors_leave_behind_is_ignored_and_a_byte_order_mark_is_read(tmp_path, monkeypatch):
    folder = tmp_path / "methods"
    folder.mkdir()
    (folder / ".#mine.py").symlink_to("someone@host.1234")
    (folder / "._mine.py").write_bytes(b"\x00\x05\x16\x07")
    text = "from csbench import Method\n\nclass Mine(Method):\n    'Größe'\n"
    (folder / "mine.py").write_bytes(text.encode("utf-8-sig"))
    (folder / "old.py").write_bytes(f"# -*- coding: latin-1 -*-\n{text.replace('Mine', 'Old')}".encode("latin-1"))
    monkeypatch.setattr(registry, "PACKAGE", tmp_path)
    assert {name: entry.doc for name, entry in entries("methods").items()} == {"mine": "Größe", "old": "Größe"}


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "gone.py").symlink_to("nowhere.py")
    monkeypatch.setattr(registry, "PACKAGE", tmp_path)
    with pytest.raises(UsageError, match=r"gone\.py: cannot be read"):
        entries("methods")


FACTS = """
from typing import ClassVar
from csbench import Method

class _A(Method):
    name: ClassVar[str] = "a"
    family: ClassVar[str] = "old"
    learned_from = "clean images"
    requires: ClassVar[tuple[str, ...]] = ("x", "y")
    _hidden = 1
    LOUD = 2
    table: ClassVar[dict] = {}
    field: float = 0.5

class _B(Method):
    family: ClassVar[str] = "new"

class Mine(_A, _B):
    learned_from = str(1)
    limit: ClassVar[int] = -3
    field = 0.7

class Other(_B, _A):
    on_request = True
"""


def test_facts_are_the_constant_class_attributes_as_python_would_find_them(package):
    package(methods=FACTS)
    mine, other = entries("methods")["mine"], entries("methods")["other"]
    own = {"family": "old", "requires": ("x", "y"), "limit": -3}
    assert mine.facts.items() >= own.items()
    assert not {"learned_from", "name", "_hidden", "LOUD", "table", "field"} & mine.facts.keys()
    assert (other.facts["family"], other.facts["learned_from"], other.on_request) == ("new", "clean images", True)
    assert not mine.on_request


@pytest.mark.parametrize("kind", registry.KINDS)
def test_facts_of_csbench_are_those_of_the_classes(kind):
    for entry in entries(kind).values():
        cls = getattr(registry._import(entry), entry.class_name)
        for name, value in entry.facts.items():
            assert getattr(cls, name) == value, (entry.name, name)


def test_finding_a_module_imports_nothing():
    assert find("csbench.training.gan").name == "gan.py"
    assert find("csbench.priors").name == "__init__.py"
    assert find("xml.dom") is None, "of the standard library"
    assert find("no_such_package.module") is None
    assert Sources({}).module("csbench.no_such_module") is None


def test_the_one_that_is_listed_is_the_one_that_is_made(package):
    package(__init__="", methods="from dataclasses import dataclass\nfrom .base import MyBase\n\n"
            "@dataclass(frozen=True)\nclass Mine(MyBase):\n    level: float = 0.9\n")  # fmt: skip
    assert get_method("mine")().level == float(entries("methods")["mine"].fields["level"])
    for name in [name for name in sys.modules if name.startswith("mypkg")]:
        del sys.modules[name]
