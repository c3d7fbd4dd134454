import functools
import gzip
import hashlib
import http.server
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from csbench import get_dataset
from csbench.core.dataset import SPLITS, Images
from csbench.core.errors import DataError, UsageError
from csbench.core.paths import EMBEDDED
from csbench.datasets.mnist import MNIST, read_idx

NAMES = ["mnist", "fashion-mnist"]


def hashes(images: Images) -> set[str]:
    return {hashlib.sha256(image.tobytes()).hexdigest() for image in images.pixels}


@pytest.mark.parametrize("name", NAMES)
def test_embedded_subset_is_balanced_and_small(name):
    dataset = get_dataset(name)
    for split, count in (("train", 2000), ("validation", 500), ("test", 500)):
        images = dataset.images(split)
        assert images.pixels.shape == (count, *dataset.image_shape)
        assert (np.bincount(images.labels) == count // 10).all()
    assert (np.bincount(dataset.images("test")[:100].labels) == 10).all()
    assert sum(path.stat().st_size for path in EMBEDDED.glob("*.xz")) < 2.2e6
    assert "licence" in (EMBEDDED / "NOTICE.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_embedded_splits_never_overlap(name):
    dataset = get_dataset(name)
    parts = [hashes(dataset.images(split)) for split in SPLITS]
    assert [len(part) for part in parts] == [2000, 500, 500]
    assert len(set.union(*parts)) == 3000


def test_patches_of_photographs():
    """No photograph is in two splits, no patch occurs twice, and few test images are from all photographs."""
    parts = [get_dataset("natural").images(split) for split in SPLITS]
    assert [len(part) for part in parts] == [58, 47, 50]
    assert all(part.pixels.shape[1:] == (1, 64, 64) and part.pixels.dtype == np.uint8 for part in parts)
    assert len(set.union(*map(hashes, parts))) == len(np.unique(np.concatenate([part.ids for part in parts]))) == 155
    labels = [set(part.labels.tolist()) for part in parts]
    assert sum(map(len, labels)) == len(set.union(*labels)) == 9
    assert set(parts[2].labels[:10].tolist()) == labels[2]


def test_patches_are_those_of_scikit_image():
    from skimage import data

    camera, parts = data.camera() / 255, get_dataset("natural").images("test")
    smaller = (camera[::2, ::2] + camera[1::2, ::2] + camera[::2, 1::2] + camera[1::2, 1::2]) / 4
    cut = [smaller[i : i + 64, j : j + 64] for i in range(0, 256, 64) for j in range(0, 256, 64)]
    found = sorted(parts.pixels[parts.labels == 5][:, 0] / 255, key=np.sum)
    np.testing.assert_allclose(found, sorted(cut, key=np.sum), atol=0.51 / 255)


@pytest.mark.parametrize("name", NAMES)
def test_full_files(name, full_data):
    """The embedded images are the official ones, and none that is scored or tuned on is ever trained on."""
    dataset = get_dataset(name)
    train, test = dataset.training_images(), dataset.official("t10k")
    assert len(train) == 60_000
    assert len(test) == 10_000
    for split, official in (("train", train), ("validation", test), ("test", test)):
        images = dataset.images(split)
        assert (official.pixels[images.ids] == images.pixels).all()
        assert (official.labels[images.ids] == images.labels).all()
    assert not hashes(train) & (hashes(dataset.images("validation")) | hashes(dataset.images("test")))


def test_plain_and_compressed_idx_are_the_same(tmp_path, full_data, monkeypatch):
    packed = full_data / "mnist" / "t10k-labels-idx1-ubyte.gz"
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(gzip.decompress(packed.read_bytes()))
    (tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz").symlink_to(full_data / "mnist" / "t10k-images-idx3-ubyte.gz")
    monkeypatch.setenv("CSBENCH_DATA", str(tmp_path))
    assert (MNIST().official("t10k").labels == read_idx(packed)).all()


def test_signals_are_in_the_unit_range():
    x = get_dataset("mnist").images("test").signals()
    assert x.shape == (500, 784)
    assert x.min() == 0
    assert x.max() == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x00\x08\x01\x00\x00\x00\x05ab", "2 bytes where its header promises 5"),
        (b"not an idx file at all", "not an idx file"),
        (b"", "not an idx file"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad-idx1-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"bad-idx1-ubyte.*{message}"):
        read_idx(path)


def test_truncated_gzip_and_wrong_digest_are_named(tmp_path):
    good = b"\x00\x00\x08\x01\x00\x00\x00\x02ab"
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(good)[:-6])
    with pytest.raises(DataError, match=r"labels\.gz: cannot be read"):
        read_idx(path)
    damaged = bytearray(gzip.compress(good * 50))
    damaged[15] ^= 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(DataError, match=r"labels\.gz: cannot be read"):
        read_idx(path)
    path.write_bytes(gzip.compress(good))
    assert read_idx(path).tolist() == [97, 98]
    with pytest.raises(DataError, match="the official one is 0123"):
        read_idx(path, md5="0123")


def test_images_check_their_shape():
    with pytest.raises(UsageError, match="uint8"):
        Images(np.arange(2), np.zeros((2, 1, 4, 4)), np.zeros(2))
    with pytest.raises(UsageError, match="1 ids, 2 images"):
        Images(np.arange(1), np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2))


@pytest.fixture
def mirror(tmp_path):
    """A real HTTP server on loopback; returns its folder and address."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_download_goes_on_to_the_next_mirror(tmp_path, mirror, full_data, monkeypatch):
    folder, address = mirror
    for name in ("absent", "damaged", "good"):
        (folder / name).mkdir()
    for stem in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (folder / "damaged" / stem).write_bytes(gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x02ab"))
        shutil.copy(full_data / "mnist" / stem, folder / "good" / stem)
    monkeypatch.setattr(MNIST, "mirrors", tuple(f"{address}/{name}/" for name in ("absent", "damaged", "good")))
    monkeypatch.setenv("CSBENCH_DATA", str(tmp_path / "data"))
    assert len(MNIST().official("t10k")) == 10_000
    assert (tmp_path / "data" / "mnist" / "t10k-images-idx3-ubyte.gz").is_file()


def test_no_mirror_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(MNIST, "mirrors", ("http://127.0.0.1:9/",))
    monkeypatch.setenv("CSBENCH_DATA", str(tmp_path))
    with pytest.raises(DataError, match="set CSBENCH_DATA to its parent"):
        MNIST().training_images()


def test_damaged_embedded_file_is_named(tmp_path, monkeypatch):
    from csbench.catalogue import embedded

    (tmp_path / "mnist.npz.xz").write_bytes((EMBEDDED / "mnist.npz.xz").read_bytes()[:1000])
    monkeypatch.setattr(embedded, "EMBEDDED", Path(tmp_path))
    embedded.embedded_images.cache_clear()
    with pytest.raises(DataError, match=r"mnist\.npz\.xz.*reinstall"):
        MNIST().images("test")
    embedded.embedded_images.cache_clear()
