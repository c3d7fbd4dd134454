"""What a method's process sends is taken for what a stranger sends."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given as holds_for
from hypothesis import settings
from hypothesis import strategies as some

from csbench.core.measurement import Measurement
from csbench.operators import from_matrix
from csbench.runner.answers import LENGTH, decoded, encoded, for_all, most_bytes, usable, words
from csbench.runner.solving import Outcome

pytestmark = pytest.mark.faults

GIVEN = Measurement(from_matrix(torch.eye(4)[:2]), torch.ones(3, 2), 0.0, (1, 2, 2))
GOOD = Outcome("ok", None, np.ones((3, 4), np.float32), {"iterations": np.arange(3.0)}, 1.0, 0.9, 100.0, 1)


def forged(**changes) -> bytes:
    answer = encoded(GOOD)
    (length,) = LENGTH.unpack_from(answer)
    header = json.loads(answer[LENGTH.size : LENGTH.size + length]) | changes
    head = json.dumps(header).encode()
    return LENGTH.pack(len(head)) + head + answer[LENGTH.size + length :]


def test_a_good_answer_comes_back_as_it_was():
    found = decoded(encoded(GOOD), GIVEN, 1.1)
    assert found.x_hat is not None
    assert np.array_equal(found.x_hat, GOOD.x_hat)
    assert np.array_equal(found.diagnostics["iterations"], GOOD.diagnostics["iterations"])
    assert replace(found, x_hat=None, diagnostics={}) == replace(GOOD, x_hat=None, diagnostics={})
    assert len(encoded(GOOD)) <= most_bytes(GIVEN)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "splendid"}, "has status 'splendid'"),
        ({"status": ["ok"]}, "has status ['ok']"),
        ({"times": [float("nan"), 1, 1]}, "nan where its wall"),
        ({"times": [-1, 1, 1]}, "-1 where its wall"),
        ({"times": [1, "1", 1]}, "'1' where its cpu"),
        ({"times": [50.0, 1, 1]}, "tells of 50 s, and came after 1 s"),
        ({"times": [1, 1]}, "cannot be read"),
        ({"threads": 0}, "tells of 0 threads"),
        ({"threads": True}, "tells of True threads"),
        ({"dtype": "<f8"}, "x_hat of '<f8'"),
        ({"dtype": "|O"}, "x_hat of '|O'"),
        ({"shapes": [[3, 5], [3]]}, "shapes [[3, 5], [3]]"),
        ({"shapes": [[3, 4], [3], [3]], "diagnostics": ["a", "b"]}, "bytes of numbers"),
        ({"diagnostics": ["a|b"]}, "a diagnostic 'a|b'"),
        ({"diagnostics": ["<img>"]}, "a diagnostic '<img>'"),
        ({"diagnostics": [7]}, "a diagnostic 7"),
        ({"diagnostics": None}, "cannot be read"),
    ],
)
def test_a_forged_answer_fails_and_says_why(changes, said):
    found = decoded(forged(**changes), GIVEN, 1.0)
    assert found.status == "failed"
    assert found.reason is not None
    assert said in found.reason
    assert found.x_hat is None


@holds_for(some.binary(max_size=200), some.integers(0, 10**6), some.binary(max_size=8))
@settings(max_examples=300, deadline=None)
def test_no_bytes_do_any_harm(noise, at, part):
    good = encoded(GOOD)
    at %= len(good)
    for answer in (noise, good[:at], good[:at] + part + good[at + len(part) :], good + noise):
        found = decoded(answer, GIVEN, 2.0)
        assert found.status != "ok" or (found.x_hat is not None and found.x_hat.shape == (3, 4))
        assert found.status == "ok" or found.reason


@pytest.mark.parametrize("x_hat", [torch.ones(3, 4), np.ones((3, 4), object), "text", np.ma.ones((3, 4))])
def test_what_is_no_array_is_no_answer(x_hat):
    assert decoded(encoded(replace(GOOD, x_hat=x_hat)), GIVEN, 2.0).status == "failed"


@holds_for(some.text(some.characters(codec=None), max_size=5000) | some.just("\udcff" * 3000))
@settings(deadline=None)
def test_reasons_can_be_stored(text):
    assert len(words(text).encode()) <= 4 * 2000
    assert len(words(text)) <= 2000


def test_images_whose_y_is_not_finite_are_given_to_nobody():
    y = torch.ones(3, 2)
    y[1, 0] = float("nan")
    given = replace(GIVEN, y=y)
    part = usable(given)
    assert part is not None
    assert part.y.equal(torch.ones(2, 2))
    whole = for_all(Outcome("ok", None, np.ones((2, 4), np.float32), {"iterations": np.arange(2.0)}), given)
    assert whole.x_hat is not None
    assert np.isnan(whole.x_hat[1]).all()
    assert (whole.x_hat[[0, 2]] == 1).all()
    assert whole.diagnostics["iterations"][[0, 2]].tolist() == [0, 1]
    assert usable(GIVEN) is GIVEN
    assert usable(replace(given, y=y * float("nan"))) is None
