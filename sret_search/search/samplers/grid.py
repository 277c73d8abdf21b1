"""The sampler `grid`: every candidate of a space that can be listed."""

from __future__ import annotations

from sret_search.search.samplers.base import Ask
from sret_search.study import Study
from sret_search.trials.history import History


class Grid:
    """Asks for all candidates, the most expensive first, then for all with the next seed."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._history: History | None = None
        self._place = 0
        """Place in the grid before which every training has begun in that history."""

    def ask(self, history: History) -> Ask | None:
        """The first training that has not begun; None if all have."""
        if history is not self._history:
            self._history, self._place = history, 0
        grid = self.study.grid
        while self._place < len(grid) * self.study.file.search.seeds:
            seed, place = divmod(self._place, len(grid))
            if not history.has(grid[place], seed):
                return Ask(grid[place], seed)
            self._place += 1
        return None
