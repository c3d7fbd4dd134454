"""`csbench merge` and `csbench show` on real results files."""

import json
import shutil

import pytest

from csbench.results.merge import merge_folders
from csbench.results.store import load_results, read_file, read_provenance, results_file, write_file


@pytest.fixture
def run(csbench, tmp_path, tiny_suite):
    def run(folder: str, *arguments: str) -> None:
        done = csbench("run", tiny_suite, "--methods", "zeros,min-norm", "--results", folder, *arguments)
        assert done.returncode == 0, done.stderr

    return run


def test_draws_and_m_of_two_machines_come_together(csbench, tmp_path, run):
    run("a", "--m", "10")
    run("b", "--m", "25")
    run("whole")
    done = csbench("merge", "a", "b", "-o", "ab")
    assert done.returncode == 0, done.stderr
    assert "method=zeros.parquet: 6 rows" in done.stdout
    columns = ["method", "m", "draw", "image", "mse", "y_sha256"]
    merged, whole = (load_results("tiny", tmp_path / name)[columns] for name in ("ab", "whole"))
    assert merged.equals(whole)
    assert len(read_provenance(results_file(tmp_path / "ab", "tiny", "zeros"))) == 2


def test_equal_cells_are_kept_once_and_the_result_is_a_fixed_point(tmp_path, run):
    run("a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    outcome = merge_folders(tmp_path / "a", tmp_path / "b", tmp_path / "a")
    assert not outcome.conflicts
    assert set(outcome.written.values()) == {6}
    for method in ("zeros", "min-norm"):
        a, b = (results_file(tmp_path / name, "tiny", method).read_bytes() for name in "ab")
        assert a == b


def test_what_differs_is_reported_and_not_dropped(csbench, tmp_path, run):
    run("a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    path = results_file(tmp_path / "b", "tiny", "zeros")
    table = read_file(path)
    numbers = zip(table["mse"].to_pylist(), table["m"].to_pylist(), strict=True)
    better = [mse / 2 if m == 25 else mse for mse, m in numbers]
    index = table.column_names.index("mse")
    write_file(path, table.set_column(index, table.schema.field("mse"), [better]), read_provenance(path))

    done = csbench("merge", "a", "b", "-o", "ab")
    assert done.returncode == 1
    assert "method=zeros.parquet: m = 25, draw 0: A and B differ in mse" in done.stdout
    assert "m = 10" not in done.stdout
    assert not results_file(tmp_path / "ab", "tiny", "zeros").exists()
    assert results_file(tmp_path / "ab", "tiny", "min-norm").exists(), "what agrees is merged"
    for prefer, source in (("A", "a"), ("B", "b")):
        assert csbench("merge", "a", "b", "-o", prefer, "--prefer", prefer).returncode == 0
        kept, wanted = (load_results("tiny", tmp_path / name) for name in (prefer, source))
        assert kept["mse"].tolist() == wanted["mse"].tolist()


def test_merging_nothing_says_where_results_belong(csbench, tmp_path):
    done = csbench("merge", "nowhere", "nothing", "-o", "x")
    assert done.returncode == 2
    assert "suite=NAME/method=NAME.parquet" in done.stderr


def test_show(csbench, tmp_path, run):
    run("a")
    path = results_file(tmp_path / "a", "tiny", "zeros")
    text = csbench("show", path).stdout
    for fact in ("suite: tiny, version 1", "method: zeros", "6 ok", "command: csbench run tiny.toml", "cpu:", "blas:"):
        assert fact in text
    found = json.loads(csbench("show", path, "--json").stdout)
    assert [cell["m"] for cell in found["cells"]] == [10, 25]
    (facts,) = found["runs"].values()
    assert facts["started"] <= facts["ended"]
    assert csbench("show", tmp_path / "none.parquet").returncode == 2


def test_a_mistyped_folder_and_a_file_in_the_way_are_refused(csbench, tmp_path, run):
    run("a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert csbench("merge", "a", "bb", "-o", "a").returncode == 2
    run("c")
    done = csbench("merge", "a", "b", "-o", "c")
    assert done.returncode == 2
    assert "would be replaced" in done.stderr


def test_two_versions_of_a_suite_are_not_mixed(csbench, tmp_path, tiny_suite, run):
    run("a", "--m", "10")
    tiny_suite.write_text(tiny_suite.read_text().replace("version = 1", "version = 2"))
    run("b", "--m", "25")
    done = csbench("merge", "a", "b", "-o", "a")
    assert done.returncode == 1
    assert "suite_version is [1] in A and [2] in B" in done.stderr
    assert len(load_results("tiny", tmp_path / "a")) == 6
