"""Data sets that a user's function returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sret_search import importing
from sret_search.job import PHOTOGRAPH, Data
from sret_search.training.data.errors import DataError
from sret_search.training.data.images import GREY, Items, decode
from sret_search.training.data.memory import MemoryPart, resized
from sret_search.training.data.streams import StreamPart

_PARTS = ("train", "val", "test")
_NEEDED = "`train`, perhaps `test`, and perhaps `val` beside it"
_KINDS = "a pair of images and labels, or a data set of such pairs"
_Parts = tuple[
    MemoryPart | StreamPart, MemoryPart | StreamPart | None, MemoryPart | StreamPart | None
]


def read(data: Data) -> _Parts:
    """Parts for training, validation and test that the function `data.name` returns. Missing parts
    are None.

    Raises:
        DataError: the function cannot be imported, fails, or returns something else than it should.
    """
    try:
        function = importing.load(data.name)
    except importing.NotImportedError as error:
        raise DataError(str(error)) from None
    options = data.options or {}
    try:
        importing.check_options(function, options)
    except TypeError as error:
        raise DataError(f"{data.name} {error}", "options") from None
    try:
        returned = function(**options)
    except (Exception, SystemExit) as error:
        raise DataError(f"{data.name} failed: {importing.summary(error)}") from error
    try:
        return _parts(returned, data)
    except DataError:
        raise
    except _WrongError as wrong:
        raise DataError(f"{data.name} returned {wrong}") from None
    except (Exception, SystemExit) as error:  # raised by the data set's methods
        error_summary = importing.summary(error)
        raise DataError(f"what {data.name} returned cannot be read: {error_summary}") from error


class _WrongError(Exception):
    """A value of the wrong kind was returned. The message names its kind and the kind needed."""


def _parts(returned: Any, data: Data) -> _Parts:
    if not isinstance(returned, Mapping):
        raise _WrongError(f"{_a(returned)}; a mapping with {_NEEDED} is needed")
    names = set(returned)
    if "train" not in names or not names <= set(_PARTS) or ("val" in names and "test" not in names):
        given = ", ".join(map(str, returned)) or "nothing"
        raise _WrongError(f"a mapping with {given}; {_NEEDED} is needed")
    train, val, test = (
        _part(name, returned[name], data) if name in names else None for name in _PARTS
    )
    assert train is not None
    for name, part in (("val", val), ("test", test)):
        if part is not None:
            _check_alike(train, name, part)
    if isinstance(train, MemoryPart) and isinstance(val, MemoryPart):
        # A single set: a confirmation may train on both parts.
        images, count = torch.cat([train.images, val.images]), len(train)
        is_resized = train.is_resized or val.is_resized
        whole = MemoryPart.whole(images, torch.cat([train.labels, val.labels]), is_resized)
        train, val = whole.take(np.arange(count)), whole.take(np.arange(count, len(whole)))
    return train, val, test


def _part(name: str, given: Any, data: Data) -> MemoryPart | StreamPart:
    if isinstance(given, tuple):
        if len(given) != 2:
            raise _WrongError(f"as `{name}` {len(given)} things; {_KINDS} is needed")
        images, labels = _images(name, given[0]), _labels(name, given[1])
    elif hasattr(given, "__len__") and hasattr(given, "__getitem__") and len(given):
        try:
            first = given[0][0]
        except (TypeError, KeyError, IndexError):
            raise _WrongError(f"as `{name}` {_a(given)}; {_KINDS} is needed") from None
        if isinstance(first, Image.Image):
            return _streamed(name, given, first, data)
        items = [given[i] for i in range(len(given))]
        stacked = torch.stack([torch.as_tensor(item[0]) for item in items])
        images, labels = _images(name, stacked), _labels(name, [int(item[1]) for item in items])
    else:
        raise _WrongError(f"as `{name}` {_a(given)}; {_KINDS} is needed")
    if len(images) != len(labels) or not len(labels):
        raise _WrongError(f"as `{name}` {len(images)} images and {len(labels)} labels")
    size = data.image_size or images.shape[-1]
    if size == images.shape[-1]:
        return MemoryPart.whole(images, labels)
    return MemoryPart.whole(resized(images, size), labels, is_resized=True)


def _streamed(name: str, dataset: Any, first: Image.Image, data: Data) -> StreamPart:
    """Part of a data set of pictures. They are opened each time they are seen."""
    labels = getattr(dataset, "targets", None)
    if labels is None or len(labels) != len(dataset):
        labels = [int(dataset[i][1]) for i in range(len(dataset))]
    items = Items(dataset, f"`{name}` of {data.name}")
    mode = "L" if first.mode in GREY else "RGB"
    decode(items, 0, mode)  # refuse a mode without a known range before any training
    return StreamPart.whole(items, _labels(name, labels), data.image_size or PHOTOGRAPH, mode)


def _images(name: str, given: Any) -> Tensor:
    """Images (N, C, S, S), uint8, or float32 within 0 to 1.

    Raises:
        _WrongError: the array has another shape, type or range.
    """
    images = given if isinstance(given, Tensor) else torch.from_numpy(np.asarray(given))
    images = images.detach().cpu()
    if images.ndim == 3:
        images = images[:, None]
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[2] != shape[3] or shape[1] not in (1, 3):
        raise _WrongError(
            f"as images of `{name}` an array of {shape}; (images, channels, pixels, pixels) is"
            " needed, with 1 or 3 channels"
        )
    if images.dtype not in (torch.uint8, torch.float32):
        kind = str(images.dtype).removeprefix("torch.")
        raise _WrongError(f"as images of `{name}` {kind}; uint8, or float32 in 0 to 1, is needed")
    if images.dtype == torch.float32 and images.numel():
        low, high = (float(end) for end in torch.aminmax(images))
        if not (low >= 0 and high <= 1):
            raise _WrongError(
                f"as images of `{name}` values from {low:g} to {high:g}; 0 to 1 is needed: the"
                " trainer itself normalises"
            )
    return images


def _labels(name: str, given: Any) -> Tensor:
    """Classes (N,), int64.

    Raises:
        _WrongError: labels are not whole numbers from 0.
    """
    labels = given.detach().cpu() if isinstance(given, Tensor) else np.asarray(given)
    labels = torch.as_tensor(labels)
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    if labels.ndim != 1 or not whole or not len(labels) or int(labels.min()) < 0:
        raise _WrongError(
            f"as labels of `{name}` something else; whole numbers from 0, one for each image, are"
            " needed"
        )
    return labels.long()


def _check_alike(train: MemoryPart | StreamPart, name: str, part: MemoryPart | StreamPart) -> None:
    facts = [
        (type(other), other.in_channels, other.image_size)
        + ((other.images.dtype,) if isinstance(other, MemoryPart) else ())
        for other in (train, part)
    ]
    if facts[0] != facts[1]:
        raise _WrongError(
            f"images of another kind, size or number of channels as `{name}` than as `train`"
        )


def _a(value: Any) -> str:
    return f"a value of type {type(value).__name__}"
