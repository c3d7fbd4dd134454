"""Metrics from kept reconstructions, with nothing solved again."""

import shutil

import pyarrow as pa
import pytest

from csbench import load_results
from csbench.core.errors import ResultsError
from csbench.results.artefact_kinds import RECONSTRUCTIONS
from csbench.results.folder import results_file
from csbench.results.reconstructions import keep, kept
from csbench.results.store import CellId, read_file, read_provenance, write_file
from tests.conftest import TINY_SUITE


@pytest.fixture(scope="module")
def made(csbench_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    suite = folder / "tiny.toml"
    suite.write_text(TINY_SUITE)
    done = csbench_in(folder)("run", suite, "--methods", "min-norm,lasso-dct")
    assert done.returncode == 0, done.stderr
    return folder / "results"


@pytest.fixture
def ran(made, tmp_path):
    return shutil.copytree(made, tmp_path / "results")


def test_rescoring_gives_the_same_bytes(csbench, ran, tiny_suite):
    paths = [results_file(ran, "tiny", name) for name in ("lasso-dct", "min-norm")]
    before = [path.read_bytes() for path in paths]
    done = csbench("rescore", tiny_suite)
    assert done.returncode == 0, done.stderr
    assert "method=lasso-dct.parquet: 2 cells" in done.stdout
    assert [path.read_bytes() for path in paths] == before


def test_a_metric_that_a_file_lacks_is_filled_in(csbench, ran, tiny_suite):
    path = results_file(ran, "tiny", "lasso-dct")
    whole = load_results("tiny", ran)
    table = read_file(path)
    write_file(
        path,
        table.set_column(table.column_names.index("ssim"), "ssim", pa.nulls(len(table), pa.float64())),
        read_provenance(path),
    )
    assert load_results("tiny", ran)["ssim"].isna().sum() == 6
    assert csbench("rescore", tiny_suite, "--methods", "lasso-dct").returncode == 0
    assert load_results("tiny", ran).equals(whole)


def test_a_missing_column_names_the_remedy(ran):
    import pyarrow.parquet as pq

    path = results_file(ran, "tiny", "lasso-dct")
    table = pq.read_table(path, partitioning=None)
    facts = {key: value for key, value in table.schema.metadata.items() if b"provenance" in key or b"schema" in key}
    pq.write_table(table.drop_columns(["ssim"]).replace_schema_metadata(facts), path)  # as before there were checksums
    with pytest.raises(ResultsError, match="column 'ssim' is missing; csbench rescore computes it"):
        read_file(path)
    assert read_file(path, may_lack=("ssim",))["ssim"].null_count == 6


def test_what_is_lost_is_said_and_stays_as_it_was(csbench, ran, tiny_suite):
    (one, _) = sorted(RECONSTRUCTIONS.path(ran, suite="tiny", method="lasso-dct", key="k").parent.iterdir())
    data = one.read_bytes()
    one.write_bytes(data[: len(data) // 2])
    before = load_results("tiny", ran)
    done = csbench("rescore", tiny_suite)
    assert done.returncode == 1
    assert "1 cells have no reconstruction on this machine" in done.stderr
    assert "--fresh --methods lasso-dct" in done.stderr
    assert load_results("tiny", ran).equals(before)


def test_only_the_newest_version_of_a_cell_is_kept(tmp_path):
    import numpy as np

    x = np.random.default_rng(0).random((3, 5), dtype=np.float32)
    keep(tmp_path, "s", "m", CellId("k", "old"), "r", x)
    keep(tmp_path, "s", "m", CellId("k", "new"), "r", x + 1)
    assert kept(tmp_path, "s", "m", "k", "r", "old".__eq__) is None
    assert kept(tmp_path, "s", "m", "k", "another run", "new".__eq__) is None
    found = kept(tmp_path, "s", "m", "k", "r", "new".__eq__)
    assert found is not None
    assert found.dtype == np.float32
    assert (found == x + 1).all()
