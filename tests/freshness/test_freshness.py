"""What shows in a hash `made_by` and what does not; what a changed line leaves of published results."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from csbench import get_method
from csbench.freshness import normal
from csbench.freshness.closure import closure
from csbench.freshness.lineage import Lineage, Proof
from csbench.freshness.made_by import made_of
from csbench.freshness.source import Tree
from tests.conftest import ROOT, TINY_SUITE

SNIPPETS = {  # least minor version of Python 3 that reads it, source, hash
    "f-strings": (
        11,
        'def f(x, w):\n    return f"{x!r:>{w}}" "tail" f"{x = }" "é" f"{x:{w}.2f}" f""\n',
        "5baeb5d25b589888",
    ),
    "walrus": (
        11,
        "if (k := len(x)) > 2 and not (lambda v: v + k)(1e-6):\n    y = [a for a in x if (b := a)]\n",
        "028b3a5ba74a6027",
    ),
    "match": (
        11,
        'match x:\n    case {"a": 1, **rest} if rest:\n        y = 1\n    case [1, *_] | P(z=2):\n        y = -0.0\n',
        "fa929990fadc6cb4",
    ),
    "async": (
        11,
        "async def g():\n    async with a as b:\n        await c\n    async for i in y:\n        yield i\n"
        "    return [j async for j in y]\n",
        "02c70daaa4f7fdfb",
    ),
    "groups": (
        11,
        "try:\n    f()\nexcept* ValueError as e:\n    raise KeyError('a') from e\nfinally:\n    g(*a, **b)\n",
        "4d73b92247f05352",
    ),
    "type parameters": (
        12,
        "def f[T: int](x: T) -> T:\n    return x\nclass C[T]:\n    y: T = 1\ntype L[T] = list[T]\n",
        "1077e76217fbcdec",
    ),
    "nested quotes": (12, 'def f(d):\n    return f"{d["a"]} {f\'{1}\'}"\n', "7a7720cb9899f6fc"),
    "defaults of type parameters": (13, "def f[T = int](x: T) -> T:\n    return x\n", "940b4a1660b30446"),
}


def interpreters() -> Iterator[tuple[int, str]]:
    """Minor version and path of every supported Python that this machine has."""
    folders = [*map(Path, os.environ.get("PATH", "").split(os.pathsep)), *Path(sys.base_prefix).parent.glob("*/bin")]
    folders += [*Path.home().glob(".pyenv/versions/*/bin"), *Path.home().glob(".local/share/uv/python/*/bin")]
    found: dict[int, str] = {sys.version_info.minor: sys.executable}
    for minor in range(11, 15):
        for folder in folders:
            path = folder / f"python3.{minor}"
            if minor not in found and path.is_file():
                asked = [str(path), "-c", "import sys; print(sys.version_info.minor)"]
                done = subprocess.run(asked, capture_output=True, text=True)
                if done.stdout.strip() == str(minor):
                    found[minor] = str(path)
    yield from found.items()


@pytest.mark.parametrize(("minor", "python"), list(interpreters()), ids=str)
def test_every_python_gives_the_same_hashes(minor, python):
    known = {name: source for name, (least, source, _) in SNIPPETS.items() if least <= minor}
    known |= {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "methods").glob("*.py"))}
    code = (
        "import ast, json, runpy, sys; n = runpy.run_path(sys.argv[1]); "
        "print(json.dumps({k: n['digest'](s.text for s in n['statements'](ast.parse(v).body)) "
        "for k, v in json.load(sys.stdin).items()}))"
    )
    command = [python, "-c", code, normal.__file__]
    done = subprocess.run(command, input=json.dumps(known), capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    pinned = {name: found for name, (_, _, found) in SNIPPETS.items()}
    assert told == {name: pinned.get(name) or hash_of(source) for name, source in known.items()}


def hash_of(source: str) -> str:
    return normal.digest(statement.text for statement in normal.statements(ast.parse(source).body))


BASE = '''
class C(Base):
    """Doc."""

    x: int = 1

    def f(self, a: int) -> int:
        # comment
        if a < 0:
            raise ValueError(f"a is {a}")
        assert a != 3, "three"
        return a + self.x
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Doc."""', '"""Another."""\n\n    # and a comment'),
        ("a: int) -> int", "a: \"Float[Tensor, 'm']\") -> float"),
        ("x: int = 1", "x: float = 1"),
        ('f"a is {a}"', '"a is negative; give " + f"another {a}"'),
        ('"three"', 'f"not {a}"'),
        ("        return", "\n        return"),
        ("    def f", "    def __repr__(self):\n        return 'C'\n\n    def f"),
    ],
)
def test_what_moves_no_number_does_not_show(old, new):
    assert old in BASE
    assert hash_of(BASE.replace(old, new)) == hash_of(BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a + self.x", "self.x + a"),
        ("x: int = 1", "x: int = 2"),
        ("x: int = 1", "x: ClassVar[int] = 1"),
        ("x: int = 1", "y: int = 0\n    x: int = 1"),
        ("ValueError", "KeyError"),
        ("a < 0", "a <= 0"),
        ("a != 3", "a != 4"),
        ("Base", "Other"),
    ],
)
def test_what_may_move_a_number_shows(old, new):
    assert hash_of(BASE.replace(old, new)) != hash_of(BASE)


