"""Compiled methods where nothing can be cached, and limits of time that do not count what compiles."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from csbench import load_results
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
