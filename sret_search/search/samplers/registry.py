"""Samplers: which candidate to train next, given every trial so far.

A sampler is rebuilt from the ledger at every start, and whatever it draws for the n-th
candidate comes from (study seed, n). Candidates over the budget are dropped before they get a
number.
"""

from __future__ import annotations

from typing import Any

from sret_search.search.samplers.base import Ask, Sampler
from sret_search.search.samplers.frontier.sampler import Frontier
from sret_search.search.samplers.optuna_gp import GP
from sret_search.search.samplers.optuna_samplers import NSGA2, TPE
from sret_search.search.samplers.sequential import Random
from sret_search.search.samplers.sobol import Sobol
from sret_search.search.samplers.stratified import Stratified
from sret_search.study import Study
from sret_search.trials.history import History


def build(study: Study, memory: dict[str, Any]) -> Sampler:
    """The sampler that the study names, with what earlier ones asked to keep in `Ask.memory`."""
    match study.file.search.sampler:
        case "grid":
            return Grid(study)
        case "random":
            return Random(study)
        case "stratified":
            return Stratified(study)
        case "sobol":
            return Sobol(study)
        case "tpe":
            return TPE(study, memory)
        case "nsga2":
            return NSGA2(study, memory)
        case "gp":
            return GP(study, memory)
        case "frontier":
            return Frontier(study)


class Grid:
    """Every candidate, the costliest first; then every candidate with the next seed."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._history: History | None = None
        self._place = 0
        """Every training before this place of the grid was begun in that history."""

    def ask(self, history: History) -> Ask | None:
        """The first training that was not begun; None where there is none."""
        if history is not self._history:
            self._history, self._place = history, 0
        grid = self.study.grid
        while self._place < len(grid) * self.study.file.search.seeds:
            seed, place = divmod(self._place, len(grid))
            if not history.has(grid[place], seed):
                return Ask(grid[place], seed)
            self._place += 1
        return None
