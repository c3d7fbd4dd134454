"""Data files that are damaged, forged or made to do harm: one line that names the file and what to do."""

import contextlib
import gzip
import io
import resource
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from csbench import get_dataset
from csbench.core.errors import DataError
from csbench.datasets import celeba
from csbench.datasets.mnist import IDX_TYPES, read_idx

pytestmark = pytest.mark.faults


@contextlib.contextmanager
def about(name: str):
    """What is in here may be refused, if the message says of what it is."""
    try:
        yield
    except DataError as error:
        text = str(error)
    else:
        text = name
    assert name in text


GOOD = b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4) + bytes(range(24))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"a", "not an idx file: it begins with 000008ff"),
        (b"\0\0\x08\0a", "and 01 to 08 dimensions"),
        (b"\0\0\x07\x01\0\0\0\1a", "not with 0000, a type (08, 09, 0b, 0c, 0d, 0e)"),
        (b"\1\0\x08\x01\0\0\0\1a", "it begins with 01000801"),
        (b"", "it begins with nothing"),
        (b"\0\0\x08", "it begins with 000008,"),
        (b"\0\0\x08\x03\0\0\0\2\0\0", "ends within its header"),
        (GOOD[:-1], "23 bytes where its header promises 24"),
        (GOOD + b"!", "more bytes where its header promises 24"),
        (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", "its header promises 18446744065119617025 bytes"),
        (b"\0\0\x0e\x08" + b"\xff" * 32, "more than 268435456; delete it and get it again"),
        (b"<html>not found</html>", "not an idx file"),
        (Image.new("L", (28, 28)).tobytes(), "not an idx file"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_idx_file(tmp_path, data, message, packed):
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(DataError) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", IDX_TYPES)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 1, 2, 1, 2), (0,), (2, 0, 3)])
def test_every_type_and_shape_of_the_format(tmp_path, code, shape):
    wanted = np.arange(np.prod(shape), dtype=IDX_TYPES[code]).reshape(shape)
    path = tmp_path / "numbers.gz"  # in fact not packed: what is in the file says so, and not its name
    path.write_bytes(bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + wanted.tobytes())
    assert np.array_equal(read_idx(path), wanted)


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    with open(path, "wb") as file:
        file.write(packer.compress(GOOD))
        for _ in range(64):
            file.write(packer.compress(bytes(2**20)))
        file.write(packer.flush())
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(DataError, match="more bytes where its header promises 24"):
        read_idx(path)
    assert time.process_time() - started < 0.2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


def test_what_cannot_be_read_at_all(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match="cannot be read"):
            read_idx(path)


@settings(max_examples=200, deadline=None)
@given(st.booleans(), st.integers(0, 60), st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), max_size=4))
def test_damaged_idx_files_are_read_or_refused(tmp_path_factory, packed, length, changes):
    path = tmp_path_factory.getbasetemp() / "any.idx"
    data = bytearray((gzip.compress(GOOD) if packed else GOOD)[:length])
    for place, value in changes:
        data[place % max(len(data), 1) : place % max(len(data), 1) + 1] = bytes([value])
    path.write_bytes(bytes(data))
    with about("any.idx: "):
        assert read_idx(path).nbytes <= 2**28


