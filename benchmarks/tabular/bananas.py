"""MO-BANANAS, a baseline: an ensemble predicts accuracy, mutants of the best are asked for.

A reading of BANANAS (White et al., 2021, arXiv 1910.11858) for several objectives, as the
benchmark of Guerrero-Viu et al. (2021, arXiv 2105.01015) and the documentation of Archai's
`MoBananasSearch` describe it. After 10 random candidates, again and again:

 1. an ensemble learns the measured objectives from a candidate's values and costs;
 2. the 10 best candidates so far, by non-dominated sorting, have 5 mutants each;
 3. independent Thompson sampling: each measured objective of each mutant is drawn from a normal
    distribution with the ensemble's mean and variance; costs are exact;
 4. the best 10 mutants, by non-dominated sorting of these draws, are trained.

What differs: the ensemble is a random forest, whose trees learn from a dozen points what the
original's neural networks need hundreds for; values are encoded as such, not as paths through a
cell, and not as `frontier` does, since trees need no scale and can tell what does not count; mutants
over the budget or known before are not made; and with `batch=1` the ensemble learns after every
trial, from all that is known, where the original waits for ten.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from sret_search.pareto import nondominated
from sret_search.search.samplers.base import Ask
from sret_search.search.samplers.sequential import Drawn
from sret_search.space.candidate import Candidate, Values
from sret_search.space.space import Space
from sret_search.study import Study
from sret_search.trials.history import History
from sret_search.trials.objectives import objective_values
from sret_search.trials.trial_result import Measured

FIRST, PARENTS, MUTANTS = 10, 10, 5
"""Archai's defaults: random candidates at first; parents and mutants of each in a turn."""
_TREES = 30
_PATIENCE = 30
"""Draws for a mutant that is new and feasible, at most."""
_MEASURED = "accuracy", "loss", "latency_ms"
_COSTS = "params", "macs", "executions"

Floats = NDArray[np.float64]


