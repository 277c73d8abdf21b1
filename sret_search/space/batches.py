"""Endless sequence of points, made batch by batch and kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

FIRST, MOST = 64, 8192
"""Number of points of the first batch, and of the largest batch."""

_T = TypeVar("_T")


class Batches(Generic[_T]):
    """Sequence of points in batches. Of each batch a list of items is kept.

    Args:
        size: gives the number of points of the next batch from the number of points before it.
        make: draws the next points and gives their items, from the number of points.
    """

    def __init__(self, size: Callable[[int], int], make: Callable[[int], Sequence[_T]]) -> None:
        self._size, self._make = size, make
        self._kept: list[Sequence[_T]] = []

    def within(self, points: int) -> Iterator[_T]:
        """Items of the first batches, until these have at least this number of points."""
        done = 0
        for batch in itertools.count():
            if done >= points:
                return
            size = self._size(done)
            if batch == len(self._kept):
                self._kept.append(self._make(size))
            yield from self._kept[batch]
            done += size
