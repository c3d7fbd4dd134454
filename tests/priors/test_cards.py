"""Weights and cards that are damaged, forged or absurd: one line that names the file and the field."""

import hashlib
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as dump_tensors

from csbench.core.cards import LONGEST, SEAL, read_card, seal_of
from csbench.core.errors import CheckpointError
from csbench.core.paths import PACKAGED
from csbench.priors import checkpoint, mixture, pca
from csbench.priors.generator import MLPGenerator, _loaded, load_prior
from csbench.training import classifier
from csbench.training.checkpoints import TrainingState

pytestmark = pytest.mark.faults

ABOUT = {
    "family": "vae",
    "dataset": "mnist",
    "measurements": "none: trained on clean images",
    "licence": "weights: MIT",
    "quality": {},
    "architecture": {"kind": "mlp", "latent_dim": 2, "hidden": [3], "n": 4},
}
TENSORS = {key: value.detach() for key, value in MLPGenerator(2, [3], 4).state_dict().items()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CSBENCH_WEIGHTS", str(tmp_path))
    checkpoint.save(tmp_path, "odd", TENSORS, ABOUT)
    _loaded.cache_clear()
    yield tmp_path
    _loaded.cache_clear()


def refused(load=lambda: load_prior("odd")) -> str:
    with pytest.raises(CheckpointError) as caught:
        load()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1000
    return text


def change_card(folder, **fields) -> None:
    """As somebody does who changes a card and does not know of the seal."""
    path = folder / "odd.json"
    card = {**json.loads(path.read_text()), **fields}
    del card[SEAL]
    path.write_text(json.dumps({name: value for name, value in card.items() if value is not ...}))


def test_what_is_saved_is_loaded(folder):
    generator = load_prior("odd").generator
    for key, value in generator.state_dict().items():
        assert torch.equal(value, TENSORS[key])
    card = json.loads((folder / "odd.json").read_text())
    assert list(card)[-1] == SEAL
    assert card[SEAL] == seal_of(card)


def test_every_card_that_ships_is_sealed():
    paths = sorted(PACKAGED.rglob("*.json"))
    assert len(paths) > 50
    for path in paths:
        assert SEAL in read_card(path), path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1, 2]", "a card is a JSON object, got list"),
        (b"null", "a card is a JSON object, got NoneType"),
        (b'"card"', "got str"),
        (b"", "the card cannot be read"),
        (b"{", "the card cannot be read (JSONDecodeError"),
        (b"\xff\xfe{}", "the card cannot be read (UnicodeDecodeError"),
        (b"[" * 100_000, "the card cannot be read (RecursionError"),
        (b"{}", "field 'bytes' is missing; restore the card or train again"),
        (b" " * (LONGEST + 1), "1048577 bytes are too many for a card"),
    ],
)
def test_a_card_that_is_none(folder, content, message):
    (folder / "odd.json").write_bytes(content)
    for load in (lambda: load_prior("odd"), lambda: read_card(folder / "odd.json")):
        text = refused(load)
        assert text.startswith(f"{folder / 'odd.json'}: ")
        assert message.split(" (")[0] in text
    assert message in refused()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sha256": ...}, "field 'sha256' is missing"),
        ({"sha256": 5}, "field 'sha256' must be a text, got 5"),
        ({"quality": []}, "field 'quality' must be an object, got []"),
        ({"bytes": "many"}, "field 'bytes' must be an integer, got 'many'"),
        ({"bytes": True}, "field 'bytes' must be an integer, got True"),
        ({"seconds": "long"}, "field 'seconds' must be a number"),
        ({"dataset": None}, "field 'dataset' must be a text, got None"),
        ({"licence": ["MIT"] * 10_000}, "field 'licence' must be a text, got ['MIT', 'MIT'"),
        ({"name": "../../other"}, "field 'name' must be that of the file, got '../../other'"),
        ({"architecture": "mlp"}, "field 'architecture' must be an object, got 'mlp'"),
        ({"architecture": {}}, "odd.json: architecture None is not one of mlp, relu, conv"),
        ({"architecture": {"kind": ["mlp"]}}, "odd.json: architecture"),
        ({"architecture": {"kind": "mlp", "latent_dim": 2}}, "odd.json: architecture: TypeError"),
        ({"architecture": {**ABOUT["architecture"], "n": "4"}}, "odd.json: architecture: TypeError"),
        ({"architecture": {**ABOUT["architecture"], "n": -4}}, "odd.json: architecture: RuntimeError"),
        ({"architecture": {**ABOUT["architecture"], "n": 5}}, "does not fit the architecture on its card"),
        ({"architecture": {**ABOUT["architecture"], "latent_dim": 10**12}}, "odd.safetensors does not fit the"),
        ({"architecture": {**ABOUT["architecture"], "latent_dim": 10**30}}, "odd.json: architecture"),
        ({"architecture": {**ABOUT["architecture"], "latent_dim": math.nan}}, "odd.json: architecture"),
        ({"architecture": {"kind": "conv", "latent_dim": 2, "side": 2, "channels": []}}, "odd.json: architecture"),
    ],
)
def test_a_card_with_odd_fields(folder, fields, message):
    change_card(folder, **fields)
    assert message in refused()