def test_the_operator_that_is_used_counts_and_no_other():
    def code(operator: str) -> dict[str, str]:
        return made_of(get_method("zeros")(), operator, "mnist", 3).code

    assert code("gaussian") != code("rademacher")
    assert code("gaussian-blur:sigma=2") == code("gaussian-blur")
    assert made_of(get_method("zeros")(), "gaussian-blur:sigma=2", "mnist", 3).made_by != (
        made_of(get_method("zeros")(), "gaussian-blur", "mnist", 3).made_by
    )
    assert "csbench.operators.tomography" not in code("gaussian")


def test_a_plugin_is_followed_through_its_package(tmp_path, monkeypatch):
    package = tmp_path / "relative_plugin"
    parts = package / "parts"
    parts.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "grey.py").write_text(
        "from .parts import HEIGHT\nfrom . import other\ndef f():\n    return HEIGHT, other\n"
    )
    (package / "other.py").write_text("import csbench\ndef idle():\n    return csbench.Method\n")
    (parts / "__init__.py").write_text('"""Parts."""\nfrom .one import LEVEL as HEIGHT\nfrom .two import WIDTH\n')
    (parts / "one.py").write_text("LEVEL = 0.5\n")
    (parts / "two.py").write_text("WIDTH = 0.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = closure(Tree(ROOT), [("relative_plugin.grey", ["f"])])
    assert ("relative_plugin.parts.one", "LEVEL") in found.units
    assert ("relative_plugin.parts.two", "WIDTH") not in found.units


def proof(old: str, new: str, outcome: str = "equal") -> Proof:
    return Proof("m", old, new, outcome, "25/0", 3, "", "abc", "torch 2, some processor")  # type: ignore[arg-type]


def test_proofs_make_chains_and_survive_a_file(tmp_path):
    lineage = Lineage().with_proofs([proof("b", "c"), proof("a", "b"), proof("c", "d", "differs")])
    lineage.write(tmp_path, "s")
    again = Lineage.read(tmp_path, "s")
    assert again == lineage
    assert again.leads("a", "c")
    assert not again.leads("c", "a")
    assert not again.leads("a", "d")
    assert again.refuted("a", "d")
    assert not again.refuted("a", "c")
    assert list(again.equal_to("a")) == ["a", "b", "c"]
    assert Lineage.read(tmp_path, "another") == Lineage()


METHOD = '''
from dataclasses import dataclass, replace

from csbench.core.measurement import Measurement
from csbench.core.method import Method, Recovery
from csbench.priors import checkpoint

SCALE = 0.5


@dataclass(frozen=True)
class {name}(Method):
    """The adjoint, scaled."""

    def recover(self, given, rng):
        x_hat = SCALE * given.A.adjoint(given.y)
        if given.m > 700:
            x_hat = 2 * x_hat
        return x_hat.clamp(0, 1)
'''
SILENT = '''
from dataclasses import dataclass

from csbench.core.method import Method
from csbench.priors import checkpoint


@dataclass(frozen=True)
class Silent(Method):
    """The mean image, from weights that the class does not tell of."""

    def recover(self, given, rng):
        return checkpoint.load("mean-mnist")[0]["mean"].to(given.y).expand(given.batch, -1).clone()
'''
COMPILED = '''
from dataclasses import dataclass

import numba
import torch

from csbench.core.method import Method


@numba.njit(cache=True)
def scaled(x, factor):
    for i in range(len(x)):
        x[i] *= factor
    return x


@dataclass(frozen=True)
class Compiled(Method):
    """The adjoint, scaled by a compiled loop."""

    def recover(self, given, rng):
        x_hat = given.A.adjoint(given.y)
        return torch.from_numpy(scaled(x_hat.numpy().ravel(), 0.5)).reshape(x_hat.shape)
'''
METHODS = ["plain", "tight", "last-bit", "rare", "silent", "min-norm", "compiled"]
SUITE = TINY_SUITE.replace("published = false", f"methods = {METHODS}".replace("'", '"'))


class Checkout:
    """A clone of the project in which people change things."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200", "NO_COLOR": "1"}
        self.environment.pop("CSBENCH_WEIGHTS", None)

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def csbench(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "csbench", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )

    def states(self, suite: str = "tiny") -> dict[str, str]:
        """Method to the one state of all of its cells."""
        told = json.loads(self.csbench("status", suite, "--json").stdout)
        return {name: " ".join(state for state, count in counts.items() if count) for name, counts in told.items()}

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Checkout:
    """A clone with a small suite of its own, run and committed."""
    folder = tmp_path_factory.mktemp("checkout") / "csbench"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    checkout = Checkout(folder)
    changed = subprocess.run(["git", "ls-files", "-mo", "--exclude-standard", "csbench", "methods", "datasets"],
                             cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
    for path in changed:  # what is not committed yet is what is to be tested
        if (ROOT / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    for name in ("Plain", "Tight", "LastBit", "Rare"):
        (folder / "methods" / f"{name.lower()}.py").write_text(METHOD.format(name=name))
    (folder / "methods" / "silent.py").write_text(SILENT)
    (folder / "methods" / "compiled.py").write_text(COMPILED)
    (folder / SUITES / "tiny.toml").write_text(SUITE)
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "-m", "a suite")
    done = checkout.csbench("run", "tiny", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    checkout.git("add", "results/suite=tiny")
    checkout.git("commit", "--quiet", "-m", "results")
    return checkout


SUITES = "csbench/catalogue/suites"


@pytest.fixture
def checkout(published) -> Iterator[Checkout]:
    before = published.git("rev-parse", "HEAD")
    yield published
    published.git("reset", "--quiet", "--hard", before)
    published.git("clean", "--quiet", "-fd", "results", "csbench", "methods", "datasets")


def test_a_refactoring_is_proved_and_a_change_is_not(checkout):
    """One commit renames a helper of all methods, moves a module, rewords errors; and changes four methods."""
    checkout.edit("csbench/runner/problem.py", "def draw_operator", "def drawn_operator")
    checkout.edit("csbench/runner/problem.py", "= draw_operator(", "= drawn_operator(")
    checkout.edit("csbench/freshness/made_by.py", '"draw_operator"', '"drawn_operator"')
    checkout.git("mv", "csbench/core/metrics.py", "csbench/core/measures.py")
    checkout.edit(
        "csbench/runner/scoring.py", "from csbench.core import metrics", "from csbench.core import measures as metrics"
    )
    checkout.edit("csbench/core/measurement.py", "y must have shape", "y has to be of the shape")
    checkout.edit("methods/tight.py", "SCALE = 0.5", "SCALE = 0.25")
    checkout.edit("methods/lastbit.py", "SCALE * given.A.adjoint(given.y)", "given.A.adjoint(SCALE * given.y / 3) * 3")
    checkout.edit("methods/rare.py", "x_hat = 2 * x_hat", "x_hat = 3 * x_hat")
    checkout.edit("methods/compiled.py", "x[i] *= factor", "x[i] = factor * x[i]")
    checkout.git("commit", "--quiet", "--all", "-m", "refactoring")
    assert set(checkout.states().values()) == {"changed"}
    done = checkout.csbench("prove", "tiny")
    assert done.returncode == 1
    expected = dict.fromkeys(("plain", "silent", "min-norm", "compiled"), "proved")
    expected |= {"tight": "stale", "last-bit": "stale", "rare": "changed"}
    assert checkout.states() == expected, done.stdout + done.stderr
    assert "rare: changed: no cell ran csbench/methods/rare.py:18" in done.stderr
    assert "last-bit: stale: x_hat differs by up to" in done.stderr
    told = checkout.csbench("status", "tiny").stdout
    assert "tight: 2 cells stale: other numbers, as a proof found" in told
    assert "rare: 2 cells changed: code csbench." in told
    rows = Lineage.read(checkout.folder / "results", "tiny").proofs
    assert {one.commit for one in rows} == {checkout.git("rev-parse", "HEAD")}

    # A second step is proved from the first, and the chain leads from the rows to it.
    checkout.edit("csbench/runner/problem.py", "drawn_operator", "operator_drawn")
    checkout.edit("csbench/freshness/made_by.py", '"drawn_operator"', '"operator_drawn"')
    done = checkout.csbench("prove", "tiny", "--methods", "plain,rare")
    assert checkout.states()["plain"] == "proved", done.stdout + done.stderr
    assert checkout.states()["rare"] == "changed"


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("csbench/core/metrics.py", "0.01, 0.03", "0.01, 0.02"),
        ("csbench/runner/scoring.py", "truth.x, given.image_shape", "truth.x * 1.0000001, given.image_shape"),
        ("csbench/runner/problem.py", "self.noise_norm / m**0.5", "self.noise_norm / m**0.5000001"),
        ("csbench/runner/solving.py", "torch.manual_seed(seed)", "torch.manual_seed(seed + 1)"),
        (
            "csbench/operators/random.py",
            "dtype=torch.float64) / math.sqrt(m)",
            "dtype=torch.float64) / math.sqrt(m + 1)",
        ),
    ],
)
def test_what_moves_every_number_leaves_nothing_fresh(checkout, path, old, new):
    checkout.edit(path, old, new)
    assert set(checkout.states().values()) == {"changed"}


def test_pixels_and_weights_leave_stale_what_they_move(checkout):
    checkout.edit("csbench/catalogue/embedded.py", 'arrays[f"{split}_pixels"]', 'arrays[f"{split}_pixels"] // 2')
    assert set(checkout.states().values()) == {"stale"}
    checkout.git("checkout", "--quiet", "csbench")
    change = """
from csbench.core.paths import PACKAGED
from csbench.priors import checkpoint
tensors, card = checkpoint.load("mean-mnist")
tensors["mean"][5] += 1e-6
about = {key: value for key, value in card.items() if key not in ("name", "bytes", "sha256")}
checkpoint.save(PACKAGED, "mean-mnist", tensors, about)
"""
    subprocess.run([sys.executable, "-c", change], cwd=checkout.folder, env=checkout.environment, check=True)
    states = checkout.states()
    assert states.pop("silent") == "stale"
    assert set(states.values()) == {"fresh"}
    assert "silent: 2 cells stale: weights mean-mnist" in checkout.csbench("status", "tiny").stdout


def test_images_that_are_not_here_are_stood_in_for_and_code_is_still_compared(checkout):
    """A dataset of a plug-in whose images come from a folder that only its author has."""
    (checkout.folder / "datasets" / "private.py").write_text(PRIVATE)
    suite = checkout.folder / SUITES / "private.toml"
    suite.write_text(SUITE.replace('"tiny"', '"private"').replace('"mnist"', '"private"').replace(', "compiled"', ""))
    suite.write_text(suite.read_text().replace('"silent", ', ""))
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "-m", "a private dataset")
    shutil.copy(ROOT / "datasets" / "embedded" / "mnist.npz.xz", checkout.folder.parent / "private.npz.xz")
    checkout.environment["PRIVATE_IMAGES"] = str(checkout.folder.parent / "private.npz.xz")
    assert checkout.csbench("run", "private", "--jobs", "1").returncode == 0
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "-m", "its results")
    del checkout.environment["PRIVATE_IMAGES"]
    assert set(checkout.states("private").values()) == {"fresh"}, "nothing speaks against it"
    checkout.edit("csbench/runner/problem.py", "def draw_operator", "def drawn_operator")
    checkout.edit("csbench/runner/problem.py", "= draw_operator(", "= drawn_operator(")
    checkout.edit("csbench/freshness/made_by.py", '"draw_operator"', '"drawn_operator"')
    checkout.edit("methods/tight.py", "SCALE = 0.5", "SCALE = 0.25")
    assert set(checkout.states("private").values()) == {"changed"}
    checkout.csbench("prove", "private")
    states = checkout.states("private")
    assert states.pop("tight") == "stale"
    assert set(states.values()) == {"proved"}


PRIVATE = '''
import io, lzma, os
from pathlib import Path

import numpy as np

from csbench.core.dataset import Dataset, Images
from csbench.core.errors import DataError


class Private(Dataset):
    """Images that only one person has."""

    image_shape = (1, 28, 28)
    licence = "none"
    relative = "mnist"

    def images(self, split):
        if "PRIVATE_IMAGES" not in os.environ:
            raise DataError("PRIVATE_IMAGES is not set")
        data = lzma.decompress(Path(os.environ["PRIVATE_IMAGES"]).read_bytes())
        with np.load(io.BytesIO(data)) as arrays:
            return Images(arrays[f"{split}_ids"], arrays[f"{split}_pixels"], arrays[f"{split}_labels"])
'''


def test_a_commit_that_is_not_here_is_named_with_the_remedy(checkout):
    shallow = Checkout(checkout.folder.parent / "shallow")
    source = f"file://{checkout.folder}"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", source, str(shallow.folder)], check=True)
    shallow.edit("methods/plain.py", "SCALE * given", "(SCALE) * 1 * given")
    done = shallow.csbench("prove", "tiny", "--methods", "plain")
    assert done.returncode == 1
    made_at = checkout.git("rev-parse", "HEAD~1")  # the results are a commit of their own
    assert f"git fetch --depth 1 origin {made_at}" in done.stderr, done.stdout + done.stderr
    subprocess.run(["git", "fetch", "--quiet", "--depth", "1", "origin", made_at], cwd=shallow.folder, check=True)
    done = shallow.csbench("prove", "tiny", "--methods", "plain")
    assert "1 proved" in done.stdout, done.stdout + done.stderr
    assert shallow.csbench("prove", "tiny", "--since", "nowhere").returncode == 2
