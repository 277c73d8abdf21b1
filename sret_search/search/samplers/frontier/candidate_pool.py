"""The candidates among which the sampler chooses the next one, with their exact costs."""

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
"""Candidates of a space up to which all are in the pool."""
_DRAWN, _KEPT = 1024, 32
"""Candidates drawn from a larger space, and trials after which they are drawn anew."""
_CHANGED = 256
"""Changed versions of the best candidates, drawn at each trial."""


@dataclass(frozen=True)
class Pool:
    """A set of feasible candidates.

    Attributes:
        x: features (candidates, features).
        costs: the objectives that are costs, as log10 (candidates, costs).
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
        """The key of each candidate, which identifies its values."""
        return [key(self.screened.candidates[place].values) for place in self.places.tolist()]


def key(values: Values) -> str:
    """The key of values: equal for equal values."""
    return json.dumps(values, sort_keys=True)


class Pools:
    """The pools of a study.

    A small space is a pool as a whole. Of a larger space there are random draws, renewed after
    every `_KEPT` trials, and at each trial changed versions of the best candidates so far.

    Attributes:
        names: the costs that are objectives.
        reference: the limit of each cost in the hypervolume, as log10. It is the study's or the
            budget's limit, else somewhat more than the highest cost.
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
        """The pools for the trial at this index.

        Args:
            best: values of the best candidates so far.
        """
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
        """Random draws. If few of them are feasible, more are added."""
        space, rng = self.study.space, self._chance(0, number)
        points = [space.draw(rng) for _ in range(_DRAWN)]
        screened = self.study.points.screened(points)
        if len(screened.distinct) < _KEPT:
            candidates = self.study.points.at_random(number * _KEPT)
            points += [candidate.values for candidate in islice(candidates, _KEPT)]
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
    """The values of a best candidate, of which one to three axes are drawn anew."""
    values, other = dict(rng.choice(best)), space.draw(rng)
    free = [path for path in space.axes if space.axes[path].same_as is None]
    for path in rng.sample(free, min(rng.choice([1, 1, 2, 3]), len(free))):
        if path in other:
            values[path] = other[path]
    # An axis that becomes active needs a value.
    return space.active(other | values)
