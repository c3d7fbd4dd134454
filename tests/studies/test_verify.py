"""`csbench verify` on a file that a run made, and on what a careless or dishonest hand makes of it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from csbench.methods.csgm_fast import CsgmVAEFast
from csbench.results.artefact_kinds import FLOORS
from csbench.results.store import read_file, read_provenance, results_file, write_file
from csbench.studies.verify import verify
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    command = [sys.executable, "-m", "csbench", "run", "quick", "--methods", "lasso-dct,csgm-vae-fast"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    floor = FLOORS.path(Path("results"), prior="vae-mnist", dataset="mnist")
    (folder / floor).parent.mkdir(parents=True)
    shutil.copy(ROOT / floor, folder / floor)
    return folder / "results"


@pytest.fixture
def results(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "results"))


def edit(results: Path, method: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    path = results_file(results, "quick", method)
    table = read_file(path)
    frame = change(table.to_pandas())
    frame["psnr"] = -10 * np.log10(frame["mse"])  # who lies lies consistently
    write_file(path, pa.Table.from_pandas(frame, table.schema, preserve_index=False), read_provenance(path))
    return path


def faults(path: Path, sample: float = 0.0) -> list[str]:
    return [check.fault for check in verify(path, sample, seed=1) if check.fault]


@pytest.mark.parametrize("method", ["lasso-dct", "csgm-vae-fast"])
def test_an_honest_file_passes(csbench, results, method):
    done = csbench("verify", results_file(results, "quick", method), "--sample", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert done.stdout.count("run again: mse") == 4
    assert "every row was given the y of the suite" in done.stdout
    assert ("representation error of vae-mnist" in done.stdout) == (method == "csgm-vae-fast")


def test_better_figures_than_the_method_gives_are_found_out(results):
    path = edit(results, "lasso-dct", lambda f: f.assign(mse=0.98 * f["mse"]))
    found = faults(path, sample=1.0)
    assert len(found) == 4
    assert all("images differ by" in fault for fault in found)
    path = edit(results, "csgm-vae-fast", lambda f: f.assign(mse=0.7 * f["mse"]))
    assert len(faults(path, sample=1.0)) >= 3, "of four m; the search from random starts is not exact at the smallest"


@pytest.mark.parametrize("name", ["relative_l2", "ssim", "measurement_error"])
def test_no_metric_can_be_made_up(results, name):
    found = faults(edit(results, "lasso-dct", lambda f: f.assign(**{name: 0.98 * f[name]})), sample=1.0)
    assert len(found) == 4
    assert all("images differ by" in fault for fault in found)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda f: f[f["m"] > 25], "images missing or unknown at m = 25 draw 0; run the whole suite"),
        (lambda f: f[f["image"] != f["image"].iloc[0]], "images missing or unknown at m = 25 draw 0, m = 75"),
        (lambda f: f.assign(made_by="another"), "made by other code, parameters or weights at m = 25 draw 0"),
        (lambda f: f.assign(y_sha256=f["y_sha256"].iloc[::-1].to_numpy()), "another y at m = 25 draw 0"),
        (lambda f: f.assign(mse=1e-9), "below it at m = 25, 75, 200, 400: less than the noise costs"),
        (lambda f: f.assign(status="failed"), "40 rows are not ok and give no reason"),
        (lambda f: f.assign(status="failed", reason="luck"), "none is, so nothing can be run again"),
        (lambda f: f.assign(ssim=np.nan), "40 are ok and lack a finite metric"),
        (lambda f: f.assign(params="{}"), "column params is not"),
    ],
)
def test_what_is_missing_foreign_or_impossible_is_named(results, change, fault):
    assert any(fault in found for found in faults(edit(results, "lasso-dct", change), sample=0.0))


def test_a_prior_cannot_leave_its_range(results, monkeypatch):
    path = edit(results, "csgm-vae-fast", lambda f: f.assign(mse=0.001))
    said = "no image in the range of vae-mnist is that near"
    assert any(said in fault for fault in faults(path))
    monkeypatch.setattr(CsgmVAEFast, "confined_to_range", False)
    assert not any(said in fault for fault in faults(path)), "a method with a prior may leave its range"


def test_metrics_must_agree(results):
    path = results_file(results, "quick", "lasso-dct")
    table = read_file(path)
    halved = pa.array([value / 2 for value in table["mse"].to_pylist()])
    write_file(path, table.set_column(table.column_names.index("mse"), "mse", halved), read_provenance(path))
    assert "psnr is not -10 log10(mse) in 40 rows" in faults(path)


def test_refusals(csbench, results, tmp_path):
    assert csbench("verify", "none.parquet").returncode == 2
    stray = tmp_path / "suite=quick" / "method=nosuch.parquet"
    stray.parent.mkdir()
    shutil.copy(results_file(results, "quick", "lasso-dct"), stray)
    done = csbench("verify", stray)
    assert done.returncode == 1
    assert "holds rows of method 'lasso-dct'" in done.stderr
