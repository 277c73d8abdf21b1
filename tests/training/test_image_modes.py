"""Images of every mode of Pillow, as a model sees them."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sret_search.job import Data
from sret_search.training import data
from sret_search.training.data.images import Files, Items, decode

EIGHT = np.array([[0, 64], [128, 255]], np.uint8)
SIXTEEN = EIGHT.astype(np.uint16) * 257  # the same greys, of 16 bits
COLOURS = np.stack([EIGHT, EIGHT[::-1], EIGHT.T], -1)
OF_COLOURS = COLOURS.transpose(2, 0, 1)
OF_GREY = np.stack([EIGHT] * 3)


def _with_alpha(mode: str, last: int) -> Image.Image:
    image = Image.fromarray(COLOURS).convert(mode)
    image.putalpha(last)
    return image


def _palette(mode: str) -> Image.Image:
    image = Image.fromarray(COLOURS).quantize(4)
    return image if mode == "P" else image.convert("PA")


def _premultiplied(mode: str) -> Image.Image:
    whole = Image.fromarray(COLOURS if mode == "RGBa" else EIGHT)
    whole = whole.convert("RGBA" if mode == "RGBa" else "LA")
    whole.putalpha(128)
    return whole.convert(mode)


def _sixteen(mode: str) -> Image.Image:
    image = Image.new(mode, (2, 2))
    for (row, column), value in np.ndenumerate(SIXTEEN):
        image.putpixel((column, row), int(value))
    return image


# Of each mode an image, and what it looks like in red, green and blue, within some levels.
MODES = {
    "1": (Image.fromarray(EIGHT).convert("1", dither=0), np.stack([255 * (EIGHT >= 128)] * 3), 0),
    "L": (Image.fromarray(EIGHT), OF_GREY, 0),
    "LA": (_with_alpha("LA", 7), None, 0),
    "La": (_premultiplied("La"), OF_GREY, 1),
    "P": (_palette("P"), OF_COLOURS, 0),
    "PA": (_palette("PA"), OF_COLOURS, 0),
    "RGB": (Image.fromarray(COLOURS), OF_COLOURS, 0),
    "RGBA": (_with_alpha("RGBA", 7), OF_COLOURS, 0),
    "RGBa": (_premultiplied("RGBa"), OF_COLOURS, 1),
    "RGBX": (Image.fromarray(COLOURS).convert("RGBX"), OF_COLOURS, 0),
    "CMYK": (Image.fromarray(COLOURS).convert("CMYK"), OF_COLOURS, 0),
    "YCbCr": (Image.fromarray(COLOURS).convert("YCbCr"), OF_COLOURS, 2),
    "LAB": (
        Image.fromarray(COLOURS).convert("LAB"),
        OF_COLOURS,
        15,
    ),  # some of these are no colours of LAB
    "HSV": (Image.fromarray(COLOURS).convert("HSV"), OF_COLOURS, 3),
    "I": (_sixteen("I"), OF_GREY, 0),
    "I;16": (_sixteen("I;16"), OF_GREY, 0),
    "I;16L": (_sixteen("I;16L"), OF_GREY, 0),
    "I;16B": (_sixteen("I;16B"), OF_GREY, 0),
    "I;16N": (_sixteen("I;16N"), OF_GREY, 0),
}


def _seen(image: Image.Image, mode: str = "RGB") -> np.ndarray:
    found = decode(Items([(image, 0)], "made"), 0, mode)
    assert found.mode == mode
    pixels = np.asarray(found).astype(int)
    return pixels.transpose(2, 0, 1) if mode == "RGB" else pixels


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_any_mode_is_seen_as_it_looks(mode: str) -> None:
    image, looks, within = MODES[mode]
    assert image.mode == mode
    if looks is None:
        looks = np.stack([np.asarray(Image.fromarray(COLOURS).convert("L"))] * 3)
    assert np.abs(_seen(image.copy()) - looks).max() <= within
    grey = np.asarray(Image.fromarray(looks.transpose(1, 2, 0).astype(np.uint8)).convert("L"))
    assert np.abs(_seen(image.copy(), "L") - grey).max() <= within


def test_there_are_no_other_modes() -> None:
    assert {*Image.MODES} <= {*MODES, "F"}


def _tiff(
    values: np.ndarray, bits: int, order: str = "<", photometric: int = 1, samples: int = 1
) -> bytes:
    """A grey TIFF of one strip, as no writer of Pillow makes it."""
    height, width = values.shape
    if bits == 12:
        raw = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in values.tolist())
    else:
        raw = values.astype(f"{order}{'f' if samples == 3 else 'i'}{bits // 8}").tobytes()
    entries = [
        (256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric),
        (273, 4, 8), (277, 3, 1), (278, 3, height), (279, 4, len(raw)), (339, 3, samples),
    ]  # fmt: skip
    big = "big" if order == ">" else "little"
    content = (b"MM\0*" if big == "big" else b"II*\0") + (8 + len(raw)).to_bytes(4, big) + raw
    content += len(entries).to_bytes(2, big)
    for tag, kind, value in entries:
        size = 2 if kind == 3 else 4
        content += tag.to_bytes(2, big) + kind.to_bytes(2, big) + (1).to_bytes(4, big)
        content += value.to_bytes(size, big) + bytes(4 - size)
    return content + bytes(4)


def _saved(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


DEEP = Image.fromarray(SIXTEEN)
TWELVE = (EIGHT.astype(np.uint32) * 4095 + 127) // 255
FILES = {
    "16.png": _saved(DEEP, "PNG"),
    "16.tiff": _saved(DEEP, "TIFF"),
    "16.pgm": _saved(DEEP, "PPM"),
    "10.pgm": b"P2\n2 2\n1023\n" + b" ".join(b"%d" % (int(v) * 1023 // 255) for v in EIGHT.flat),
    "16-big.tiff": _tiff(SIXTEEN, 16, ">"),
    "16-inverted.tiff": _tiff(65535 - SIXTEEN.astype(np.int64), 16, photometric=0),
    "16-signed.tiff": _tiff((EIGHT.astype(np.int64) * 32767 + 127) // 255, 16, samples=2),
    "12.tiff": _tiff(TWELVE, 12),
    "32-of-16.tiff": _tiff(SIXTEEN.astype(np.int64), 32, samples=2),
    "8.pgm": _saved(Image.fromarray(EIGHT), "PPM"),
    "1.png": _saved(Image.fromarray(255 * (EIGHT >= 128).astype(np.uint8)).convert("1"), "PNG"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_grey_of_any_depth_is_scaled_by_its_range(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    with Image.open(tmp_path / name) as image:
        assert image.mode in ("1", "L", "I", "I;16", "I;16B")
    pixels = np.asarray(decode(Files([tmp_path / name]), 0, "L")).astype(int)
    looks = 255 * (EIGHT >= 128) if name == "1.png" else EIGHT.astype(int)
    assert np.abs(pixels - looks).max() <= (name == "10.pgm")
    assert np.array_equal(np.asarray(decode(Files([tmp_path / name]), 0, "RGB"))[..., 1], pixels)


NO_RANGE = {
    "float.tiff": (_tiff(EIGHT / 255, 32, samples=3), "mode F, whose floats have no range"),
    "32.tiff": (_tiff(EIGHT * np.int64(2**20), 32, samples=2), "mode I with values from 0 to 267,"),
    "8-in-32.tiff": (_tiff(EIGHT // 2, 32, samples=2), "mode I with values from 0 to 127, whose"),
    "negative.tiff": (_tiff(EIGHT - np.int64(9), 16, samples=2), "mode I with values from -9 to"),
}


@pytest.mark.parametrize("name", NO_RANGE)
def test_grey_without_a_range_is_refused_with_mode_and_file(tmp_path: Path, name: str) -> None:
    content, said = NO_RANGE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(data.DataError) as caught:
        decode(Files([tmp_path / name]), 0, "RGB")
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"cannot read {tmp_path / name}: it is of ")
    assert said in line
    assert "save it with 8 or 16 bits a pixel" in line


def pictures(mode: str) -> dict[str, list[tuple[Image.Image, int]]]:
    """A data set as a user's own function returns it."""
    image = Image.new("F", (2, 2)) if mode == "F" else MODES[mode][0]
    return {"train": [(image.resize((8, 8), Image.Resampling.NEAREST), n % 2) for n in range(10)]}


