"""Images that are decoded one by one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from sret_search.training.data.errors import DataError, reason


class Images(Protocol):
    """Images by their number."""

    def name(self, number: int) -> str:
        """What to call an image in an error."""

    def open(self, number: int) -> Image.Image:
        """The image, perhaps not decoded yet."""


class Files:
    """Image files."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        # One array: worker processes would copy a list page by page as they count references.
        self._paths = np.array([os.fsencode(path) for path in paths])

    def name(self, number: int) -> str:
        return os.fsdecode(self._paths[number])

    def open(self, number: int) -> Image.Image:
        return Image.open(self.name(number))


class Items:
    """Images that only their data set of torchvision knows how to open."""

    def __init__(self, dataset: Any, where: str) -> None:
        self._dataset = dataset
        self._where = where

    def name(self, number: int) -> str:
        return f"image {number} of {self._where}"

    def open(self, number: int) -> Image.Image:
        image: Image.Image = self._dataset[number][0]
        return image


@dataclass(frozen=True)
class Joined:
    """Some images, numbered up to a count, and after them others."""

    first: Images
    first_count: int
    second: Images

    def name(self, number: int) -> str:
        images, own = self._place(number)
        return images.name(own)

    def open(self, number: int) -> Image.Image:
        images, own = self._place(number)
        return images.open(own)

    def _place(self, number: int) -> tuple[Images, int]:
        count = self.first_count
        return (self.first, number) if number < count else (self.second, number - count)


def decode(images: Images, number: int, mode: str) -> Image.Image:
    """The image in mode "RGB" or "L".

    Raises:
        DataError: it cannot be read; names it.
    """
    try:
        with images.open(number) as image:
            return image.convert(mode)
    except Exception as error:
        raise DataError(
            f"cannot read {images.name(number)}: {reason(error)}; replace it, or take it away"
        ) from error
