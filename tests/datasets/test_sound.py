"""Datasets that break their rules are refused before the first cell, in one line that names dataset, file and field."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from csbench import Dataset, get_dataset, load_suite
from csbench.core.dataset import Images
from csbench.core.errors import DataError, UsageError
from csbench.core.sound import sound_images
from csbench.training.batches import as_floats, prepared

pytestmark = pytest.mark.faults


def images(count: int = 4, shape: tuple[int, ...] = (1, 4, 6), value: float = 0.5) -> Images:
    pixels = np.full((count, *shape), value, np.float32)
    return Images(np.arange(count), pixels, np.full(count, -1))


class Odd(Dataset):
    """Gives what it is told to."""

    image_shape = (1, 4, 6)
    licence = "none"

    def __init__(self, found):
        self.found = found

    def images(self, split):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def with_pixel(value: float) -> Images:
    found = images()
    found.pixels[2, 0, 1, 1] = value
    return found


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (with_pixel(float("nan")), "pixels must be finite, those of image 2 are not (1 such images)"),
        (with_pixel(float("-inf")), "pixels must be finite, those of image 2 are not"),
        (with_pixel(-1), "pixels of float32 must be in [0, 1], those of image 2 are in [-1, 0.5] (1 such"),
        (with_pixel(1.0001), "those of image 2 are in [0.5, 1.0001]"),
        (images(value=255), "(4 such images)"),
        (images(shape=(1, 6, 4)), "shape (1, 6, 4) each, image_shape says (1, 4, 6) (height and width look exchanged)"),
        (images(shape=(4, 6, 1)), "shape (4, 6, 1) each, image_shape says (1, 4, 6); make one like the other"),
        (images(shape=(1, 1, 24)), "shape (1, 1, 24) each"),
        (replace(images(), ids=np.array([3, 1, 3, 3])), "ids must be unique, 3 stands there 3 times (1 ids more than"),
        (replace(images(), ids=np.arange(4) / 2), "ids must be an array of int64, shape [batch], got float64 (4,)"),
        (replace(images(), ids=[0, 1, 2, 3]), "ids must be an array of int64, shape [batch], got list"),
        (replace(images(), ids=np.arange(4, dtype=np.uint64) + np.uint64(2**63)), "ids must fit into int64"),
        (replace(images(), labels=np.array(["a"] * 4)), "labels must be an array of int64, shape [batch], got <U1"),
        (images(0), "3 images asked for, there are 0"),
        (images(2), "3 images asked for, there are 2"),
        (None, "must return csbench.Images, got NoneType"),
        (images().pixels, "must return csbench.Images, got ndarray"),
        (KeyError("pixels"), "raises KeyError: 'pixels'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(found, message):
    with pytest.raises(UsageError) as caught:
        sound_images(Odd(found), "test", 3)
    text = str(caught.value)
    assert text.startswith(f"dataset odd ({__file__}): images('test'): ")
    assert message in text
    assert "\n" not in text


@pytest.mark.parametrize("shape", [None, (28, 28), (1, 28.0, 28), (1, 0, 28), (True, 4, 6), "1,4,6", [1, 4, 6]])
def test_image_shape_is_three_integers(shape):
    dataset = Odd(images())
    dataset.image_shape = shape  # type: ignore[assignment]
    with pytest.raises(UsageError, match=r"image_shape must be a tuple \(c, h, w\) of integers, 1 or more, got "):
        sound_images(dataset, "test")


def test_what_a_dataset_says_on_purpose_is_left_as_it_is():
    with pytest.raises(DataError, match=r"^get it from here$"):
        sound_images(Odd(DataError("get it from here")), "test")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "generated", "natural", "sparse"])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_datasets_that_ship_are_sound(name, split):
    assert len(sound_images(get_dataset(name), split)) > 0


def test_a_name_is_not_inherited():
    class Plain(Dataset):
        image_shape = (1, 4, 6)

        def images(self, split):
            return images()

    class PlainTwo(Plain):
        pass

    class Named(Plain):
        name = "called"

    assert [cls.name for cls in (Plain, PlainTwo, Named)] == ["plain", "plain-two", "called"]


def test_pixels_are_read_the_same_way_whatever_their_type():
    grey = torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)
    floats = grey.float() / 255
    for pixels in (grey, floats):
        assert torch.equal(as_floats(pixels), floats)
        assert torch.equal(prepared(pixels, torch.tensor([2, 0]), False, torch.Generator()), floats[[2, 0]])
        by_dataset = Images(np.arange(4), pixels.numpy(), np.zeros(4, np.int64)).signals()
        assert torch.equal(by_dataset.reshape(4, 1, 8, 8), floats)


HALVES = """
import numpy as np
from csbench import Dataset, get_dataset
from csbench.core.dataset import Images

class {name}(Dataset):
    image_shape = (1, 28, 28)
    licence = "CC BY-SA 3.0"

    def images(self, split):
        found = get_dataset("mnist").images(split)[: 200 if split == "train" else 8]
        pixels, ids = {pixels}, {ids}
        return Images(ids, pixels, found.labels)
