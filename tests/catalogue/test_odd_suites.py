"""Suite files as nobody should write them: refused in one line that names file and field, before any compute."""

import math
import os
import string
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csbench.catalogue.registry import parse_operator
from csbench.catalogue.suites import Suite, load_suite, parse_suite, suite_names
from csbench.core.errors import UsageError

from ..conftest import TINY_SUITE

pytestmark = pytest.mark.faults


def refused(path) -> str:
    """The one line that the file is refused with."""
    with pytest.raises(UsageError) as caught:
        load_suite(str(path))
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 2000
    assert path.name in text
    return text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("m = [10, 25]", "m = [10, 1000000000000]", "field 'm' must be a list of integers in increasing order, 1 to 1"),
        ("m = [10, 25]", "m = [0, 25]", "got [0, 25]"),
        ("m = [10, 25]", "m = [-1, 25]", "got [-1, 25]"),
        ("m = [10, 25]", "m = [true, 25]", "got [True, 25]"),
        ("m = [10, 25]", "m = [25, 25]", "got [25, 25]"),
        ("m = [10, 25]", "m = 25", "field 'm' must be a list"),
        ("m = [10, 25]", f"m = {list(range(100_000, 0, -1))}", "got [100000, 99999, 99998, 99997, 99996, 99995, ...]"),
        ("draws = 1", "draws = 1000000000", "field 'draws' must be an integer, 1 to 10000, got 1000000000"),
        ("draws = 1", "draws = 1.5", "got 1.5"),
        ("noise_norm = 0.1", "noise_norm = [0.1, nan]", "field 'noise_norm' must be a number, 0 to 1e+06"),
        ("noise_norm = 0.1", "noise_norm = [0.1, inf]", "got [0.1, inf]"),
        ("noise_norm = 0.1", "noise_norm = 1e300", "got 1e+300"),
        ("noise_norm = 0.1", "noise_norm = 1979-05-27", "got datetime.date(1979, 5, 27)"),
        ("images = 3", "images = 1000000000000", "field 'images' must be an integer, 1 to 1000000"),
        ("images = 3", "images = 3\ntimeout = inf", "at most 10000000, got inf"),
        ("images = 3", "images = 3\ntimeout = true", "got True"),
        ("images = 3", "images = 3\nfewer_images = [25, 4]", "number of images, 1 to 3], got [25, 4]"),
        ("images = 3", "images = 3\nfewer_images = [25, true]", "got [25, True]"),
        ("images = 3", 'images = 3\nmethods = ["lasso-dtc"]', "'methods': unknown method 'lasso-dtc'. Did you mean"),
        ("images = 3", "images = 3\nmethods = [1]", "field 'methods' must be a list of names, got [1]"),
        ("version = 1", "version = 10000000000", "field 'version' must be an integer, 1 to 1000000"),
        ("published = false", "published = 0", "field 'published' must be true or false, got 0"),
        ("A tiny suite", "", "field 'title' must be one line of at most 200 printable characters"),
        ("A tiny suite", "<img src=x>", "got '<img src=x>'"),
        ("A tiny suite", "a\\nb", "got 'a\\nb'"),
        ("A tiny suite", "\\u001b[31m", "printable"),
        ("draws = 1", "draw = 1", "unknown field 'draw'. Did you mean 'draws'? A suite has name, version"),
        ("published = false", "[published]", "field 'published' must be true or false, got {}"),
        ('"gaussian"', '"gaussian-blur:sigma=1,sigma=2"', "parameter sigma is given twice"),
        ('"gaussian"', '"gaussian-blur:"', "field 'operator'"),
        ('"gaussian"', '"gaussian-blur:sgima=2"', "Did you mean 'sigma'?"),
    ],
)  # fmt: skip
def test_the_message_names_field_and_value(tmp_path, old, new, message):
    path = tmp_path / "bad.toml"
    assert old in TINY_SUITE
    path.write_text(TINY_SUITE.replace(old, new))
    assert message in refused(path)


def test_more_cells_than_anybody_waits_for(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(
        TINY_SUITE.replace("m = [10, 25]", f"m = {list(range(1, 1001))}").replace("draws = 1", "draws = 101")
    )
    assert "field 'draws' must be at most 100 with so many levels, got 101" in refused(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "field 'name' is missing"),
        (TINY_SUITE.encode("utf-16"), "not in UTF-8 (byte 0)"),
        (TINY_SUITE.replace("tiny", "\xe4", 1).encode("latin-1"), "not in UTF-8 (byte"),
        (TINY_SUITE.encode() + b"\0", "not valid TOML"),
        (b'{"name": "tiny"}', "not valid TOML"),
        (TINY_SUITE.encode() + b"draws = 2\n", "not valid TOML: Cannot overwrite a value"),
        (b"a = " + b"[" * 100_000, "cannot be read"),
        (b"m = " + b"9" * 10_000, "cannot be read"),
        (os.urandom(1000), "bad.toml"),
    ],
)
def test_what_is_no_suite_at_all(tmp_path, data, message):
    path = tmp_path / "bad.toml"
    path.write_bytes(data)
    assert message in refused(path)


def test_what_is_no_file(tmp_path):
    folder, loop = tmp_path / "folder.toml", tmp_path / "loop.toml"
    folder.mkdir()
    loop.symlink_to(loop)
    assert "Is a directory" in refused(folder)
    assert "symbolic links" in refused(loop)
    for name in ("\0.toml", "a" * 300 + ".toml"):
        with pytest.raises(UsageError, match="cannot be read"):
            load_suite(name)


@pytest.mark.parametrize("encoded", [("\ufeff" + TINY_SUITE).encode(), TINY_SUITE.replace("\n", "\r\n").encode()])
def test_a_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path, encoded):
    path = tmp_path / "tiny.toml"
    path.write_bytes(encoded)
    assert load_suite(str(path)).name == "tiny"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(1, 30)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["mnist", "gaussian", "quick", "tiny", "zeros", "gaussian-blur:sigma=2"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=6,
)
FIELDS = [line.split(" = ")[0] for line in TINY_SUITE.splitlines()] + ["methods", "fewer_images", "timeout", "timeuot"]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=3), st.sampled_from([*FIELDS, ""]))
def test_any_value_is_taken_or_refused_with_its_field(tmp_path_factory, changes, missing):
    import tomllib

    path = tmp_path_factory.getbasetemp() / "any.toml"
    table = {name: value for name, value in (tomllib.loads(TINY_SUITE) | changes).items() if name != missing}
    try:
        suite = parse_suite(table, path)
    except UsageError as error:
        text = str(error)
        assert "any.toml" in text
        assert any(repr(name) in text for name in (*FIELDS, "m")), text
        assert "\n" not in text
        assert len(text) < 2000
    else:
        assert_sound(suite)


def assert_sound(suite: Suite) -> None:
    assert set(suite.name) <= set(string.ascii_letters + string.digits + "-_.")
    assert suite.name not in suite_names()
    assert all(type(m) is int and 1 <= m <= 10_000_000 for m in suite.m)
    assert list(suite.m) == sorted(set(suite.m))
    assert list(suite.noise_norms) == sorted(set(suite.noise_norms))
    assert all(0 <= level <= 1e6 for level in suite.noise_norms)
    assert suite.reference_m in suite.m
    assert 1 <= suite.draws * len(suite.levels) <= 100_000
    assert suite.timeout is None or 0 < suite.timeout < math.inf
    assert suite.title.isprintable()
    assert parse_operator(suite.operator)
    assert asdict(suite)


def test_the_suites_that_ship_are_sound():
    for name in suite_names():
        assert load_suite(name).name == name
