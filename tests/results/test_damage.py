"""Damaged and forged results: every reader refuses them in one line, or they are whole."""

import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csbench.catalogue.suites import load_suite
from csbench.core.errors import CsbenchError, ResultsError
from csbench.core.names import fault_of
from csbench.freshness.lineage import Lineage, lineage_path
from csbench.report.contents import contents
from csbench.report.gallery import read_gallery
from csbench.report.leaderboard import render
from csbench.results import artefact_kinds as kinds
from csbench.results.disks import is_local
from csbench.results.folder import results_file
from csbench.results.journal import Journal
from csbench.results.merge import merge_folders
from csbench.results.parquet import CHECKSUM, encode
from csbench.results.reconstructions import keep, kept
from csbench.results.schema import SCHEMA, STATUSES
from csbench.results.store import (
    CellId,
    load_results,
    methods_with_results,
    published_cells,
    read_file,
    read_provenance,
    results_digest,
    write_file,
)  # fmt: skip
from tests.conftest import ROOT
from tests.results.test_store import rows

pytestmark = pytest.mark.faults

SUITE, METHOD = "mnist-noise", "zeros"
OTHERS = ("lasso-dct", "mean")
PUBLISHED = ROOT / "results"
few = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
NASTY = [
    "",
    "..",
    "../../x",
    "a|b",
    "<img src=x>",
    "\x1b[2J",
    "\u202e",
    "x" * 300,
    "nul",
    "{}",
    "[" * 5000,
    "NaN",
    "ok",
]
NUMBERS = [0, -1, 1, 2**31 - 1, -(2**31)]
FLOATS = [float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 1e308, 5e-324]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A suite with three methods, whose files have checksums."""
    results = tmp_path_factory.mktemp("damage") / "results"
    for method in (METHOD, *OTHERS):
        path = results_file(PUBLISHED, SUITE, method)
        write_file(results_file(results, SUITE, method), read_file(path), read_provenance(path))
    return results


@pytest.fixture(scope="module")
def whole(folder) -> bytes:
    return results_file(folder, SUITE, METHOD).read_bytes()


def readers(results: Path) -> dict[str, Callable[[], object]]:
    suite, path = load_suite(SUITE), results_file(results, SUITE, METHOD)
    return {
        "show": lambda: contents(path),
        "load": lambda: load_results(SUITE, results),
        "status": lambda: published_cells(results, suite),
        "cite": lambda: (methods_with_results(results, suite), results_digest(results, SUITE)),
        "provenance": lambda: read_provenance(path),
        "merge": lambda: merge_folders(results, results, fresh(results.parent / "merged")),
    }


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def refused(read: Callable[[], object]) -> str | None:
    """The message of the refusal; None where there is none. Any other exception is a fault of the reader."""
    try:
        read()
    except CsbenchError as error:
        message = str(error)
    else:
        return None
    assert "\n" not in message
    return message


def test_published_files_without_a_checksum_stay_readable():
    paths = sorted(PUBLISHED.glob(f"suite={SUITE}/*.parquet"))
    assert paths
    for path in paths:
        assert len(read_file(path, load_suite(SUITE)))


@few
@given(st.data())
def test_a_changed_byte_is_refused_by_every_reader(folder, whole, data):
    path = results_file(folder, SUITE, METHOD)
    at = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.sampled_from([at + 1, at + 1, at + 1, at + 64, len(whole)]))
    new = data.draw(
        st.sampled_from([b"", bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]), b"PAR1", b"\0" * 999])
    )
    damaged = whole[:at] + new + whole[end:]
    path.write_bytes(damaged)
    try:
        for name, read in readers(folder).items():
            message = refused(read)
            if name == "cite" and message is None:
                continue
            assert (message is None) == (damaged == whole), name
            assert message is None or path.name in message
    finally:
        path.write_bytes(whole)


# Which column and row, counted round; what a column of texts, of whole numbers or of others gets; whether all rows do.
# All of it is drawn at once, for what is drawn one after another may depend on what was.
FORGERY = st.tuples(
    st.integers(0, 10**4),
    st.integers(0, 10**4),
    st.sampled_from([None, *NASTY]) | st.text(),
    st.sampled_from([None, *NUMBERS]),
    st.sampled_from([None, *FLOATS]),
    st.booleans(),
)


def forged(table: pa.Table, forgery: tuple) -> pa.Table:
    """The table with one value in one row, or in all, that was drawn without regard for what it means."""
    place, row, text, number, other, everywhere = forgery
    field = table.schema.field(place % table.num_columns)
    value = text if pa.types.is_string(field.type) else number if pa.types.is_integer(field.type) else other
    column = table[field.name].to_pylist()
    column = [value if everywhere or k == row % len(column) else old for k, old in enumerate(column)]
    return table.set_column(place % table.num_columns, field, pa.array(column, field.type))


def is_sound(table: pa.Table) -> None:
    """What holds for rows that were accepted, asked in another way than the code does."""
    frame = table.to_pandas()
    assert set(frame["status"]) <= set(STATUSES)
    assert (frame["m"] > 0).all()
    assert (frame["draw"] >= 0).all()
    assert np.isfinite(frame["noise_norm"]).all()
    assert not (frame["mse"] < 0).any()
    assert frame.loc[frame["status"] == "ok", "mse"].notna().all()
    assert frame.loc[frame["status"] != "ok", "mse"].isna().all()
    assert not frame.duplicated(["m", "noise_norm", "draw", "image"]).any()
    assert not (frame["cell_wall_seconds"] < 0).any()
    assert not np.isinf(frame["cell_cpu_seconds"]).any()
    for name in ("dataset", "key", "made_by", "run_id"):
        assert not any(fault_of(value) for value in set(frame[name]))
    assert all(isinstance(json.loads(text), dict) for text in set(frame["params"]))


@few
@given(st.lists(FORGERY, min_size=1, max_size=3))
def test_forged_rows_are_refused_or_sound(folder, whole, forgeries):
    path = results_file(folder, SUITE, METHOD)
    table = pq.read_table(io.BytesIO(whole), partitioning=None)
    runs = json.loads(table.schema.metadata[b"csbench_provenance"])
    for forgery in forgeries:
        table = forged(table, forgery)
    path.write_bytes(encode(table, runs))
    try:
        messages = [refused(read) for name, read in readers(folder).items() if name != "provenance"]
        if messages[0] is None:
            is_sound(read_file(path))
        else:
            assert path.name in messages[0]
        assert not list(folder.parent.rglob("x*")), "nothing is written where a name leads"
    finally:
        path.write_bytes(whole)


@few
@given(st.data())
def test_forged_metadata_is_refused_or_unused(folder, whole, data):
    path = results_file(folder, SUITE, METHOD)
    table = pq.read_table(io.BytesIO(whole), partitioning=None)
    texts = st.sampled_from(
        ["", "{}", "[]", "null", "3", "-1", "²", "9" * 5000, '{"r": 1}', '{"../x": {}}', "[" * 9999]
    )
    key = data.draw(st.sampled_from(["csbench_schema_version", "csbench_provenance", CHECKSUM, "other"]))
    metadata = {k.decode(): v.decode() for k, v in table.schema.metadata.items() if k.decode() != CHECKSUM}
    pq.write_table(table.replace_schema_metadata(metadata | {key: data.draw(texts | st.text())}), path)
    try:
        for read in readers(folder).values():
            refused(read)
        assert refused(lambda: read_file(path)), "no such text is what csbench writes there"
    finally:
        path.write_bytes(whole)


@few
@given(
    st.dictionaries(
        st.sampled_from([*SCHEMA.names, "other"]), st.sampled_from([1, 1.0, "a", None, b"a", True]), min_size=1
    )
)
def test_other_parquet_files_are_refused(folder, whole, row):
    path = results_file(folder, SUITE, METHOD)
    metadata = {"csbench_schema_version": "2", "csbench_provenance": "{}"}
    pq.write_table(pa.Table.from_pylist([row] * 3).replace_schema_metadata(metadata), path)
    try:
        assert refused(lambda: read_file(path))
    finally:
        path.write_bytes(whole)


def test_rows_that_unpack_to_more_than_a_machine_holds_are_not_unpacked(folder, whole, tmp_path):
    path = results_file(tmp_path, SUITE, METHOD)
    path.parent.mkdir(parents=True)
    nothing = pa.table({field.name: pa.nulls(3_000_000, field.type) for field in SCHEMA})
    pq.write_table(nothing.replace_schema_metadata({"csbench_schema_version": "2"}), path)
    with pytest.raises(ResultsError, match=r"3000000 rows in .* bytes are none that csbench wrote"):
        read_file(path)


def test_the_board_refuses_what_the_store_refuses(folder, whole):
    path = results_file(folder, SUITE, METHOD)
    path.write_bytes(whole[:-99] + bytes([whole[-99] ^ 1]) + whole[-98:])
    try:
        assert path.name in (refused(lambda: render(folder, [SUITE])) or "")
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("m", 0, "column 'm' is 0 in row 0, it must be 1 or more"),
        ("mse", -1.0, "column 'mse' is -1.0 in row 0, it must be 0 or more"),
        ("mse", None, "column 'mse' has no value in row 0, which is ok"),
        ("cell_wall_seconds", float("inf"), "column 'cell_wall_seconds' is inf in row 0"),
        ("status", "failed", "column 'mse' has a value in row 0, which is not ok"),
        ("dataset", "a|b", r"column 'dataset' must not contain .*, got 'a\|b'"),
        ("params", "[]", r"column 'params' must be an object of JSON, whose prior is a name, got '\[\]'"),
        ("params", '{"prior": "../x"}', "whose prior is a name"),
        ("key", "other", "rows of one cell differ in column 'key'"),
        ("run_id", "other", "rows of one cell differ in column 'run_id'"),
    ],
)
def test_the_message_says_which_value_is_wrong_and_what_is_allowed(folder, whole, column, value, message):
    path = results_file(folder, SUITE, METHOD)
    table = pq.read_table(io.BytesIO(whole), partitioning=None)
    values = [value, *table[column].to_pylist()[1:]]
    field = table.schema.field(column)
    table = table.set_column(table.schema.names.index(column), field, pa.array(values, field.type))
    path.write_bytes(encode(table, json.loads(table.schema.metadata[b"csbench_provenance"])))
    try:
        with pytest.raises(ResultsError, match=message):
            read_file(path)
    finally:
        path.write_bytes(whole)


# Artefacts


SEEDS = {
    "evaluations": (PUBLISHED / f"evaluations/{SUITE}.csv", lambda r: kinds.EVALUATIONS.read(r, suite=SUITE)),
    "lineage": (lineage_path(PUBLISHED, SUITE), lambda r: Lineage.read(r, SUITE)),
    "representation": (
        kinds.FLOORS.path(PUBLISHED, prior="vae-mnist", dataset="mnist"),
        lambda r: kinds.FLOORS.read(r, prior="vae-mnist", dataset="mnist"),
    ),
    "gallery": (
        kinds.PICTURES.path(PUBLISHED, suite=SUITE, name="truth"), lambda r: read_gallery(r, SUITE),
    ),
    "decomposition": (
        kinds.DECOMPOSITIONS.path(PUBLISHED, suite="mnist-gaussian", method="csgm-vae"),
        lambda r: kinds.DECOMPOSITIONS.read(r, suite="mnist-gaussian", method="csgm-vae"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SEEDS)
@settings(few, max_examples=30)
@given(data=st.data())
def test_damaged_artefacts_give_one_line(tmp_path_factory, kind, data):
    seed, read = SEEDS[kind]
    content = seed.read_bytes()
    at, length = data.draw(st.integers(0, len(content) - 1)), data.draw(st.sampled_from([1, 1, 7, len(content)]))
    new = data.draw(st.binary(max_size=3) | st.sampled_from([b"nan", b"-1", b"\xff", b'"', b"\n", b",,,", b"../x"]))
    results = tmp_path_factory.getbasetemp() / "artefacts"
    path = results / seed.relative_to(PUBLISHED)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content[:at] + new + content[at + length :])
    message = refused(lambda: read(results))
    assert message is None or path.name in message


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@few
@given(
    VALUES
    | st.dictionaries(st.just("x"), st.fixed_dictionaries({"made_by": VALUES, "files": VALUES, "answer": VALUES}))
)
def test_what_is_remembered_of_a_suite_may_be_anything(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / ".status.json"
    path.write_text(json.dumps(content))
    for row in kinds.STATES.read(path.parent):
        assert isinstance(row["files"], list)
        assert isinstance(row["answer"], dict)


def test_a_kept_reconstruction_whose_bytes_changed_is_as_good_as_none(tmp_path):
    x_hat = np.random.default_rng(0).random((2, 784), dtype=np.float32)
    keep(tmp_path, "tiny", "zeros", CellId("k", "m"), "r", x_hat)
    place = {"suite": "tiny", "method": "zeros", "key": "k"}
    found = kept(tmp_path, "tiny", "zeros", "k", "r", lambda made_by: made_by == "m")
    np.testing.assert_array_equal(found, x_hat)
    path = kinds.RECONSTRUCTIONS.path(tmp_path, **place)
    good, unnoticed = path.read_bytes(), 0
    for at in range(0, len(good), 97):
        path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        found = kept(tmp_path, "tiny", "zeros", "k", "r", lambda made_by: made_by == "m")
        unnoticed += found is not None and not np.array_equal(found, x_hat)
    assert not unnoticed


# The journal


def put(results: Path, table: pa.Table, **changes: object) -> None:
    """A cell in the journal whose digest is right, whatever it holds."""
    with Journal(results) as journal:
        journal.commit(table)
    with sqlite3.connect(results / ".journal.sqlite") as db:
        for name, value in changes.items():
            db.execute(f"UPDATE cell SET {name} = ?", (value,))


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        (rows(suite="../../x"), {}),
        (rows(method="../../x"), {}),
        (rows(), {"suite": "../../x"}),
        (rows(), {"method": "a|b"}),
        (rows(), {"suite": None}),
        (rows(), {"rows": None}),
        (rows(), {"rows": "text"}),
        (rows(), {"rows": hashlib.sha256(b"no table").digest() + b"no table"}),
        (rows(m=0), {}),
        (rows(mse=-1.0), {}),
        (pa.concat_tables([rows(), rows()]), {}),
        (rows().drop_columns(["mse"]), {}),
    ],
    ids=range(12),
)
def test_a_cell_of_the_journal_that_is_none_is_left_out_and_others_are_kept(tmp_path, table, changes):
    results = tmp_path / "deep" / "results"
    put(results, table, **changes)
    with Journal(results) as journal:
        journal.commit(rows(50, method="mean"))
        assert [path.name for path in journal.compact()] == ["method=mean.parquet"]
        assert journal.damaged == 1
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["results"]
    assert not list(tmp_path.glob("x*"))


def test_a_journal_that_was_removed_with_its_folder_comes_back_with_all_cells(tmp_path):
    results = tmp_path / "results"
    with Journal(results) as journal:
        journal.begin_run("r", {"cpu": "x"})
        journal.commit(rows(25))
        for path in results.iterdir():
            path.unlink()
        results.rmdir()
        journal.commit(rows(50))
    with Journal(results) as journal:  # as after a kill
        assert len(journal.finished()) == 2
        (path,) = journal.compact()
    assert read_provenance(path) == {"r": {"cpu": "x"}}


def test_on_disks_of_other_machines_sqlite_does_not_write_ahead(tmp_path, monkeypatch):
    for local, mode in ((True, "wal"), (False, "delete")):
        monkeypatch.setattr("csbench.results.journal.is_local", lambda _, local=local: local)
        with Journal(tmp_path / mode) as journal:
            assert journal._db.execute("PRAGMA journal_mode").fetchone() == (mode,)
            journal.commit(rows())
        with Journal(tmp_path / mode) as journal:
            assert journal.compact()


def test_a_disk_is_local_by_what_is_mounted_there(tmp_path):
    def mounts(*points: tuple[str, str]) -> Path:
        path = tmp_path / "mountinfo"
        path.write_text("".join(f"1 0 8:1 / {point} rw - {kind} source rw\n" for point, kind in points))
        return path

    assert is_local(Path("/home/x"), mounts(("/", "ext4")))
    assert not is_local(Path("/home/x"), mounts(("/", "ext4"), ("/home", "nfs4")))
    assert is_local(Path("/homes"), mounts(("/", "ext4"), ("/home", "nfs4")))
    assert not is_local(Path("/a b/c"), mounts(("/", "ext4"), (r"/a\040b", "fuse.sshfs")))
    assert not is_local(Path("/x"), mounts(("/", "9p")))
    assert is_local(Path("/x"), mounts(("/x", "cifs"), ("/x", "xfs"), ("/", "overlay")))
    assert not is_local(Path("/x"), tmp_path / "none")
