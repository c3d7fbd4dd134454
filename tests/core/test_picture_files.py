"""Picture files of every odd kind: read to the right numbers, or refused with the reason."""

import contextlib
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from csbench.core.decoding import Decoding
from csbench.core.errors import DataError, UsageError
from csbench.core.picture_files import read_picture

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG written by hand, of which Pillow saves no such kind."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_colours_are_kept_to_the_bit(kind):
    assert np.array_equal(np.asarray(read_picture(saved(Image.fromarray(COLOURS), kind))), COLOURS)


def test_grey_palette_and_two_levels_become_rgb():
    grey = Image.fromarray(COLOURS[:, :, 0])
    found = np.asarray(read_picture(saved(grey)))
    assert all(np.array_equal(found[:, :, c], COLOURS[:, :, 0]) for c in range(3))
    palette = Image.fromarray(COLOURS).quantize(256)
    assert np.array_equal(np.asarray(read_picture(saved(palette))), np.asarray(palette.convert("RGB")))
    levels = Image.fromarray(COLOURS[:, :, 0] > 127)
    assert np.array_equal(np.asarray(read_picture(saved(levels)))[:, :, 1], np.where(COLOURS[:, :, 0] > 127, 255, 0))


def test_sixteen_bits_of_colour_lose_what_eight_do_not_hold():
    deep = np.random.default_rng(1).integers(0, 2**16, (4, 5, 3))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    found = np.asarray(read_picture(png(5, 4, 16, 2, rows)))
    assert np.abs(found / 255 - deep / (2**16 - 1)).max() <= 1 / 255


TURNED = {  # what the camera must have stored for the picture to be COLOURS, and how that is said
    1: COLOURS, 2: COLOURS[:, ::-1], 3: COLOURS[::-1, ::-1], 4: COLOURS[::-1],
    5: COLOURS.swapaxes(0, 1), 6: np.rot90(COLOURS, 1),
    7: np.rot90(COLOURS.swapaxes(0, 1), 2), 8: np.rot90(COLOURS, -1),
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNED)
def test_pictures_are_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNED[orientation]))
    assert np.array_equal(np.asarray(read_picture(saved(stored, exif=exif))), COLOURS)


def with_alpha() -> Image.Image:
    return Image.fromarray(np.dstack([COLOURS, COLOURS[:, :, 0]]))


GOOD_JPEG = saved(Image.fromarray(COLOURS).resize((64, 64)), "JPEG")
BLACK, RED = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), "red")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(with_alpha()), "its mode is RGBA; convert it to 8 bits"),
        (saved(with_alpha().convert("LA")), "its mode is LA"),
        (saved(with_alpha().convert("CMYK"), "JPEG"), "its mode is CMYK"),
        (saved(Image.fromarray(COLOURS.astype(np.uint16)[:, :, 0] * 257)), "its mode is I;16"),
        (saved(Image.fromarray(COLOURS.astype(np.float32)[:, :, 0]), "TIFF"), "its mode is F"),
        (saved(with_alpha().quantize(), "PNG"), "partly transparent"),
        (saved(Image.fromarray(COLOURS), transparency=(1, 2, 3)), "partly transparent"),
        (saved(BLACK, "GIF", save_all=True, append_images=[RED]), "animated, with 2 frames"),
        (saved(BLACK, "PNG", save_all=True, append_images=[RED]), "animated, with 2 frames"),
        (GOOD_JPEG[: len(GOOD_JPEG) // 2], "truncated"),
        (GOOD_JPEG[:20], ""),
        (saved(Image.fromarray(COLOURS))[:-30], ""),
        (png(9, 6, 8, 2, b""), ""),
        (b"", "cannot identify image file of any known format"),
        (b"no picture", "cannot identify image file of any known format"),
        (b"%PDF-1.4", "cannot identify image file of any known format"),
        (png(30_000, 30_000, 8, 2, b"\0" * 1000), "DecompressionBombError"),
        (png(12_000, 12_000, 1, 0, b"\0" * 1000), "DecompressionBombWarning"),
        (png(0, 4, 8, 2, b""), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_rest_is_refused(data, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OSError) as caught:  # noqa: PT011  the reason is looked at below
            read_picture(data)
    assert message in str(caught.value)
    assert "0x" not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 10), st.integers(0, len(GOOD_JPEG)))
def test_damaged_pictures_are_read_or_refused(seed, flips, length):
    for good in (GOOD_JPEG, saved(Image.fromarray(COLOURS))):
        data = bytearray(good[: max(length, 1)])
        rng = np.random.default_rng(seed)
        for place in rng.integers(0, len(data), flips):
            data[place] ^= 1 << rng.integers(8)
        with contextlib.suppress(OSError):
            assert read_picture(bytes(data)).mode == "RGB"


def test_errors_become_of_one_kind_and_others_stay():
    with pytest.raises(DataError, match=r"^here: ZeroDivisionError: division by zero$"), Decoding(DataError, "here: "):
        _ = 1 / 0
    with pytest.raises(UsageError, match=r"^mine$"), Decoding(DataError, "here: "):
        raise UsageError("mine")
    with pytest.raises(KeyboardInterrupt), Decoding(DataError, "here: "):
        raise KeyboardInterrupt
