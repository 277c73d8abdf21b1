"""Images that are decoded one at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sret_search.errors import reason
from sret_search.training.data.errors import DataError

_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
GREY = ("1", "L", *_DEEP)
"""Modes of Pillow with a single channel."""
_BITS, _PHOTOMETRIC, _SAMPLES = 258, 262, 339
"""Tags of TIFF: bits of a sample, whether 0 is white, and whether samples are signed."""


class Images(Protocol):
    """Images by their number."""

    def name(self, number: int) -> str:
        """The name of an image in messages."""

    def open(self, number: int) -> Image.Image:
        """The image, perhaps not decoded yet."""

    def files(self) -> list[str] | None:
        """The file of each image; None if there is none or it is not known."""


class Files:
    """Image files."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        # A single array: worker processes would copy a list page by page, since they count
        # references.
        self._paths = np.array([os.fsencode(path) for path in paths])

    def name(self, number: int) -> str:
        return os.fsdecode(self._paths[number])

    def open(self, number: int) -> Image.Image:
        return Image.open(self.name(number))

    def files(self) -> list[str]:
        return [os.fsdecode(path) for path in self._paths]


class Items:
    """Images that only their torchvision data set can open."""

    def __init__(self, dataset: Any, where: str) -> None:
        self._dataset = dataset
        self._where = where

    def name(self, number: int) -> str:
        return f"image {number} of {self._where}"

    def open(self, number: int) -> Image.Image:
        image: Image.Image = self._dataset[number][0]
        return image

    def files(self) -> list[str] | None:
        for name in ("_images", "_image_files", "samples", "_samples"):
            listed = getattr(self._dataset, name, None)
            if listed is not None and len(listed):
                firsts = [entry[0] if isinstance(entry, tuple) else entry for entry in listed]
                # FER2013 has the images themselves in this list.
                return [str(path) for path in firsts] if isinstance(firsts[0], str | Path) else None
        return None


@dataclass(frozen=True)
class Joined:
    """Images of two sources, numbered in turn: `first_count` of the first, then the second."""

    first: Images
    first_count: int
    second: Images

    def name(self, number: int) -> str:
        images, local = self._place(number)
        return images.name(local)

    def open(self, number: int) -> Image.Image:
        images, local = self._place(number)
        return images.open(local)

    def files(self) -> list[str] | None:
        first, second = self.first.files(), self.second.files()
        return None if first is None or second is None else first[: self.first_count] + second

    def _place(self, number: int) -> tuple[Images, int]:
        count = self.first_count
        return (self.first, number) if number < count else (self.second, number - count)


def decode(images: Images, number: int, mode: str) -> Image.Image:
    """The image in mode "RGB" or "L".

    Raises:
        DataError: it cannot be read; the message names it.
    """
    try:
        with images.open(number) as image:
            return _converted(image, mode)
    except Exception as error:
        raise DataError(
            f"cannot read {images.name(number)}: {reason(error)}; replace it, or remove it"
        ) from error


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode in _DEEP:
        image = _in_bytes(image)
    elif image.mode in ("La", "RGBa"):  # colours multiplied by their opacity
        image = image.convert(image.mode.upper())
    elif image.mode == "LAB":  # Pillow cannot make grey of it
        image = image.convert("RGB")
    return image.convert(mode)


def _in_bytes(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as mode "L", scaled from the image's range of black to white.

    Pillow itself would make all values above 255 white.
    """
    if image.mode == "F":
        raise ValueError(
            "it is of mode F, whose floats have no range from black to white; save it with 8 or 16"
            " bits a pixel"
        )
    values = np.asarray(image).astype(np.int64)
    most, white_is_0 = _most(image, values)
    scaled = (values * 255 + most // 2) // most
    return Image.fromarray((255 - scaled if white_is_0 else scaled).astype(np.uint8))


def _most(image: Image.Image, values: NDArray[np.int64]) -> tuple[int, bool]:
    """The largest value of an image's range, and whether 0 is white.

    Raises:
        ValueError: the range is not known, or values lie outside of it.
    """
    tags = getattr(image, "tag_v2", {})
    bits = max(tags.get(_BITS, (16,)))
    signs = max(tags.get(_SAMPLES, (1,))) == 2
    most, low, high = 2 ** (bits - signs) - 1, int(values.min()), int(values.max())
    # Mode "I" is a container of 32 bits for images of fewer bits, mostly 16. Values up to 255 could
    # be of 8 bits, so the range is not known.
    if bits > 16 or (image.mode == "I" and not tags and image.format != "PPM"):
        most = 2**16 - 1
        fits = low >= 0 and (high == 0 or 255 < high <= most)
    else:
        fits = low >= 0 and high <= most
    if not fits:
        raise ValueError(
            f"it is of mode {image.mode} with values from {low:,} to {high:,}, whose range from"
            " black to white is not known; save it with 8 or 16 bits a pixel"
        )
    return most, tags.get(_PHOTOMETRIC) == 0
