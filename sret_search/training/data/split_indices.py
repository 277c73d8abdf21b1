"""Distribution of the images of a data set over its three parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sret_search.job import Data

Indices = NDArray[np.int64]


def cut(data: Data, images: int, test: int) -> tuple[Indices, Indices, Indices]:
    """Indices for training, validation and test.

    Args:
        data: the rules of the cut.
        images: images in the part that is cut.
        test: images in the data set's test part. They are then the whole test, in their order. With
            0 the test is cut from the images too.
    """
    random = np.random.default_rng(data.split_seed)
    train, _, testing = data.cut(images, test)
    if test:
        order = random.permutation(images)
        return order[:train], order[train:], np.arange(test)
    contiguous = data.order == "contiguous"
    line = np.arange(images) if contiguous else random.permutation(images)
    begin = images - testing if data.folds is None else data.fold * images // data.folds
    held_out = slice(begin, begin + testing)
    rest = np.delete(line, held_out)
    if contiguous:
        rest = random.permutation(rest)
    return rest[:train], rest[train:], line[held_out]
