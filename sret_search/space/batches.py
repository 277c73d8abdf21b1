"""The batch loop: an endless sequence of points, made batch by batch and kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

FIRST, MOST = 64, 8192
"""Points of the first batch, and of any batch at most."""

_T = TypeVar("_T")


class Batches(Generic[_T]):
    """What is kept of each batch of a sequence of points.

    Args:
        size: points of the next batch, given those before it.
        make: what is kept of the next points, given how many they are.
    """

    def __init__(self, size: Callable[[int], int], make: Callable[[int], Sequence[_T]]) -> None:
        self._size, self._make = size, make
        self._kept: list[Sequence[_T]] = []

    def within(self, points: int) -> Iterator[_T]:
        """What is kept of the first batches that have so many points together."""
        done = 0
        for batch in itertools.count():
            if done >= points:
                return
            size = self._size(done)
            if batch == len(self._kept):
                self._kept.append(self._make(size))
            yield from self._kept[batch]
            done += size
