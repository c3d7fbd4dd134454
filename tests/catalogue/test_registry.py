import subprocess
import sys
from dataclasses import fields

import pytest

from csbench import Method, get_dataset, get_method
from csbench.catalogue import registry
from csbench.catalogue.registry import entries
from csbench.core.errors import UnknownName, UsageError
from csbench.core.names import kebab

IMPORT = "from csbench import Method\n"
PLUGIN = '''
from dataclasses import dataclass
import torch
from csbench import Method

@dataclass(frozen=True)
class HalfGrey(Method):
    """Grey everywhere.

    A second paragraph.
    """
    level: float = 0.5

    def recover(self, given, rng):
        return torch.full((given.batch, given.n), self.level, dtype=given.y.dtype)

configurations = {"dark-grey": HalfGrey(level=0.1)}
'''


@pytest.mark.parametrize(
    ("name", "expected"),
    [("LassoDCT", "lasso-dct"), ("CsgmVAE", "csgm-vae"), ("MinNorm", "min-norm"), ("FashionMNIST", "fashion-mnist")],
)
def test_kebab_case(name, expected):
    assert kebab(name) == expected


def test_what_is_listed_is_what_is_imported():
    """The catalogue reads source; it must agree with the classes that importing gives."""
    for name, entry in entries("methods").items():
        method = get_method(name)()
        assert isinstance(method, Method)
        assert type(method).__name__ == entry.class_name
        if not entry.configured:
            assert method.name == name
        assert {f.name for f in fields(method)} == entry.fields.keys()  # type: ignore[arg-type]
        for field, source in entry.fields.items():
            assert getattr(method, field) == eval(source, {})
    for name in entries("datasets"):
        assert get_dataset(name).name == name


def test_the_methods_of_the_first_suites_are_registered():
    expected = {"zeros", "mean", "min-norm", "lasso-pixel", "lasso-dct", "lasso-wavelet", "lasso-dct-paper", "csgm-vae"}
    assert expected <= entries("methods").keys()
    assert {"gaussian", "rademacher", "random-pixel-mask", "identity"} <= entries("operators").keys()


def test_hyper_parameters_can_be_changed():
    assert get_method("csgm-vae")(restarts=5).params()["restarts"] == 5
    changed = get_method("lasso-dct-paper")(clip=False).params()
    assert (changed["alpha"], changed["clip"]) == (0.1, False)


def test_unknown_names_are_guessed():
    with pytest.raises(UnknownName, match=r"Did you mean 'lasso-dct'\?.*csgm-vae"):
        get_method("laso-dct")
    with pytest.raises(UnknownName, match="unknown dataset"):
        get_dataset("x")


def test_a_checkout_without_links_is_explained(tmp_path, monkeypatch):
    (tmp_path / "methods").write_text("../methods")
    monkeypatch.setattr(registry, "PACKAGE", tmp_path)
    with pytest.raises(UsageError, match=r"text file where a symbolic link should be.*core\.symlinks true"):
        entries("methods")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Broken(:", r"bad\.py:1: invalid syntax"),
        (f"{IMPORT}class Zeros(Method): ...\nclass zeros(Method): ...", "two methods are called 'zeros'"),
        (
            f"{IMPORT}class A(Method):\n    name = 'my[1]'",
            r"bad\.py:2: attribute 'name' of class A must not .*'my\[1\]'",
        ),
        (f"{IMPORT}class A(Method):\n    name = '../x'", "must begin with a letter or a digit, got '../x'"),
        (f"{IMPORT}class A(Method):\n    name = 'a' + 'b'", "must be a string as it stands"),
        (f"{IMPORT}class A(Method): ...\nconfigurations = {{'a, b': A()}}", "configuration 'a, b' must not contain"),
        (f"{IMPORT}class A(Method, Method): ...", r"bad\.py:2: class A: duplicate base class"),
        ("configurations = {f'a{i}': A(i) for i in range(3)}", r"bad\.py:1: configurations must be written out"),
        ("configurations = {'a': A() if B else C()}", "names in quotes to calls of classes"),
        ("class A(str):\n    x = '\0'", r"bad\.py"),
        ("configurations = {'a': Missing()}", r"bad\.py:1: configuration 'a'"),
    ],
)
def test_bad_plugins_are_named(tmp_path, monkeypatch, source, message):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "bad.py").write_text(source)
    monkeypatch.setattr(registry, "PACKAGE", tmp_path)
    with pytest.raises(UsageError, match=message):
        entries("methods")