def face(kind: str = "JPEG", size: tuple[int, int] = (89, 109), mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 77).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CSBENCH_DATA", str(tmp_path))
    celeba._read.cache_clear()
    (tmp_path / "celeba").mkdir()
    (tmp_path / "celeba" / celeba.PARTITION).write_text("000001.jpg 2\n000002.jpg 2\n")
    yield tmp_path / "celeba"
    celeba._read.cache_clear()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (face()[:300], "cannot be read"),
        (b"no picture", "cannot be read (cannot identify image file of any known format); get it again"),
        (face(mode="CMYK"), "cannot be read (its mode is CMYK; convert it"),
        (face("PNG", mode="RGBA"), "its mode is RGBA"),
        (face("PNG", mode="I;16"), "its mode is I;16"),
        (face(size=(109, 89)), "it has 109x89 pixels; the aligned faces are upright, 178x218"),
        (face(size=(44, 54)), "it has 44x54 pixels"),
        (face(size=(200, 100)), "it has 200x100 pixels"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_face_that_is_none(folder, data, message, packed):
    files = {"000001.jpg": face(), "000002.jpg": data}
    if packed:
        with zipfile.ZipFile(folder / "faces.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        for name, content in files.items():
            (folder / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        get_dataset("celeba").images("test")
    text = str(caught.value)
    assert text.startswith(f"{folder / 'faces.zip' if packed else folder}: image 000002 ")
    assert message in text
    assert "\n" not in text


def test_a_zip_bomb_is_not_unpacked(folder):
    with zipfile.ZipFile(folder / "faces.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("000001.jpg", face())
        archive.writestr("000002.jpg", bytes(celeba.MOST_BYTES + 1))
    with pytest.raises(DataError, match=r"faces\.zip: image 000002 cannot be read \(it unpacks to 67108865 bytes"):
        get_dataset("celeba").images("test")


def change_member(path, offset: int, local: int, value: bytes) -> None:
    """Overwrites a field of every member, in its own header and in the directory of the archive."""
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", offset), (b"PK\x03\x04", local)):
        place = data.find(signature)
        while place >= 0:
            data[place + at : place + at + len(value)] = value
            place = data.find(signature, place + 1)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("offset", "local", "value", "message"),
    [
        (8, 6, b"\1\0", "it is encrypted; unpack the archive with its password"),
        (10, 8, b"\x63\0", "NotImplementedError"),
        (16, 14, b"\1\2\3\4", "Bad CRC-32"),
        (46, 30, b"x", "no zip with numbered images"),
    ],
)
def test_an_archive_with_odd_members(folder, offset, local, value, message):
    with zipfile.ZipFile(folder / "faces.zip", "w") as archive:
        archive.writestr("000001.jpg", face())
        archive.writestr("000002.jpg", face())
    change_member(folder / "faces.zip", offset, local, value)
    with pytest.raises(DataError) as caught:
        get_dataset("celeba").images("test")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_leftovers_of_macos_are_passed_over(folder):
    (folder / "._faces.zip").write_bytes(b"\0\5\x16\7 not an archive")
    with zipfile.ZipFile(folder / "faces.zip", "w") as archive:
        for number in (1, 2):
            archive.writestr(f"img_align_celeba/{number:06d}.jpg", face())
            archive.writestr(f"__MACOSX/img_align_celeba/._{number:06d}.jpg", b"\0\5\x16\7")
    assert get_dataset("celeba").images("test").pixels.mean() == pytest.approx(77 / 3, abs=1)


def test_a_partition_that_is_no_text(folder):
    (folder / "000001.jpg").write_bytes(face())
    (folder / celeba.PARTITION).write_bytes(b"\xff\xfe0\0")
    with pytest.raises(DataError, match=r"list_eval_partition\.txt: cannot be read: UnicodeDecodeError"):
        get_dataset("celeba").images("test")
    (folder / celeba.PARTITION).unlink()
    (folder / celeba.PARTITION).mkdir()
    with pytest.raises(DataError, match="image 009501 and 499 more"):
        get_dataset("celeba").images("test")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.floats(0.1, 1))
def test_damaged_archives_are_read_or_refused(tmp_path_factory, seed, flips, share):
    folder = tmp_path_factory.getbasetemp() / "celeba"
    folder.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("000001.jpg", face())
    data, rng = bytearray(buffer.getvalue()), np.random.default_rng(seed)
    for place in rng.integers(0, len(data), flips):
        data[place] ^= 1 << rng.integers(8)
    (folder / "faces.zip").write_bytes(bytes(data[: round(share * len(data))] if seed % 2 else data))
    (folder / celeba.PARTITION).write_text("000001.jpg 2\n")
    celeba._read.cache_clear()
    with about(str(folder)):
        assert celeba._read(folder, "test").pixels.shape == (1, 3, 64, 64)
