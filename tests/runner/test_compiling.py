"""Compiled methods where nothing can be cached, and times and limits of time that do not count what compiles."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from csbench import load_results
from csbench.runner import keeper
from csbench.runner.compiling import VARIABLE, find_cache

COMPILED = '''
import time
from dataclasses import dataclass
import torch
from numba import njit
from csbench import Method

time.sleep(3)

@njit("f8(f8)", cache=True)
def twice(x):
    return 2 * x

@dataclass(frozen=True)
class Compiled(Method):
    """Its module takes its time to be imported and compiled."""
    def recover(self, given, rng):
        return torch.full((given.batch, given.n), 0.25) * twice(1.0)
'''


def test_a_folder_is_named_only_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    find_cache()
    assert VARIABLE not in os.environ
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("csbench.runner.compiling._usual", lambda: [tmp_path / "file" / "cache"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    find_cache()
    folder = Path(os.environ[VARIABLE])
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0
    monkeypatch.delenv(VARIABLE)
    folder.chmod(0o777)  # somebody else may have put code there
    find_cache()
    assert Path(os.environ[VARIABLE]) not in (folder, tmp_path)
    monkeypatch.delenv(VARIABLE)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs the right to mount read-only")
def test_numba_works_where_its_folders_are_read_only(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "from csbench.runner.compiling import find_cache; find_cache()\n"
        "from csbench.solvers.sparse import omp; print('compiled')"
    )
    root = Path(__file__).parent.parent.parent
    script = (
        f"mount --bind {root} {root} && mount -o remount,ro,bind {root} && mount -t tmpfs -o ro none {home} && "
        f"exec {sys.executable} -c '{code.replace(chr(39), chr(34))}'"
    )
    environment = os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONPATH": str(root)}
    environment.pop(VARIABLE, None)
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], env=environment, capture_output=True, text=True, timeout=200
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip("needs the right to mount")
    assert done.stdout == "compiled\n", done.stderr


def test_a_limit_of_time_does_not_count_imports(csbench, tmp_path, tiny_suite, install_plugin):
    install_plugin("compiled", COMPILED)
    done = csbench("run", tiny_suite, "--methods", "compiled", "--jobs", "1", "--timeout", "2")
    assert done.returncode == 0, done.stderr
    assert (load_results("tiny", tmp_path / "results")["status"] == "ok").all()


SLOWLY_COMPILED = '''
import time
from dataclasses import dataclass
import numba
import torch
from numba.extending import overload
from csbench import Method

def slow(x):
    raise NotImplementedError

@overload(slow)
def typed(x):
    end = time.process_time() + 0.5
    while time.process_time() < end:
        pass
    time.sleep(3)
    return lambda x: 0.25 * x

@numba.njit
def of_numbers(x):
    return slow(x)

@numba.vectorize
def of_arrays(x):
    return slow(x)

@numba.njit
def for_ever(x):
    x = slow(x)
    while x > 0:
        x += 1.0
    return x

@numba.jit(forceobj=True)
def of_objects(x):
    for _ in range(3):  # numba compiles the loop by itself
        x = x + 0.0
    return x

def flat(given, value):
    return torch.full((given.batch, given.n), float(value), dtype=given.y.dtype)

@dataclass(frozen=True)
class Numbers(Method):
    """Compiled by its first call."""
    def recover(self, given, rng):
        return flat(given, of_numbers(1.0))

@dataclass(frozen=True)
class Arrays(Method):
    """Compiled by the first call of a ufunc."""
    def recover(self, given, rng):
        return flat(given, of_arrays(torch.ones(1).numpy())[0])

@dataclass(frozen=True)
class Objects(Method):
    """Compiled as far as it goes."""
    def recover(self, given, rng):
        return flat(given, of_objects(0.25))

@dataclass(frozen=True)
class ForEver(Method):
    """Compiled, and does not come to an end."""
    def recover(self, given, rng):
        return flat(given, for_ever(1.0))

@dataclass(frozen=True)
class Waits(Method):
    """Has something compiled, and then takes its time."""
    def recover(self, given, rng):
        of_numbers(1.0)
        time.sleep(30)
        return flat(given, 0.25)
'''


@pytest.fixture
def slowly(tiny_suite, install_plugin) -> Path:
    install_plugin("slowly-compiled", SLOWLY_COMPILED)
    tiny_suite.write_text(tiny_suite.read_text().replace("m = [10, 25]", "m = [25]").replace("draws = 1", "draws = 2"))
    return tiny_suite


@pytest.mark.slow
def test_no_time_counts_what_numba_compiles_while_a_cell_runs(csbench, tmp_path, slowly):
    for arguments in (("numbers", "--jobs", "1"), ("arrays,objects", "--jobs", "2", "--draws", "1")):
        done = csbench("run", slowly, "--timeout", "2", "--methods", *arguments)
        assert done.returncode == 0, done.stderr
    first = load_results("tiny", tmp_path / "results").groupby(["method", "draw"]).first()
    assert first["cell_wall_seconds"].between(0, 2, inclusive="neither").all()
    assert first["cell_cpu_seconds"].between(0, 0.4).all()
    reasons = first["reason"].fillna("")
    for method in ("numbers", "arrays", "objects"):
        assert re.fullmatch(r"its times leave out \S+ s in which numba compiled", reasons[method, 0])
    assert not reasons["numbers", 1], "the second cell is given to the process that has compiled"


@pytest.mark.slow
def test_a_cell_that_has_compiled_is_stopped_on_time(csbench, tmp_path, slowly):
    done = csbench("run", slowly, "--methods", "for-ever,waits", "--jobs", "2", "--draws", "1", "--timeout", "2")
    assert done.returncode == 1, done.stderr
    frame = load_results("tiny", tmp_path / "results")
    assert set(frame["method"]) == {"for-ever", "waits"}
    assert set(frame["status"]) == {"timeout"}
    assert frame["reason"].str.fullmatch(r"took longer than 2 s, beside [3-9]\S* s in which numba compiled").all()


def test_what_is_left_out_of_a_limit_has_a_limit(monkeypatch):
    monkeypatch.setattr(keeper, "COMPILE_SECONDS", 0.4)
    cell = keeper.Cell(seconds=0.4, most=0, shared=0, last=True)
    cell.compile(True)  # by what is imported
    cell.start()
    assert cell.compiled() == 0
    cell.compile(True)
    time.sleep(0.5)
    assert cell.late() is None
    cell.compile(False)
    cell.compile(False)
    assert 0.5 <= cell.compiled() < 0.7
    cell.compile(True)
    time.sleep(0.4)
    assert cell.late() == "took longer than 0.4 s, beside 0.4 s in which numba compiled"


HEARD = """
import sys
from csbench.runner.jit import Jit
heard = []
jit = Jit(heard.append)
import csbench.runner.worker
assert "numba" not in sys.modules
sys.path.insert(0, sys.argv[1])
import functions
heard.clear()
functions.outer(1.0)
assert heard == [True, False], heard
assert 0 < jit.wall and 0 < jit.cpu
print(jit.compiled(), jit.compiled())
functions.outer(2.0)
assert heard == [True, False], heard
"""


def test_numba_is_heard_and_not_imported(tmp_path, environment):
    """Functions within functions are one piece of work, and so is what comes from the cache."""
    functions = "import numba\n@numba.njit(cache=True)\ndef inner(x):\n    return x + 1\n"
    functions += "@numba.njit(cache=True)\ndef outer(x):\n    return inner(x) * 2\n"
    (tmp_path / "functions.py").write_text(functions)
    command = [sys.executable, "-c", HEARD, tmp_path]
    said = []
    for _ in range(2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.split())
    assert said == [["2", "0"], ["0", "0"]]
