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

from csbench.core.errors import ResultsError
from csbench.methods.csgm_fast import CsgmVAEFast
from csbench.results.artefact_kinds import FLOORS
from csbench.results.folder import results_file
from csbench.results.store import read_file, read_provenance, write_file
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


def tell(results: Path, method: str, **facts: object) -> Path:
    """Change what a file tells of its runs."""
    path = results_file(results, "quick", method)
    provenance = {run: told | facts for run, told in read_provenance(path).items()}
    write_file(path, read_file(path), provenance)
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
        (lambda f: f.assign(ssim=np.nan), "40 are ok and lack a finite metric"),
        (lambda f: f.assign(params="{}"), "column params is not"),
        (lambda f: f.assign(cell_wall_seconds=0.0), "cell_wall_seconds is not above 0 in 40 rows"),
        (lambda f: f.assign(cell_wall_seconds=np.nan), "cell_wall_seconds is not above 0 in 40 rows"),
        (lambda f: f.assign(cell_wall_seconds=1e9), "cell_wall_seconds is longer than the run in 40 rows"),
        (lambda f: f.assign(cell_cpu_seconds=1e3), "one thread took more processor seconds than seconds in 40 rows"),
        (lambda f: f.assign(seconds_per_image=1e-9), "seconds_per_image is not cell_wall_seconds / batch_size"),
        (lambda f: f.assign(batch_size=f["batch_size"] * 10), "batch_size is not the number of images"),
        (lambda f: f.assign(threads=np.int32(64)), "threads is not 1"),
        (lambda f: f.assign(peak_memory_mb=1e9), "peak_memory_mb is not above 0, or more than the machine has"),
        (
            lambda f: f.assign(peak_memory_mb=f["image"] + 1.0),
            "rows of one cell tell different times or sizes in 4 cells",
        ),
        (lambda f: f.assign(run_id="0123456789ab"), "run 0123456789ab: python is None"),
    ],
)
def test_what_is_missing_foreign_or_impossible_is_named(results, change, fault):
    assert any(fault in found for found in faults(edit(results, "lasso-dct", change), sample=0.0))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda f: f.assign(status="failed"), "column 'mse' has a value in row 0, which is not ok"),
        (lambda f: f.assign(cell_cpu_seconds=-1.0), "must be 0 or more"),
        (lambda f: f.assign(run_id="../../x"), "column 'run_id' must not contain"),
    ],
)
def test_what_no_reader_takes_is_not_even_written(results, change, refusal):
    with pytest.raises(ResultsError, match=refusal):
        edit(results, "lasso-dct", change)


def test_a_prior_cannot_leave_its_range(results, monkeypatch):
    path = edit(results, "csgm-vae-fast", lambda f: f.assign(mse=0.001))
    said = "no image in the range of vae-mnist is that near"
    assert any(said in fault for fault in faults(path))
    monkeypatch.setattr(CsgmVAEFast, "confined_to_range", False)
    assert not any(said in fault for fault in faults(path)), "a method with a prior may leave its range"


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"commit": "f" * 40}, f"there is no commit {'f' * 40}"),
        ({"cores": 0}, "cores is 0, not a number of processors"),
        ({"cores": "many"}, "cores is 'many'"),
        ({"memory_gb": 1e12}, "memory_gb is 1000000000000.0, not the memory of a machine in GB"),
        ({"memory_gb": float("nan")}, "memory_gb is nan"),
        ({"python": "2.7"}, "python is '2.7'"),
        ({"packages": {"torch": None}}, "not versions of torch, numpy and others"),
        ({"started": "2099-01-01T00:00:00+00:00"}, "not a time in the past"),
        ({"started": ["x"]}, "started is ['x']"),
        ({"ended": "2024-02-01T00:00:00+00:00"}, "not a time between its start"),
        ({"cpu": ""}, "cpu is '', not the name of a processor"),
        ({"threads_per_worker": 8}, "threads_per_worker is 8, not 1"),
    ],
)
def test_a_run_that_cannot_have_been_is_named(results, facts, fault):
    found = faults(tell(results, "lasso-dct", **facts))
    assert any(fault in one for one in found), found


