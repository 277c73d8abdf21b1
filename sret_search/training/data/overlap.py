"""Images that two cuts of one data set have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from sret_search.job import Contents, Data
from sret_search.job.paths import expanded
from sret_search.job.provenance import Seen
from sret_search.training.data.errors import DataError
from sret_search.training.data.split_indices import Indices, cut

_PARTS = {"train": 0, "val": 1, "test": 2}
_CUT = ("split_seed", "val", "test", "order")
"""Fields that tell two cuts of a data set apart, besides the fold."""


def same_set(a: Data, b: Data) -> bool:
    """Whether both are cuts of one data set, whatever the folder that a named one lies in."""
    return _set(a) == _set(b)


def same_folds(a: Data, b: Data) -> bool:
    """Whether both are folds of one data set, cut in the same way."""
    fields = ("folds", "split_seed", "order")
    alike = all(getattr(a, field) == getattr(b, field) for field in fields)
    return a.folds is not None and alike and same_set(a, b)


def overlap(
    seen: Sequence[Seen],
    data: Data,
    part: Literal["val", "test"],
    sizes: tuple[int, int, int],
    contents: Contents | None = None,
) -> int:
    """How many images of a part of a data set are among those that were trained on.

    Args:
        sizes: of the set as it comes, `Split.uncut`.
        contents: what the set holds now, `Split.contents`.

    Raises:
        DataError: that cannot be known.
    """
    own = _numbers(data, sizes)[_PARTS[part]]
    found = np.zeros(len(own), bool)
    for each in seen:
        if not same_set(each.data, data):
            continue
        if each.data.options != data.options:
            raise DataError(
                f"{data.name} with options {each.data.options} was trained on, and here they are"
                f" {data.options}: whether these are the same images cannot be known",
                "options",
            )
        if contents is not None and each.contents not in ("", contents.digest):
            raise DataError(
                f"{data.imagefolder or data.name} has changed since it was trained on: whether these"
                " are the same images cannot be known"
            )
        train, val, _ = _numbers(each.data, sizes)
        found |= np.isin(own, train)
        if each.whole:
            found |= np.isin(own, val)
    return int(found.sum())


def difference(seen: Sequence[Seen], data: Data) -> str:
    """How the first training of these that had the same data set differs in its cut."""
    for each in seen:
        if same_set(each.data, data):
            theirs, ours = _cut(each.data), _cut(data)
            told = [f"{k} {v} there, {ours[k]} here" for k, v in theirs.items() if v != ours[k]]
            told += ["it was trained on train+val"] * each.whole
            if told:
                return "; ".join(told)
    return "another cut"


def _cut(data: Data) -> dict[str, str]:
    fold = "none" if data.folds is None else f"{data.fold} of {data.folds}"
    return {field: str(getattr(data, field)) for field in _CUT} | {"fold": fold}


def _set(data: Data) -> str:
    if data.imagefolder is not None:
        return str(Path(expanded(data.imagefolder)).resolve())
    # torchvision's own name of a set is another one for it: CIFAR10 is cifar10.
    return data.name if data.is_imported else data.name.lower()


def _numbers(data: Data, sizes: tuple[int, int, int]) -> tuple[Indices, Indices, Indices]:
    """A number for each image of each part, which it has in every cut of the set."""
    pool, val, test = sizes
    if val:
        train, validation, testing = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    else:
        train, validation, testing = cut(data, pool, test)
        testing = testing + pool if test else testing
    return train, validation, testing
