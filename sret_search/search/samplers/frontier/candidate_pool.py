"""The candidates among which a sampler looks for the next one, with their exact costs."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from sret_search.search.samplers.frontier.features import COSTS, Encoding
from sret_search.search.samplers.frontier.gp import Numbers
from sret_search.space.candidate import Candidate, Values
from sret_search.space.screening import Rows, Screened
from sret_search.space.space import Space
from sret_search.study import Study

_ALL = 4096
"""Candidates of a space, up to which all of them are looked at."""
_DRAWN, _KEPT = 1024, 32
"""Else: draws, and the number of trials for which these are kept."""
_CHANGED = 256
"""And changed versions of the best."""


@dataclass(frozen=True)
class Pool:
    """Some feasible candidates.

    Attributes:
        x: features (candidates, features).
        costs: objectives that are costs, as log10 (candidates, costs).
    """

    screened: Screened
    places: Rows
    x: Numbers
    costs: Numbers

    def __len__(self) -> int:
        return len(self.places)

    def candidate(self, row: int) -> Candidate:
        return self.screened.candidate(int(self.places[row]))

    @cached_property
    def keys(self) -> list[str]:
        """What tells points of the space apart."""
        return [key(self.screened.candidates[place].values) for place in self.places.tolist()]


def key(values: Values) -> str:
    """The same for points of the same values."""
    return json.dumps(values, sort_keys=True)


class Pools:
    """Those of a study: the whole space where it is small; else some draws, others after every
    so many trials, and at each trial changed versions of the best candidates so far.

    Attributes:
        names: of the costs that are objectives.
        reference: the worst amount of each that counts, as log10: the study's or the budget's
            limit, else somewhat more than the most there is.
    """

    def __init__(self, study: Study, names: Sequence[str]) -> None:
        self.study, self.names = study, names
        whole = study.points.whole if study.points.is_small else None
        self._is_whole = whole is not None and len(whole.distinct) <= _ALL
        if self._is_whole:
            assert whole is not None
            screened, places = whole, whole.distinct
        else:
            screened, places = self._drawn(0)
        self.encoding = Encoding(
            study.space, {name: screened.costs[name][places] for name in COSTS}
        )
        self._first = self._pool(screened, places)
        self._latest = 0, self._first
        self.reference = np.array([self._limit(i, name) for i, name in enumerate(names)])

    def at(self, index: int, best: Iterable[Values]) -> list[Pool]:
        """Those for a place in the order of trials."""
        if self._is_whole:
            return [self._first]
        number = index // _KEPT
        if number != self._latest[0]:
            self._latest = number, self._pool(*self._drawn(number)) if number else self._first
        changed = self._changed(index, list(best))
        return [self._latest[1], *([self._pool(*changed)] if changed is not None else [])]

    def _pool(self, screened: Screened, places: Rows) -> Pool:
        costs = [screened.cost(name, places) for name in self.names]
        x = self.encoding.all(screened, places)
        return Pool(screened, places, x, np.log10(np.column_stack(costs)))

    def _drawn(self, number: int) -> tuple[Screened, Rows]:
        """Draws; more of them where few are feasible."""
        space, rng = self.study.space, self._chance(0, number)
        points = [space.draw(rng) for _ in range(_DRAWN)]
        screened = self.study.points.screened(points)
        if len(screened.distinct) < _KEPT:
            found = self.study.points.at_random(number * _KEPT)
            points += [one.values for one in islice(found, _KEPT)]
            screened = self.study.points.screened(points)
        return screened, screened.distinct

    def _changed(self, index: int, best: Sequence[Values]) -> tuple[Screened, Rows] | None:
        if not best:
            return None
        rng = self._chance(1, index)
        points = [_changed(self.study.space, best, rng) for _ in range(_CHANGED)]
        screened = self.study.points.screened(points)
        return (screened, screened.distinct) if len(screened.distinct) else None

    def _chance(self, *of: int) -> random.Random:
        source = np.random.SeedSequence((self.study.file.search.seed, *of))
        return random.Random(int(source.generate_state(1)[0]))

    def _limit(self, place: int, name: str) -> float:
        reference = self.study.file.report.hypervolume_reference.params
        if name == "params" and reference != "budget":
            return math.log10(reference)
        limit = self.study.space.limits.get(name)
        if limit is not None and limit.max is not None and math.isfinite(limit.max):
            return math.log10(limit.max)
        costs = self._first.costs[:, place]
        return float(costs.max() + max(0.05 * (costs.max() - costs.min()), 1e-6))


def _changed(space: Space, best: Sequence[Values], rng: random.Random) -> Values:
    """One of the best with one to three axes drawn anew."""
    values, other = dict(rng.choice(best)), space.draw(rng)
    free = [path for path in space.axes if space.axes[path].same_as is None]
    for path in rng.sample(free, min(rng.choice([1, 1, 2, 3]), len(free))):
        if path in other:
            values[path] = other[path]
    # An axis that begins to count has some value.
    return space.active(other | values)
