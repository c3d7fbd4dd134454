"""What is derived and kept: one way to read and to put, one rule of how long it holds."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from csbench import load_suite
from csbench.catalogue.registry import get_dataset
from csbench.core.errors import ResultsError
from csbench.freshness.lineage import Lineage, Proof
from csbench.priors import checkpoint
from csbench.results import artefact_kinds as kinds
from csbench.results.artefacts import Kind, digest, held
from csbench.results.reconstructions import keep, kept
from csbench.results.store import CellId
from csbench.runner import remembered
from csbench.solvers.latent import projection
from csbench.studies import count, decompose, floors, pictures
from tests.conftest import ROOT

KINDS = [one for one in vars(kinds).values() if isinstance(one, Kind)]
OF = {"suite": "s", "method": "a", "key": "k", "prior": "p", "dataset": "d", "name": "method=a"}
VALUES = {
    "string": "text", "int64": 3, "int32": 3, "double": 0.1, "float": 0.5, "bool": True, "binary": b"\0\xff",
    "vector": np.arange(4, dtype=np.float32), "list": ["a", "b"], "object": {"b": {"a": 1}},
}  # fmt: skip
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def proof(old: str, new: str, outcome="equal") -> Proof:
    return Proof("a", old, new, outcome, "25/0", 2, "", "", "")


def row_of(kind: Kind, **other) -> dict:
    return {name: VALUES[of] for name, of in kind.columns.items()} | other


def place_of(kind: Kind) -> dict[str, str]:
    return {name: value for name, value in OF.items() if f"{{{name}}}" in kind.place}


def same(found: list[dict], rows: list[dict], kind: Kind) -> bool:
    pairs = zip(found, rows, strict=True)
    return all(np.array_equal(one[name], other[name]) for one, other in pairs for name in kind.columns)


@each
def test_what_is_put_is_read(kind, tmp_path):
    of, row = place_of(kind), row_of(kind)
    assert kind.read(tmp_path, **of) == []
    kind.put(tmp_path, [row], **of)
    path = kind.path(tmp_path, **of)
    before = path.read_bytes()
    found = kind.read(tmp_path, **of)
    assert same(found, [row], kind)
    assert found[0]["made_by"]
    kind.put(tmp_path, found, **of)
    assert path.read_bytes() == before, "the same rows give the same bytes"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@each
def test_rows_of_the_same_identity_are_replaced(kind, tmp_path):
    of, first = place_of(kind), row_of(kind)
    changed = next(name for name in kind.columns if kind.columns[name] == "string" and name not in kind.identity)
    kind.put(tmp_path, [first], **of)
    kind.put(tmp_path, [other := first | {changed: "other"}], **of)
    assert same(kind.read(tmp_path, **of), [other], kind)
    if kind.identity:
        key = kind.identity[-1]
        beside = first | {key: "zzz" if kind.columns[key] == "string" else 9}
        kind.put(tmp_path, [beside], **of)
        assert same(kind.read(tmp_path, **of), [other, beside], kind)


@each
@pytest.mark.parametrize("damage", ["half", "no file of that format", "another column"])
def test_a_damaged_file_is_named_with_its_remedy(kind, damage, tmp_path):
    of = place_of(kind)
    path = kind.path(tmp_path, **of)
    kind.put(tmp_path, [row_of(kind)], **of)
    data = path.read_bytes()
    column = next(name for name in reversed(kind.columns) if name not in kind.identity)
    if damage == "another column" and data.count(column.encode()):
        path.write_bytes(data.replace(column.encode(), b"x" * len(column)))
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "half" else b"PAR1")
    if kind.published:
        with pytest.raises(ResultsError) as caught:
            kind.read(tmp_path, **of)
        assert f"{path}: not a file of {kind.name}" in str(caught.value)
        assert f"delete it, `{kind.command}` makes it anew" in str(caught.value)
    else:
        assert kind.read(tmp_path, **of) == []
        kind.put(tmp_path, [row_of(kind)], **of)
        assert len(kind.read(tmp_path, **of)) == 1


@pytest.mark.parametrize("path", sorted((ROOT / "results" / "evaluations").glob("*.csv")), ids=lambda path: path.stem)
def test_published_counts_keep_their_bytes(path, tmp_path):
    kinds.EVALUATIONS.put(tmp_path, kinds.EVALUATIONS.read(ROOT / "results", suite=path.stem), suite=path.stem)
    assert kinds.EVALUATIONS.path(tmp_path, suite=path.stem).read_bytes() == path.read_bytes()


CELL = SimpleNamespace(
    method_name="a", id=CellId("k", "now"), suite=SimpleNamespace(axis="m", version=1, name="quick"),
    problem=SimpleNamespace(m=25, noise_norm=0.1, images=1),
)  # fmt: skip


def reconstructions_hold(tmp_path, monkeypatch, lineage_of):
    lineage = lineage_of("now")
    keep(tmp_path, "quick", "a", CellId("k", "then"), "r", np.zeros((2, 3), np.float32))
    return kept(tmp_path, "quick", "a", "k", "r", partial(lineage.connects, "now")) is not None


def states_hold(tmp_path, monkeypatch, lineage_of):
    suite = load_suite("quick")
    monkeypatch.setattr(remembered, "_made_by", lambda *_: "then")
    remembered.remember(suite, tmp_path, "stamp", [], {"counts": {}})
    monkeypatch.setattr(remembered, "_made_by", lambda *_: "now")
    lineage_of("now").write(tmp_path, "quick")
    return remembered.recall(suite, tmp_path) is not None


def floors_hold(tmp_path, monkeypatch, lineage_of):
    search = projection.SEARCH
    rows = [row_of(kinds.FLOORS)]
    kinds.FLOORS.put(tmp_path, rows, prior="vae-mnist", dataset="mnist")
    (then,) = kinds.FLOORS.read(tmp_path, prior="vae-mnist", dataset="mnist")
    now = digest([checkpoint.card("vae-mnist")["sha256"], search.restarts, search.rung * search.rungs])
    made = []
    monkeypatch.setattr(projection, "representation_errors", lambda *_: made.append(1) or pd.DataFrame(rows))
    floors.update(tmp_path, "vae-mnist", get_dataset("mnist"), 1, lineage_of(now, then["made_by"]))
    return not made


def counts_hold(tmp_path, monkeypatch, lineage_of):
    stored = [row_of(kinds.EVALUATIONS, method="a", m=25, noise_norm=0.1, images=1, made_by="then")]
    return not count.missing([CELL], 5, stored, lineage_of("now"))


def decompositions_hold(tmp_path, monkeypatch, lineage_of):
    row = row_of(kinds.DECOMPOSITIONS, suite_version=1, m=25, restarts=decompose.RESTARTS, made_by="then")
    kinds.DECOMPOSITIONS.put(tmp_path, [row], suite="quick", method="a")
    lineage_of("now").write(tmp_path, "quick")
    monkeypatch.setattr(decompose, "make_cells", lambda _: [CELL])
    monkeypatch.setattr(decompose, "_rows", lambda *_: [row])
    suite = SimpleNamespace(name="quick", version=1)
    monkeypatch.setattr(decompose, "replace", lambda *_, **__: suite)
    return decompose.update(tmp_path, suite, "a", (25,), 1) == 0


def pictures_hold(tmp_path, monkeypatch, lineage_of):
    stored = {"a": pd.DataFrame([row_of(kinds.PICTURES, level=25.0, made_by="then")])}
    monkeypatch.setattr(pictures, "make_cells", lambda _: [CELL])
    return not pictures.missing(load_suite("quick"), 1, stored, lineage_of("now"))


HOLD = [reconstructions_hold, states_hold, floors_hold, counts_hold, decompositions_hold, pictures_hold]
CHAINS = {
    "proved": (lambda then, now: [proof(then, "between"), proof("between", now)], True),
    "proved the other way": (lambda then, now: [proof(now, then)], True),
    "unknown": (lambda then, now: [], False),
    "refuted": (lambda then, now: [proof(then, now, "differs")], False),
}


@pytest.mark.parametrize("hold", HOLD, ids=lambda one: one.__name__)
@pytest.mark.parametrize("chain", CHAINS)
def test_every_kind_holds_by_the_same_rule(hold, chain, tmp_path, monkeypatch):
    proofs, expected = CHAINS[chain]
    assert hold(tmp_path, monkeypatch, lambda now, then="then": Lineage(tuple(proofs(then, now)))) is expected


def test_the_same_hash_holds():
    rows = [{"m": 1, "made_by": "now"}, {"m": 2, "made_by": "now"}, {"m": 2, "made_by": "then"}]
    assert held(rows, {"m": 2}, partial(Lineage().connects, "now")) == rows[1:2]
