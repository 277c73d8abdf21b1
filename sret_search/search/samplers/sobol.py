"""The sampler `sobol`: points of a Sobol sequence, which are more even than random candidates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import qmc

from sret_search.search.samplers.base import Ask
from sret_search.search.samplers.sequential import Drawn
from sret_search.space.batches import FIRST, MOST, Batches
from sret_search.space.screening import Screened
from sret_search.study import Study
from sret_search.trials.history import History

_EACH = 32_768
"""Points of the sequence for each trial. After them the candidate is random."""


class Sobol(Drawn):
    """Asks for the first feasible and new points of a scrambled Sobol sequence (Owen, 1998).

    Each axis that follows no other has a dimension, whether or not it is active at a point. The
    sequence depends on the study's seed alone.
    """

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        axes = study.space.axes.items()
        self._paths = [path for path, axis in axes if axis.same_as is None]
        # The number of points so far is a power of two, at which the sequence is balanced.
        self._batches = Batches(lambda done: min(max(done, FIRST), MOST), self._next)
        if self._paths:
            chance = np.random.default_rng(study.file.search.seed)
            self._sequence = qmc.Sobol(len(self._paths), scramble=True, seed=chance)

    def draw(self, history: History) -> Iterator[Ask]:
        place = len(history.firsts)
        if self._paths:
            for screened, row in self._batches.within(_EACH * (place + 1)):
                yield Ask(screened.candidate(row), 0)
        for candidate in self.at_random(place):
            yield Ask(candidate, 0)

    def _next(self, size: int) -> list[tuple[Screened, int]]:
        """The feasible candidates of the next `size` points, in the order of the sequence."""
        space = self.study.space
        points = [
            space.active(
                {path: space.value_at(path, x) for path, x in zip(self._paths, point, strict=True)}
            )
            for point in self._sequence.random(size).tolist()
        ]
        screened = self.study.points.screened(points)
        return [(screened, row) for row in screened.distinct.tolist()]
