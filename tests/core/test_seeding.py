import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from csbench.core.seeding import seed_of, stream

names = st.lists(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)), max_size=5)


@given(names, names)
def test_other_names_give_another_seed(a, b):
    same = [(type(x), x, str(x)) for x in a] == [(type(x), x, str(x)) for x in b]
    assert (seed_of(*a) == seed_of(*b)) == same


def test_types_and_borders_of_names_count():
    assert len({seed_of(1), seed_of("1"), seed_of(1.0), seed_of("a", "b"), seed_of("ab"), seed_of("a b")}) == 6


def test_seed_is_the_same_in_another_process():
    code = "from csbench.core.seeding import seed_of; print(seed_of('noise', 'mnist', 17, 0.1))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(out) == seed_of("noise", "mnist", 17, 0.1)


def test_stream_is_pinned():
    assert seed_of("noise", "mnist", 17, "gaussian", 100, 0) == 562640143
    assert torch.equal(torch.randn(5, generator=stream("a", 1)), torch.randn(5, generator=stream("a", 1)))


def test_streams_are_uncorrelated():
    a, b = (torch.randn(100_000, generator=stream("a", i), dtype=torch.float64) for i in (1, 2))
    assert abs((a * b).mean().item()) < 5 / 100_000**0.5


@pytest.mark.parametrize("name", [None, True, b"x", (1,)])
def test_other_types_are_refused(name):
    with pytest.raises(TypeError, match="named by str, int and float"):
        seed_of(name)
