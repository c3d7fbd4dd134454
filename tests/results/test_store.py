import json
import sqlite3
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from csbench import load_results, load_suite
from csbench.core.errors import ResultsError
from csbench.results.journal import Journal
from csbench.results.schema import SCHEMA, SCHEMA_VERSION
from csbench.results.store import make_table, published_cells, read_file, read_provenance, results_file, write_file


def rows(m: int = 25, draw: int = 0, method: str = "zeros", images: int = 3, **changes) -> pa.Table:
    common = {
        "suite": "mnist-gaussian", "suite_version": 1, "dataset": "mnist", "operator": "gaussian", "m": m,
        "noise_norm": 0.1, "draw": draw, "method": method, "params": "{}", "key": f"{method}-{m}-{draw}",
        "status": "ok", "mse": 0.1, "made_by": "f", "run_id": "r",
    }  # fmt: skip
    return make_table([common | {"image": i} | changes for i in range(images)])


@pytest.fixture
def file(tmp_path):
    path = results_file(tmp_path, "mnist-gaussian", "zeros")
    write_file(path, rows(diag_iterations=3.0), {"r": {"cpu": "x"}, "other": {}})
    return path


def test_round_trip(file, tmp_path):
    frame = load_results("mnist-gaussian", tmp_path)
    assert frame["mse"].tolist() == [0.1] * 3
    assert frame["diag_iterations"].tolist() == [3.0] * 3
    assert frame["image"].tolist() == [0, 1, 2]
    assert frame["ssim"].isna().all()
    assert read_provenance(file) == {"r": {"cpu": "x"}}
    assert len(load_results("fashion-gaussian", tmp_path)) == 0
    assert list(load_results(results=tmp_path / "nothing").columns) == SCHEMA.names


def test_bytes_do_not_depend_on_the_order_of_rows_or_columns(file, tmp_path):
    table = pa.concat_tables([rows(50), rows(25)])
    other = pa.concat_tables([rows(25), rows(50)]).select([*reversed(SCHEMA.names)])
    write_file(tmp_path / "suite=mnist-gaussian" / "a.parquet", table, {"r": {"a": 1, "b": 2}})
    write_file(tmp_path / "suite=mnist-gaussian" / "b.parquet", other, {"r": {"b": 2, "a": 1}})
    a, b = (tmp_path / "suite=mnist-gaussian" / f"{n}.parquet" for n in "ab")
    assert a.read_bytes() == b.read_bytes()


def metadata(version: int) -> dict[str, str]:
    return {"csbench_schema_version": str(version)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace_schema_metadata({}), "not written by csbench"),
        (lambda t: t.replace_schema_metadata(metadata(SCHEMA_VERSION + 1)), "newer than 2; upgrade csbench"),
        (lambda t: t.replace_schema_metadata(metadata(0)), "older than 2"),
        (lambda t: t.drop_columns(["mse"]), "column 'mse' is missing"),
        (lambda t: t.append_column("extra", pa.array([1.0] * len(t))), "unknown column 'extra'"),
        (lambda t: t.set_column(4, "m", pa.array(["25"] * len(t))), "column 'm' is string, the schema says int32"),
        (lambda t: t.set_column(1, "suite_version", pa.array([2] * len(t), pa.int32())), "rows of version 2"),
        (
            lambda t: t.set_column(5, "noise_norm", pa.array([0.2] * len(t))),
            "noise_norm = 0.2, but suite",
        ),
        (lambda t: pa.concat_tables([t, t]), "an image stands there twice"),
        (lambda t: t.set_column(7, "method", pa.array(["ones"] * len(t))), "holds rows of method 'ones'"),
        (lambda t: t.set_column(0, "suite", pa.array(["quick"] * len(t))), "holds rows of suite 'quick'"),
        (lambda t: t.set_column(11, "status", pa.array(["fine"] * len(t))), "unknown status 'fine'"),
    ],
)
def test_untrustworthy_files_are_refused(file, tmp_path, change, message):
    good = pq.ParquetFile(file).read()
    changed = change(good)
    assert changed.schema.names[4] == "m" or "mse" in message
    if changed.schema.metadata is None:
        changed = changed.replace_schema_metadata(good.schema.metadata)
    pq.write_table(changed, file)
    with pytest.raises(ResultsError, match=r"method=zeros\.parquet") as caught:
        load_results("mnist-gaussian", tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_truncated_files_are_refused(file, tmp_path, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ResultsError, match=r"method=zeros\.parquet.*not a whole Parquet file"):
        load_results(results=tmp_path)


def test_a_suite_that_moved_on_refuses_old_results(file):
    suite = replace(load_suite("mnist-gaussian"), version=2)
    with pytest.raises(ResultsError, match="rows of version 1 of suite mnist-gaussian, which is now at version 2"):
        read_file(file, suite)


def test_unknown_columns_never_get_in():
    with pytest.raises(ResultsError, match="unknown column 'iterations'"):
        rows(iterations=3)


def test_journal_to_parquet(tmp_path):
    with Journal(tmp_path) as journal:
        journal.begin_run("r", {"cpu": "x"})
        journal.commit(rows(25))
        journal.commit(rows(50))
        journal.commit(rows(25, method="mean"))
    with Journal(tmp_path) as journal:  # as after a crash
        assert {cell_id.key for cell_id, _ in journal.finished()} == {"zeros-25-0", "zeros-50-0", "mean-25-0"}
        assert [path.name for path in journal.compact()] == ["method=mean.parquet", "method=zeros.parquet"]
        assert list(journal.finished()) == []
    assert len(load_results(results=tmp_path)) == 9
    suite = load_suite("mnist-gaussian")
    assert {cell.key for cell, _, _ in published_cells(tmp_path, suite).values()} == {
        "zeros-25-0",
        "zeros-50-0",
        "mean-25-0",
    }
    assert json.dumps(read_provenance(results_file(tmp_path, "mnist-gaussian", "mean"))) == '{"r": {"cpu": "x"}}'


def test_a_cell_that_ran_again_replaces_its_rows_and_no_others(tmp_path):
    for m, value in ((25, 0.1), (50, 0.2), (25, 0.3)):
        with Journal(tmp_path) as journal:
            journal.commit(rows(m, mse=value, key=f"{m}-{value}"))
            journal.compact()
    frame = load_results(results=tmp_path)
    assert dict(zip(frame["m"], frame["mse"], strict=True)) == {25: 0.3, 50: 0.2}
    assert len(frame) == 6


def test_a_damaged_results_file_keeps_the_journal(tmp_path):
    path = results_file(tmp_path, "mnist-gaussian", "zeros")
    path.parent.mkdir()
    path.write_bytes(b"PAR1")
    with Journal(tmp_path) as journal:
        journal.commit(rows(25))
        with pytest.raises(ResultsError, match="not a whole Parquet file"):
            journal.compact()
        assert len(list(journal.finished())) == 1


def test_a_damaged_journal_is_named(tmp_path):
    (tmp_path / ".journal.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(ResultsError, match=r"\.journal\.sqlite.*move it away"):
        Journal(tmp_path)


def test_a_journal_of_another_format_is_refused_while_it_holds_cells(tmp_path):
    with Journal(tmp_path) as journal:
        journal.commit(rows())
        journal._db.execute("PRAGMA user_version = 0")
    with pytest.raises(ResultsError, match="holds 1 finished cells in format 0"):
        Journal(tmp_path)
    with sqlite3.connect(tmp_path / ".journal.sqlite") as db:
        db.execute("DELETE FROM cell")
    with Journal(tmp_path) as journal:
        journal.commit(rows())
        assert journal.compact()