"""


def test_no_cell_runs_on_a_dataset_that_is_not_sound(csbench, install_plugin, tiny_suite):
    path = install_plugin(
        "twice", HALVES.format(name="Twice", pixels="found.pixels", ids="found.ids // 10**9"), "datasets"
    )
    tiny_suite.write_text(tiny_suite.read_text().replace('"mnist"', '"twice"'))
    for command in (["run", tiny_suite, "--methods", "zeros"], ["status", tiny_suite, "--methods", "zeros"]):
        done = csbench(*command)
        assert done.returncode == 2
        assert done.stderr == (
            f"csbench: dataset twice ({path}): images('test'): ids must be unique, 0 stands there 8 times "
            "(1 ids more than once)\n"
        )
    assert not list(tiny_suite.parent.glob("results/suite=*"))


def test_a_prior_is_trained_on_floats_as_on_bytes(csbench, install_plugin, tmp_path):
    """And a dataset that has no name is called by its class."""
    from safetensors.torch import load_file

    floats = HALVES.format(name="AsFloats", pixels="found.pixels.astype('float32') / 255", ids="found.ids")
    install_plugin("halves", floats + HALVES.format(name="AsBytes", pixels="found.pixels", ids="found.ids"), "datasets")
    found = []
    for name in ("as-floats", "as-bytes"):
        done = csbench("train", "vae", "--dataset", name, "--epochs", "1", "-o", tmp_path)
        assert done.returncode == 0, done.stderr
        found.append(load_file(tmp_path / f"vae-{name}.safetensors"))
    for name, values in found[0].items():
        assert torch.equal(values, found[1][name]), name


def test_training_refuses_what_a_run_refuses(csbench, install_plugin, tmp_path):
    dark = HALVES.format(name="Dark", pixels="found.pixels.astype('float32') - 1", ids="found.ids")
    path = install_plugin("dark", dark, "datasets")
    for prior in ("vae", "mean"):
        done = csbench("train", prior, "--dataset", "dark", "-o", tmp_path / "out")
        assert done.returncode == 2
        assert done.stderr.startswith(
            f"csbench: dataset dark ({path}): training_images(): pixels of float32 must be in"
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("images = 3", "images = 501", "dataset mnist ({mnist}): images('test'): 501 images asked for, there are 500"),
        ("m = [10, 25]", "m = [10, 25, 7841]", "m = 7841 is more than 10 times the n = 784 pixels of an image"),
        ("gaussian", "random-pixel-mask", "a mask cannot see m = 785 of n = 784 pixels"),
        ("gaussian", "identity", "the identity has m = n = 784, not m = 10"),
    ],
)
def test_a_suite_and_its_dataset_belong_together(tiny_suite, old, new, message):
    from csbench.runner.plan import make_cells

    text = tiny_suite.read_text().replace(old, new)
    tiny_suite.write_text(text.replace("25]", "785]").replace("_m = 25", "_m = 785") if "785" in message else text)
    file = inspect.getfile(type(get_dataset("mnist")))
    with pytest.raises(UsageError) as caught:
        make_cells(load_suite(str(tiny_suite)).narrowed(methods=("zeros",)))
    assert message.format(mnist=file) in str(caught.value)


FROM_A_FILE = """
from pathlib import Path
import numpy as np
from csbench import Dataset
from csbench.core.dataset import Images

class FromAFile(Dataset):
    image_shape = (1, 28, 28)
    licence = "none"

    def images(self, split):
        pixels = np.load(Path(__file__).with_name("pixels.npy"))
        return Images(np.arange(len(pixels)), pixels, np.full(len(pixels), -1))
"""


def test_when_pixels_change_the_message_names_methods_and_a_remedy_that_works(csbench, install_plugin, tiny_suite):
    folder = install_plugin("from_a_file", FROM_A_FILE, "datasets").parent
    pixels = get_dataset("mnist").images("test").pixels[:5]
    np.save(folder / "pixels.npy", pixels)
    tiny_suite.write_text(tiny_suite.read_text().replace('"mnist"', '"from-a-file"'))
    assert csbench("run", tiny_suite, "--methods", "zeros,min-norm").returncode == 0
    np.save(folder / "pixels.npy", 255 - pixels)
    status = csbench("status", tiny_suite, "--methods", "zeros,min-norm").stdout
    assert "min-norm: 2 cells stale: images from-a-file test[:3]" in status
    assert "zeros: 2 cells stale: images from-a-file test[:3]" in status
    done = csbench("run", tiny_suite, "--methods", "zeros")
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert "methods were given different y for image 0 at m = 10, draw 0: min-norm one, and another zeros." in said
    remedy = said.split("`")[1]
    assert remedy == "csbench run tiny --methods min-norm,zeros"
    assert csbench("run", tiny_suite, *remedy.split()[3:]).returncode == 0
    assert csbench("status", tiny_suite, "--methods", "zeros,min-norm", "--check").returncode == 0
