"""The wheel, built from the tree, holds everything and works in an empty folder, away from the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

from csbench.catalogue.registry import entries
from csbench.catalogue.suites import suite_names
from tests.conftest import ROOT


@pytest.mark.slow
def test_wheel_in_a_fresh_environment(tmp_path):
    dist = tmp_path / "dist"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(dist), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("methods", "datasets"):
        modules = {path.name for path in (ROOT / kind).glob("*.py")}
        assert {f"csbench/{kind}/{name}" for name in modules} <= names
    assert {f"csbench/methods/weights/{path.name}" for path in (ROOT / "methods/weights").glob("*.*n*")} <= names
    assert {f"csbench/catalogue/suites/{name}.toml" for name in suite_names()} <= names
    assert {"csbench/papers.bib", "csbench/py.typed", "csbench/methods/tuned.json"} <= names
    assert "csbench/datasets/embedded/mnist.npz.xz" in names
    assert {f"csbench/report/site/{path.name}" for path in (ROOT / "csbench/report/site").iterdir()} <= names
    assert not [name for name in names if name.startswith("tests/") or "checkpoint.safetensors" in name]

    # a fresh environment that borrows the installed dependencies, but not this checkout
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    with open(os.path.join(site, "borrowed.pth"), "w") as file:
        file.write(sysconfig.get_path("purelib") + "\n")

    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "CSBENCH_DATA")}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [python, *arguments], cwd=empty, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert str(home) in run("-c", "import csbench; print(csbench.__file__)")
    listed = run("-m", "csbench", "list", "methods", "--json")
    assert all(f'"{name}"' in listed for name in entries("methods"))
    out = run("-m", "csbench", "run", "quick")
    assert "csgm-vae" in out
    assert (empty / "results" / "suite=quick" / "method=csgm-vae.parquet").is_file()
    assert (empty / "results" / "suite=quick" / "leaderboard.md").is_file()
    assert (empty / "results" / "suite=quick" / "error-vs-m.png").is_file()
