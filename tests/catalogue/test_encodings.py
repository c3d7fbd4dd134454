"""Modules of plug-ins as Python reads them, whatever they are encoded in; the rest is refused in one line."""

import pytest

from csbench.catalogue.sources import read
from csbench.core.errors import UsageError
from csbench.freshness.source import _read as read_code

SOURCE = '''"""Méthode."""
from csbench import Method


class Zéro(Method):
    def recover(self, given, rng):
        return given.y * len("é")
'''
LATIN = "# -*- coding: latin-1 -*-\n" + SOURCE


@pytest.mark.parametrize(
    "data",
    [
        SOURCE.encode("utf-8-sig"),
        SOURCE.replace("\n", "\r\n").encode("utf-8-sig"),
        SOURCE.replace("\n", "\r\n").encode(),
        LATIN.encode("latin-1"),
    ],
)
def test_one_module_in_several_encodings(tmp_path, data):
    plain, other = tmp_path / "plain.py", tmp_path / "other.py"
    plain.write_text(SOURCE, encoding="utf-8")
    other.write_bytes(data)
    assert [cls.name for cls in read("other", other).classes] == ["Zéro"]
    compile(data, "other.py", "exec")  # Python agrees
    digests = [{name: one.digest for name, one in read_code("m", path, 0).units.items()} for path in (plain, other)]
    assert digests[0] == digests[1], "an encoding moves no number"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (SOURCE.encode("latin-1"), "'utf-8' codec can't decode"),
        (SOURCE.encode("utf-16"), "odd.py"),
        (SOURCE.encode() + b"\0", "odd.py"),
        (b"# coding: nosuch\n" + SOURCE.encode(), "unknown encoding: nosuch"),
        (b"x = " + b"-" * 100_000 + b"1", "odd.py: cannot be read: "),
        (b"x = " + b"9" * 5000, "odd.py:1: Exceeds the limit"),
    ],
)
def test_what_python_refuses(tmp_path, data, message):
    path = tmp_path / "odd.py"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read("odd", path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: "):
        read("odd", tmp_path)
