"""Trials that were begun and wait for an attempt."""

from __future__ import annotations

import time
from collections.abc import Iterable


class Waiting:
    """Trials by the moment from which each may have its next attempt, the earliest first."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._due = [(0.0, number) for number in numbers]

    def __bool__(self) -> bool:
        return bool(self._due)

    @property
    def is_due(self) -> bool:
        """Whether a trial waits for a slot alone."""
        return bool(self._due) and self._due[0][0] <= time.monotonic()

    def add(self, number: int) -> None:
        """Let a trial wait for a slot alone, behind those that do already."""
        # The sort is stable: trials that never had to wait keep the order in which they came.
        self._put(0.0, number)

    def delay(self, number: int, seconds: float) -> None:
        """Let a trial wait for some time first."""
        self._put(time.monotonic() + seconds, number)

    def take(self) -> int | None:
        """The next trial that is due."""
        return self._due.pop(0)[1] if self.is_due else None

    def _put(self, due: float, number: int) -> None:
        self._due.append((due, number))
        self._due.sort(key=lambda each: each[0])