class MOBananas(Drawn):
    """Args: batch: candidates that are chosen together: 1 learns from each trial, 10 is the
    original's."""

    def __init__(self, study: Study, batch: int = 1) -> None:
        super().__init__(study)
        self._batch = batch
        objectives = study.file.objectives
        self._signs = np.array([1.0 if way == "max" else -1.0 for way in objectives.values()])
        self._measured = np.array([name in _MEASURED for name in objectives])
        self._columns = _columns(study.space)
        self._candidates: dict[str, Candidate | None] = {}
        """What some values build, within the budget."""
        self._turn: tuple[int, bytes] | None = None
        self._chosen: list[Candidate] = []
        """What was chosen for a turn, and from what results."""

    def draw(self, history: History) -> Iterator[Ask]:
        place = len(history.firsts)
        if place >= FIRST:
            turn = FIRST + (place - FIRST) // self._batch * self._batch
            yield from (Ask(one, 0) for one in self._choose(history, turn))
        for candidate in self.at_random(place):
            yield Ask(candidate, 0)

    def _choose(self, history: History, turn: int) -> list[Candidate]:
        """The best mutants of the candidates before a place, best first."""
        before = list(history.firsts)[:turn]
        told = self._told(history, before)
        known = turn, np.array(list(told.values())).tobytes()
        if self._turn != known:
            self._turn = known
            self._chosen = self._best(history, turn, set(before), told) if told else []
        return self._chosen

    def _best(
        self, history: History, turn: int, before: set[str], told: dict[str, Floats]
    ) -> list[Candidate]:
        seed = self.study.file.search.seed, turn
        chance = np.random.default_rng(seed)
        entries = [history.entries[history.firsts[name]] for name in told]
        values = [history.current_values[entry.number] for entry in entries]
        known = np.array(list(told.values()))
        parents = [values[i] for i in _by_rank(known, chance)[:PARENTS]]
        mutants = self._mutants(parents, before, random.Random(json.dumps(seed)))
        if not mutants:
            return []
        x = [self._features(v, e.cost) for v, e in zip(values, entries, strict=True)]
        forest = RandomForestRegressor(_TREES, random_state=int(chance.integers(2**31)))
        y = known[:, self._measured]
        forest.fit(x, y if y.shape[1] > 1 else y[:, 0])
        drawn = self._drawn(forest, mutants, chance)
        return [mutants[i] for i in _by_rank(drawn, chance)]

    def _drawn(
        self, forest: RandomForestRegressor, mutants: list[Candidate], chance: np.random.Generator
    ) -> Floats:
        """A draw of the measured objectives, and the costs, to be maximised (mutants,
        objectives)."""
        x = np.array([self._features(one.values, _costs(one)) for one in mutants], np.float32)
        count = int(self._measured.sum())
        trees = np.array([tree.predict(x).reshape(-1, count) for tree in forest.estimators_])
        found = np.empty((len(mutants), len(self._signs)))
        found[:, self._measured] = chance.normal(trees.mean(0), trees.std(0))
        for place, name in enumerate(self.study.file.objectives):
            if name not in _MEASURED:
                found[:, place] = [-(one.known(name, self.study.terms) or 0) for one in mutants]
        return found

    def _told(self, history: History, before: list[str]) -> dict[str, Floats]:
        """The objectives of those of these candidates whose result is known, to be maximised,
        as means over seeds; of a lost trial the measured ones are as bad as the worst."""
        results: defaultdict[str, list[Floats]] = defaultdict(list)
        lost = np.where(self._measured, np.nan, 0.0)
        for number in history.results:
            entry = history.entries[number]
            if number not in history.current_values:
                continue
            complete = entry.state == "complete"
            measured = entry.result.measured if complete else Measured(0.0, 0.0, 0.0)
            values = objective_values(self.study.file.objectives, entry.cost, measured)
            signed = self._signs * np.array(values)
            results[entry.candidate].append(signed if complete else signed + lost)
        means = {name: np.mean(results[name], 0) for name in before if name in results}
        if not means or np.isnan(list(means.values())).any(1).all():
            return {}
        worst = np.nanmin(list(means.values()), 0)
        return {name: np.where(np.isnan(mean), worst, mean) for name, mean in means.items()}

    def _mutants(
        self, parents: list[Values], before: set[str], chance: random.Random
    ) -> list[Candidate]:
        """New feasible candidates that differ from a parent in one axis, and in what then
        counts."""
        found: dict[str, Candidate] = {}
        for parent in parents:
            for _ in range(MUTANTS):
                for _ in range(_PATIENCE):
                    mutant = self._built(self._mutated(parent, chance))
                    if mutant is None or mutant.name in before or mutant.name in found:
                        continue
                    found[mutant.name] = mutant
                    break
        return list(found.values())

    def _built(self, values: Values) -> Candidate | None:
        key = json.dumps(values)
        if key not in self._candidates:
            self._candidates[key] = self.study.feasible(values)
        return self._candidates[key]

    def _mutated(self, parent: Values, chance: random.Random) -> Values:
        space = self.study.space
        free = [path for path, axis in space.axes.items() if axis.same_as is None]
        values = {path: space.value_at(path, chance.random()) for path in free} | parent
        path = chance.choice([p for p in free if p in parent and space.count(p) != 1])
        while values[path] == parent[path]:
            values[path] = space.value_at(path, chance.random())
        return space.active(values)

    def _features(self, values: Values, costs: Any) -> list[float]:
        """Numbers as they are, other values by a column each; what does not count is -1."""
        found = [float(costs[name]) for name in _COSTS]
        for path, options in self._columns.items():
            value = values.get(path)
            if options is None:
                found.append(-1.0 if value is None else float(value))
            else:
                text = json.dumps(value)
                found += [-1.0 if path not in values else float(text == one) for one in options]
        return found


def _columns(space: Space) -> dict[str, list[str] | None]:
    """Axes that follow no other: the text of each value, or None where all are numbers."""
    return {
        path: None if space.ordered(path) else [json.dumps(one) for one in axis.choices or ()]
        for path, axis in space.axes.items()
        if axis.same_as is None
    }


def _costs(candidate: Candidate) -> dict[str, float]:
    return {name: getattr(candidate.cost, name) for name in _COSTS}


def _by_rank(points: Floats, chance: np.random.Generator) -> list[int]:
    """Places of points, to be maximised, front after front, at random within each."""
    left, order = np.arange(len(points)), []
    while len(left):
        front = nondominated(points[left].tolist())
        order += chance.permutation(left[front]).tolist()
        left = left[~front]
    return order
