"""One rule for all names, and how files are written and listed."""

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csbench.core.errors import CsbenchError, ResultsError, UsageError
from csbench.core.files import listed, write_atomically
from csbench.core.names import LONGEST, check_distinct, checked, fault_of

WRONG = [
    "", ".", "..", "../../escaped", "a/b", "a\\b", "a|b", "<img src=x>", "a b", "a,b", "my[1]", "-x", ".x", "x.", "a\n",
    "\x1b[2J", "a\x00", "\u202eabc", "\udcff", "ä", "é", "ﬁ", "a=b", "con", "NUL", "com1.txt", "truth", "x" * 101, None,
    3,
]  # fmt: skip


@pytest.mark.parametrize("name", WRONG, ids=ascii)
def test_what_is_no_name_is_refused_in_one_line(name):
    with pytest.raises(UsageError, match=r"^the field .*, got ") as caught:
        checked(name, "the field")
    message = str(caught.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize(
    "name", ["lasso-dct", "csgm-ambient-block-pixels-p0.95", "tv_box", "7", "x" * LONGEST, "console"]
)
def test_what_is_a_name_is_taken(name):
    assert checked(name, "the field", error=ResultsError) == name


def test_parameters_follow_the_names_of_operators_and_suites():
    assert checked("gaussian-blur:sigma=2,width=1e-3", "operator", ":")
    assert checked("mnist-gaussian~images=10", "suite", "~")
    for name in ("gaussian:", "gaussian:sigma", "gaussian:sigma=", "gaussian:sigma=2,", "a:b=c:d=e", "a~b=c", ":a=1"):
        assert fault_of(name, ":"), name
    assert fault_of("gaussian:sigma=2")


@given(st.text())
def test_a_name_is_a_file_of_its_own_on_any_system(name):
    try:
        checked(name, "the field")
    except CsbenchError:
        return
    assert os.path.basename(name) == name
    assert name.isascii()
    assert not set(name) & set('<>:"/\\|?*`$ \n[](){}~=,;&#%')
    assert name[0] not in ".-"


def test_names_that_differ_in_case_alone_are_refused():
    check_distinct(["a", "b"], "the methods")
    with pytest.raises(UsageError, match="'Lasso' and 'lasso' differ in upper and lower case alone"):
        check_distinct(["Lasso", "tv", "lasso"], "the methods")


def test_leftovers_of_editors_and_systems_are_passed_over(tmp_path):
    for name in ("b.toml", "a.toml", "._a.toml", "a.toml~", ".DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / ".#a.toml").symlink_to("me@machine.1234")
    assert [path.name for path in listed(tmp_path, "*.toml")] == ["a.toml", "b.toml"]
    assert listed(tmp_path / "none", "*") == []
    (tmp_path / "link").symlink_to("nowhere")
    for wrong in ("a.toml", "link"):
        with pytest.raises(OSError, match=wrong):
            listed(tmp_path / wrong, "*")


def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(OSError, match="file"):
        write_atomically(path, b"new")
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_atomically(type(path)("/dev/full"), b"new")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode), "a device is no file to be replaced"
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["file", "link", "target"]