def test_times_far_below_those_of_this_machine_are_found_out(results):
    quick = {"cell_wall_seconds": 1e-3, "cell_cpu_seconds": 1e-3, "seconds_per_image": 1e-4}
    found = faults(edit(results, "csgm-vae-fast", lambda f: f.assign(**quick)), sample=0.25)
    assert len(found) == 1
    assert "the file claims 0.001 s, less than a 10th of what the cell takes here" in found[0]


def test_the_cost_is_told_first_and_bounded(results):
    path = results_file(results, "quick", "lasso-dct")
    seconds = read_file(path).to_pandas().groupby("m")["cell_wall_seconds"].first()
    told = [check.what for check in verify(path, 1.0, seed=1)]
    plan = next(i for i, one in enumerate(told) if "will be run again" in one)
    assert told[plan].startswith("4 of 4 cells will be run again, twice each")
    assert f"about {2 * seconds.sum():.3g} s" in told[plan]
    assert not any("run again:" in one for one in told[:plan]), "before anything has run"
    for budget, cells in ((0.0, 1), (2.001 * (seconds.min() + sorted(seconds)[1]) / 60, None), (1e3, 4)):
        bounded = list(verify(path, 1.0, seed=1, budget=budget))
        ran = sum("run again: mse" in check.what for check in bounded)
        assert ran == cells if cells else 1 <= ran <= 2
        assert not any(check.fault for check in bounded)


CHEATS = '''
"""Methods that know what they may not."""
import io, lzma, time
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import torch
import csbench
from csbench import Method, get_dataset


def nearest(given, x):
    return x[torch.cdist(given.y, given.A(x.to(given.y))).argmin(1)].to(given.y)


@dataclass(frozen=True)
class Remembers(Method):
    """Whichever test image explains y best."""

    def recover(self, given, rng):
        return nearest(given, get_dataset("mnist").images("test").signals())


@dataclass(frozen=True)
class Reads(Method):
    """Whichever image of any split explains y best, from the file that csbench has its images in."""

    def recover(self, given, rng):
        path = Path(csbench.__file__).parent / "datasets" / "embedded" / "mnist.npz.xz"
        arrays = np.load(io.BytesIO(lzma.decompress(path.read_bytes())))
        pixels = np.concatenate([arrays[f"{split}_pixels"] for split in ("train", "validation", "test")])
        return nearest(given, torch.from_numpy(pixels.reshape(len(pixels), -1)).float() / 255)


@dataclass(frozen=True)
class Clocked(Method):
    """The least-norm solution, and a little of what the time says."""

    def recover(self, given, rng):
        now = torch.Generator().manual_seed(time.time_ns() % 2**31)
        x_hat = given.y @ torch.linalg.pinv(given.A.matrix()).T
        return (x_hat + 0.02 * torch.randn(x_hat.shape, generator=now)).clamp(0, 1)
'''


def test_methods_that_cheat_are_found_out(csbench, install_plugin, tmp_path):
    install_plugin("cheats", CHEATS)
    ran = csbench("run", "quick", "--methods", "remembers,reads,clocked")
    assert ran.returncode == 0, ran.stderr
    expected = {
        "remembers": ["images that it cannot have seen", "reads images with images('test')", "cheats.py:21"],
        "reads": ["images moved by one pixel", "reads a file with path.read_bytes()", "reads a file with np.load()"],
        "clocked": ["the method is not deterministic"],
    }
    for method, messages in expected.items():
        done = csbench("verify", f"results/suite=quick/method={method}.parquet", "--sample", "0.5", "--seed", "1")
        assert done.returncode == 1
        faulty = [line for line in done.stdout.splitlines() if not line.startswith("ok")]
        for message in messages:
            assert any(message in line for line in faulty), (method, message, done.stdout)
        leans = "the result leans on the test images" in done.stdout
        assert leans == (method != "clocked"), done.stdout


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
