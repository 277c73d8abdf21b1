"""Candidates from a Sobol sequence, which fill a space more evenly than chance does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.stats import qmc

from sret_search.search.samplers.base import Ask
from sret_search.search.samplers.sequential import Drawn
from sret_search.space.candidate import Candidate
from sret_search.space.screening import Screened
from sret_search.space.space import Space
from sret_search.study import Study
from sret_search.trials.history import History

_EACH = 32_768
"""Points for each trial before chance goes on."""
_BLOCK = 64, 8192
"""Points that are looked at together at first, and at most."""


class Sobol(Drawn):
    """The first points of a scrambled Sobol sequence (Owen, 1998) that are feasible and were
    not begun.

    Each axis that follows no other has a dimension of its own, whether or not it counts at a
    point. The sequence is that of the study's seed, whatever came before.
    """

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        axes = study.space.axes.items()
        self._paths = [path for path, axis in axes if axis.same_as is None]
        self._blocks: list[Screened] = []
        """All points so far, block by block."""
        if self._paths:
            chance = np.random.default_rng(study.file.search.seed)
            self._sequence = qmc.Sobol(len(self._paths), scramble=True, seed=chance)

    def draw(self, history: History) -> Iterator[Ask]:
        place = len(history.firsts)
        if self._paths:
            for candidate in self._feasible(_EACH * (place + 1)):
                yield Ask(candidate, 0)
        for candidate in self.at_random(place):
            yield Ask(candidate, 0)

    def _feasible(self, points: int) -> Iterator[Candidate]:
        """Those of so many points, in the order of the sequence."""
        done = 0
        for block in itertools.count():
            if done >= points:
                return
            # All points so far are a power of two, where the sequence is balanced.
            size = min(max(done, _BLOCK[0]), _BLOCK[1])
            if block == len(self._blocks):
                self._blocks.append(self._next(size))
            for place in self._blocks[block].distinct.tolist():
                yield self._blocks[block].candidate(place)
            done += size

    def _next(self, size: int) -> Screened:
        space = self.study.space
        points = [
            space.active(
                {path: at(space, path, x) for path, x in zip(self._paths, point, strict=True)}
            )
            for point in self._sequence.random(size).tolist()
        ]
        return self.study.points.screened(points)


def at(space: Space, path: str, share: float) -> Any:
    """The value of an axis below which this share (in [0, 1)) of its random draws lies."""
    axis = space.axes[path]
    whole = space.is_whole(path)
    if axis.choices is not None or (whole and not axis.log):
        options = space.options(path)
        return options[int(share * len(options))]
    assert axis.low is not None and axis.high is not None
    # A whole number n stands for the interval from n - 1/2 to n + 1/2.
    low, high = (axis.low - 0.5, axis.high + 0.5) if whole else (axis.low, axis.high)
    value = low * (high / low) ** share if axis.log else low + share * (high - low)
    return min(max(round(value) if whole else value, axis.low), axis.high)