def test_an_installed_package_adds_a_method(csbench, tmp_path, tiny_suite):
    """A third party's package, built and installed by pip, is listed, run and ranked."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "grey_methods.py").write_text(PLUGIN)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "grey-methods"\nversion = "1.0"\n'
        '[project.entry-points."csbench.methods"]\ngrey = "grey_methods"\n'
        '[tool.hatch.build.targets.wheel]\ninclude = ["grey_methods.py"]\n'
    )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(tmp_path / "plugins"), str(project)], check=True, capture_output=True)

    listed = csbench("list", "methods").stdout
    assert "half-grey" in listed
    assert "dark-grey" in listed
    assert "Grey everywhere." in listed
    assert "A second paragraph" not in listed
    done = csbench("run", tiny_suite, "--methods", "half-grey,dark-grey,zeros")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "suite=tiny" / "method=dark-grey.parquet").is_file()
    assert "half-grey" in done.stdout


def test_an_entry_point_without_its_module_is_named(csbench, install_plugin):
    install_plugin("gone", PLUGIN).unlink()
    done = csbench("list", "methods")
    assert done.returncode == 2
    assert "'gone', which is not installed" in done.stderr


def test_a_plugin_that_cannot_be_imported_is_named(csbench, install_plugin, tiny_suite, tmp_path):
    install_plugin("needy", "import no_such_module\n" + PLUGIN)
    done = csbench("run", tiny_suite, "--methods", "half-grey")
    assert done.returncode == 2
    message = "needy.py: cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"
    assert message in done.stderr

    tiny_suite.write_text(tiny_suite.read_text() + 'methods = ["zeros", "half-grey"]\n')
    done = csbench("run", tiny_suite)
    assert done.returncode == 1, "what was not asked for by name costs only itself"
    assert f"half-grey is left out: {tmp_path / 'plugins' / message}" in done.stderr
    assert "2 cells run, 2 ok" in done.stdout


def test_a_method_runs_as_soon_as_its_packages_are_there(csbench, install_plugin, tiny_suite, tmp_path):
    path = install_plugin("needy", PLUGIN.replace("level: float", 'requires = ("rare-package",)\n    level: float'))
    run = ("run", tiny_suite, "--methods", "half-grey,zeros")
    done = csbench(*run)
    assert done.returncode == 0, done.stderr
    said = "not applicable: half-grey needs rare-package: pip install rare-package"
    assert said in done.stderr
    assert '"not_applicable": 2' in csbench("status", tiny_suite, "--methods", "half-grey", "--json").stdout
    assert "0 cells run" in csbench(*run).stdout
    info = path.parent / "rare_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rare-package\nVersion: 1.0\n")
    done = csbench(*run)
    assert "2 cells run, 2 ok" in done.stdout
    assert said not in done.stderr


@pytest.mark.parametrize("command", [("run", "quick"), ("count", "quick"), ("status", "quick")], ids=str)
def test_a_method_that_is_no_dataclass_is_refused_by_name(csbench, install_plugin, command):
    install_plugin(
        "plain", "from csbench import Method\n\nclass Plain(Method):\n    def recover(self, given, rng): ...\n"
    )
    done = csbench(*command, "--methods", "plain")
    assert done.returncode == 2
    assert "plain: must be called with a dataclass" in done.stderr
    assert "under @dataclass(frozen=True)" in done.stderr
    assert "Traceback" not in done.stderr


FACTS = """
from dataclasses import dataclass
from typing import ClassVar

from csbench.core.method import Method


class _Told(Method):
    family: ClassVar[str] = "sparse"
    reference: ClassVar[bool] = True


@dataclass(frozen=True)
class Inherits(_Told): ...


@dataclass(frozen=True)
class Differs(_Told):
    reference: ClassVar[bool] = False


@dataclass(frozen=True)
class Untold(Method): ...


configurations = {"configured": Inherits()}
"""


def test_facts_are_those_of_the_class_or_of_its_bases(tmp_path, monkeypatch):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "told.py").write_text(FACTS)
    monkeypatch.setattr(registry, "PACKAGE", tmp_path)
    told = {name: (e.facts["family"], e.facts["reference"]) for name, e in entries("methods").items()}
    sparse = ("sparse", True)
    assert told == {"inherits": sparse, "configured": sparse, "differs": ("sparse", False), "untold": ("", False)}