def test_deep_pictures_of_a_function_are_scaled_too() -> None:
    for mode in ("I", "I;16", "I;16B"):
        given = Data(f"{__name__}:pictures", options={"mode": mode}, image_size=7, val=0.3)
        split = data.load.__wrapped__(given)
        assert split.in_channels == 1
        (images, _), *_ = split.val.batches([torch.arange(1)])
        assert images[0, 0].tolist() == np.kron(EIGHT, np.ones((4, 4)))[:7, :7].tolist()
    with pytest.raises(data.DataError, match=r"image 0 of `train` of .*: it is of mode F"):
        data.load.__wrapped__(Data(f"{__name__}:pictures", options={"mode": "F"}))


def test_an_image_is_seen_as_it_is_stored_whatever_its_orientation(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    found = np.asarray(decode(Files([tmp_path / "turned.png"]), 0, "RGB"))
    assert np.array_equal(found, COLOURS)


def test_a_page_that_was_saved_as_an_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("<!DOCTYPE html><html><body>403 Forbidden</body></html>")
    with pytest.raises(data.DataError, match=r"cannot read .*/a.jpg: cannot identify image file"):
        decode(Files([tmp_path / "a.jpg"]), 0, "RGB")


def test_a_photograph_of_four_inks_is_seen_in_its_colours(tmp_path: Path) -> None:
    red = Image.new("RGB", (16, 16), (200, 30, 30)).convert("CMYK")
    red.save(tmp_path / "a.jpg", quality=100)
    found = np.asarray(decode(Files([tmp_path / "a.jpg"]), 0, "RGB")).astype(int)
    assert np.abs(found - (200, 30, 30)).max() <= 4