def test_a_changed_card_is_noticed(folder):
    path = folder / "odd.json"
    path.write_text(path.read_text().replace("weights: MIT", "weights: mine"))
    assert f"{path}: the card has been changed: its sha256 is " in refused()
    assert "take this field away if the change is meant" in refused()
    change_card(folder)  # which takes the seal away
    assert load_prior("odd").card["licence"] == "weights: mine"


def forge(folder, data: bytes) -> None:
    """Weights whose card says that they are right."""
    (folder / "odd.safetensors").write_bytes(data)
    change_card(folder, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


GOOD = dump_tensors(TENSORS)
KEY = "layers.0.weight"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no safetensors file, train again"),
        (b"no weights at all", "no safetensors file"),
        (b"PK\x03\x04" + bytes(100), "no safetensors file"),
        (GOOD[:-1], "no safetensors file"),
        (GOOD + b"!", "no safetensors file"),
        (b"\xff" * 8 + GOOD, "no safetensors file"),
        (dump_tensors({}), "does not fit the architecture"),
        (dump_tensors({"mean": torch.zeros(4)}), "does not fit the architecture"),
        (dump_tensors(TENSORS | {KEY: torch.zeros(3, 3)}), "does not fit the architecture"),
        (dump_tensors(TENSORS | {KEY: torch.full((3, 2), torch.nan)}), f"tensor {KEY!r} is not finite; train again"),
        (dump_tensors(TENSORS | {KEY: torch.full((3, 2), torch.inf).half()}), f"tensor {KEY!r} is not finite"),
        (dump_tensors(TENSORS | {KEY: torch.zeros(3, 2, dtype=torch.complex64)}), "got torch.complex64"),
        (dump_tensors(TENSORS | {KEY: torch.zeros(3, 2, dtype=torch.uint8)}), "got torch.uint8; train again"),
        (dump_tensors(TENSORS | {KEY: torch.zeros(3, 2, dtype=torch.bool)}), "got torch.bool"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_weights_that_are_none(folder, data, message):
    forge(folder, data)
    text = refused()
    assert "odd.safetensors" in text
    assert message in text


def test_weights_that_are_not_those_of_the_card(folder):
    (folder / "odd.safetensors").write_bytes(GOOD[:-1])
    assert "sha256 is " in refused()
    (folder / "odd.json").unlink()
    assert "the card cannot be read" in refused()


GAUSSIAN = {  # in which one of the lengths is another, and so below
    "mean": torch.zeros(4),
    "components": torch.zeros(2, 5),
    "variances": torch.ones(2),
    "residual": torch.ones(()),
}
MIXTURE = {
    "weights": torch.ones(2),
    "means": torch.zeros(2, 4),
    "loadings": torch.zeros(2, 5, 1),
    "noise": torch.ones(2, 4),
}


@pytest.mark.parametrize(
    ("tensors", "load"),
    [
        ({"mean": torch.zeros(4)}, pca.load),
        (GAUSSIAN, pca.load),
        ({"weights": torch.ones(1)}, mixture.load),
        (MIXTURE, mixture.load),
        ({"weights": torch.ones(2)}, classifier.load),
    ],
)
def test_other_kinds_of_priors(folder, tensors, load):
    checkpoint.save(folder, "odd", tensors, ABOUT)
    assert "odd." in refused(lambda: load("odd"))


def test_a_training_state_that_is_damaged(tmp_path):
    path = tmp_path / "odd.checkpoint.safetensors"
    module = torch.nn.Linear(2, 2)
    state = TrainingState({"a": module}, {"b": torch.optim.Adam(module.parameters())}, torch.Generator())
    state.store(path, "recipe", 3, 1.5)
    assert state.restore(path, "recipe") == (3, 1.5)
    whole = path.read_bytes()
    for data in (b"", whole[:100], whole[:-1], dump_tensors({"a": torch.zeros(1)}), GOOD):
        path.write_bytes(data)
        assert "delete it or train without --resume" in refused(lambda: state.restore(path, "recipe"))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=4), st.booleans())
def test_flipped_bits_are_noticed(tmp_path_factory, flips, weights):
    folder = tmp_path_factory.getbasetemp() / "flipped"
    checkpoint.save(folder, "odd", TENSORS, ABOUT)
    path = folder / ("odd.safetensors" if weights else "odd.json")
    data = bytearray(path.read_bytes())
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    path.write_bytes(bytes(data))
    before = json.loads((folder / "odd.json").read_bytes()) if weights else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSBENCH_WEIGHTS", str(folder))
        try:
            tensors, card = checkpoint.load("odd")
        except CheckpointError as error:
            text = str(error)
        else:  # the flips undid one another, or spaces became other spaces
            text = "odd."
            assert dump_tensors(tensors) == GOOD
            assert card[SEAL] == seal_of(card) or before
    assert "odd." in text
