"""The reader of CelebA, on folders that look like it; the faces themselves are nobody's to pass on."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from csbench import get_dataset
from csbench.core.errors import DataError
from csbench.datasets import celeba


def jpeg(value: int, size: tuple[int, int] = (178, 218)) -> bytes:
    """A grey picture with a white frame outside of the centre square."""
    side = round(size[0] * celeba.CROP)
    picture = Image.new("RGB", size, "white")
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    picture.paste((value, value, value), (left, top, left + side, top + side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CSBENCH_DATA", str(tmp_path))
    celeba._read.cache_clear()
    (tmp_path / "celeba").mkdir()
    return tmp_path / "celeba"


def write_partition(folder: Path) -> None:
    (folder / celeba.PARTITION).write_text("000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000004.jpg 0\n")


@pytest.mark.parametrize("size", [(178, 218), (89, 109)])
def test_reads_a_folder_at_any_resolution(folder, size):
    (folder / "img_align_celeba").mkdir()
    for number in range(1, 5):
        (folder / "img_align_celeba" / f"{number:06d}.jpg").write_bytes(jpeg(40 * number, size))
    write_partition(folder)
    dataset = get_dataset("celeba")
    train = dataset.images("train")
    assert train.ids.tolist() == [1, 4]
    assert train.pixels.shape == (2, 3, 64, 64)
    inside = train.pixels[:, :, 4:-4, 4:-4].astype(int)
    assert np.abs(inside - np.array([40, 160]).reshape(2, 1, 1, 1)).max() <= 3
    assert dataset.images("validation").ids.tolist() == [2]
    assert dataset.images("test").ids.tolist() == [3]


def test_reads_a_zip(folder):
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for number in range(1, 5):
            archive.writestr(f"img_align_celeba/{number:06d}.jpg", jpeg(10 * number))
    write_partition(folder)
    assert get_dataset("celeba").images("test").ids.tolist() == [3]


def test_says_what_is_missing_and_how_to_get_it(folder, monkeypatch):
    dataset = get_dataset("celeba")
    with pytest.raises(DataError, match=r"no zip with numbered images.*non-commercial"):
        dataset.images("test")
    (folder / "000001.jpg").write_bytes(jpeg(1))
    with pytest.raises(DataError, match="image 009501 and 499 more of the test split are missing"):
        dataset.images("test")
    write_partition(folder)
    for number in (2, 3, 4):
        (folder / f"{number:06d}.jpg").write_bytes(jpeg(1)[: 200 if number == 3 else None])
    with pytest.raises(DataError, match="image 000003 cannot be read"):
        dataset.images("test")
    (folder / celeba.PARTITION).write_text("000001.jpg train\n")
    celeba._read.cache_clear()
    with pytest.raises(DataError, match="line 1: expected"):
        dataset.images("test")
    monkeypatch.delenv("CSBENCH_DATA")
    with pytest.raises(DataError, match="CSBENCH_DATA is not set"):
        dataset.images("test")


def test_a_broken_zip_is_named(folder):
    (folder / "img_align_celeba.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"img_align_celeba\.zip: cannot be read"):
        get_dataset("celeba").images("test")


def test_the_subset(full_data):
    if not (full_data / "celeba").is_dir():
        pytest.skip("no CelebA here")
    celeba._read.cache_clear()
    dataset = get_dataset("celeba")
    test, validation = dataset.images("test"), dataset.images("validation")
    assert test.ids[0] == 9501
    assert len(test) == len(validation) == 500
    assert test.pixels[:64].std() > 40
