"""The sampler `frontier`: it predicts the quality of candidates and computes their costs.

Costs are exact before training. So only validation cross-entropy is modelled, by a Gaussian process
over the axes and the costs. Each trial trains the candidate with the highest expected improvement
of the front's hypervolume.

LEMONADE (Elsken et al., 2019) and MO-BANANAS (as in Archai) compute cheap objectives exactly, too,
but use them only to sort. LEMONADE draws parents by how rare their costs are on the observed front.
MO-BANANAS mutates the best observed candidates and sorts the mutations by non-domination, with a
random draw from an ensemble's predictions. Both leave the place on the front and the size of the
gain to chance.

Here the gain has a closed form and is maximised over the whole space, or over thousands of its
points. The front is that of posterior means, not of observed values, because the best of many noisy
results are partly best by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sret_search.config.samplers import SAMPLERS
from sret_search.pareto import nondominated
from sret_search.search.samplers.base import Ask
from sret_search.search.samplers.frontier import gp, objective_transform, targets
from sret_search.search.samplers.frontier.candidate_pool import Pool, Pools, key
from sret_search.search.samplers.frontier.ehvi import ExpectedHypervolume
from sret_search.search.samplers.frontier.gp import Numbers, Posterior, Results, Settings
from sret_search.search.samplers.frontier.targets import Known, Outcome
from sret_search.search.samplers.sequential import Drawn
from sret_search.space.candidate import Values
from sret_search.study import Study
from sret_search.trials.history import History

LEARNT = ("accuracy", "loss")
_STARTUP = SAMPLERS["frontier"].startup or 0
_EACH = 30
"""Results up to which the settings are fitted after each; beyond, after each further tenth."""
_SURE = 384
"""Candidates with the highest estimated gains, for which the exact uncertainty is computed."""
_UNSURE = 0.3
"""Uncertainty assumed for that estimate, in standard deviations of the results."""
_PARENTS = 64
"""Members of the front from which changed versions are made, at most."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class _Model:
    """The state of the model after some results.

    Attributes:
        known: results of the candidates that have any.
        merit: transform from log odds to the objective.
        means: posterior mean of the objective of each known candidate.
        posterior: the process, conditioned also on open trials as if they had their expected
            results.
        open: places of the candidates without results, and their expected objectives.
    """

    known: Known
    merit: objective_transform.Merit
    means: Numbers
    posterior: Posterior
    open: tuple[NDArray[np.int64], Numbers]


class Frontier(Drawn):
    """Asks for the candidate with the highest expected improvement of hypervolume.

    The first `_STARTUP` candidates are spread over the space, evenly along the first cost. Each
    answer is a function of the study's seed and of the trials that are begun and known, in order of
    number. The order in which results arrive has no effect.
    """

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        objectives = study.file.objectives
        self._learnt = next(name for name in objectives if name in LEARNT)
        self._costs = sorted(name for name in objectives if name not in LEARNT)
        classes = study.space.architecture.classes
        self._chance = 1 / classes if classes > 1 else 0.5
        self._pools: Pools | None = None
        self._settings: dict[bytes, Settings] = {}
        self._history: History | None = None

    def draw(self, history: History) -> Iterator[Ask]:
        """Feasible candidates for the next trial, the best first."""
        index = len(history.firsts)
        self._follow(history)
        model = self._model(history) if index >= _STARTUP else None
        best = [] if model is None else self._best(model, history)
        pools = self.pools.at(index, best)
        scores = [
            self._spread(pool, index) if model is None else self._gains(pool, model)
            for pool in pools
        ]
        where = [(pool, row) for pool in pools for row in range(len(pool))]
        taken = [key in self._taken for pool in pools for key in pool.keys]
        order = np.argsort(-np.concatenate(scores), kind="stable")
        for place in order.tolist():
            pool, row = where[place]
            if not taken[place]:
                yield Ask(pool.candidate(row), 0)
        for candidate in self.at_random(index):
            yield Ask(candidate, 0)

    def front(self, history: History) -> list[str]:
        """Candidates on the front of posterior means, by name, in the order in which they began.

        A candidate counts if a training of it is complete and none diverged or failed.
        """
        return self._front(history, ended=True)

    def promising(self, history: History) -> list[str]:
        """Names of candidates on the front of posterior means, also of those not trained to their
        end."""
        return self._front(history, ended=False)

    def _front(self, history: History, ended: bool) -> list[str]:
        self._follow(history)
        model = self._model(history)
        if model is None:
            return []
        lost = [place for place, outcome in self._outcomes.values() if math.isnan(outcome.odds)]
        counts = ~np.isin(model.known.which, lost)
        if ended:
            counts &= model.known.seeds > 0
        which = model.known.which[counts]
        points = np.column_stack([model.means[counts], -np.array(self._paid)[which]])
        return [self._names[place] for place in which[nondominated(points)].tolist()]

    @property
    def pools(self) -> Pools:
        if self._pools is None:
            self._pools = Pools(self.study, self._costs)
        return self._pools

    def _follow(self, history: History) -> None:
        """Add the changes of a history, in time proportional to their number."""
        if history is not self._history:
            self._history = history
            self._begun = self._told = 0
            self._latest: tuple[int, _Model | None] | None = None
            self._names: list[str] = []
            """Candidates in the order in which they began. Their places here identify them."""
            self._place: dict[str, int] = {}
            self._x: list[Numbers] = []
            self._paid: list[list[float]] = []
            self._taken: set[str] = set()
            self._outcomes: dict[int, tuple[int, Outcome]] = {}
        encoding = self.pools.encoding
        for entry in history.entries[self._begun :]:
            values = history.current_values.get(entry.number)
            if values is None or entry.candidate in self._place:
                continue
            self._place[entry.candidate] = len(self._names)
            self._names.append(entry.candidate)
            self._x.append(encoding.of_candidate(values, entry.cost))
            self._paid.append([math.log10(entry.cost[name]) for name in self._costs])
            self._taken.add(key(values))
        for number in history.results[self._told :]:
            if number in history.current_values:
                entry = history.entries[number]
                self._outcomes[number] = self._place[entry.candidate], Outcome.of(entry)
        self._begun, self._told = len(history), len(history.results)

    def _model(self, history: History) -> _Model | None:
        """The model at the latest change, which is kept; None if it has fewer than two
        candidates."""
        if self._latest is None or self._latest[0] != history.changes:
            self._latest = history.changes, self._learn(history)
        return self._latest[1]

    def _learn(self, history: History) -> _Model | None:
        outcomes = self._so_far(history)
        if len({place for place, _ in outcomes}) < 2:
            return None
        x = np.array(self._x)
        known = targets.known(outcomes, self._chance)
        results = known.results(x)
        settings = self._fitted(outcomes, x)
        learnt = self._merit(known)
        posterior = Posterior(settings, results, self._onto(results))
        means = learnt.of_known(known, posterior.mean(results.x))
        open_ = np.setdiff1d(np.arange(len(x)), known.which)
        expected = np.zeros(0)
        if len(open_):
            odds, unsure = posterior.both(x[open_])
            expected, _ = learnt.of(odds, unsure)
            believed = Results(x[open_], odds, np.ones(len(open_)), np.zeros(len(open_)))
            results = results.and_(believed)
            posterior = Posterior(settings, results, self._onto(results))
        return _Model(known, learnt, means, posterior, (open_, expected))

    def _so_far(self, history: History) -> list[tuple[int, Outcome]]:
        """The place of each trial's candidate and its outcome, in order of trial number.

        The outcome of a trial that has not ended is that at its last rung.
        """
        outcomes = dict(self._outcomes)
        for entry in history.entries if self.study.rungs else ():
            if entry.number in history.current_values and entry.number not in outcomes:
                reached = history.reached(entry)
                if reached:
                    outcomes[entry.number] = self._place[entry.candidate], Outcome.so_far(reached)
        return [outcomes[number] for number in sorted(outcomes)]

    def _merit(self, known: Known) -> objective_transform.Merit:
        if self._learnt == "loss":
            return objective_transform.Loss(self._chance)
        floor = self.study.file.report.hypervolume_reference.accuracy
        images = self.study.sizes[1] or 1000
        return objective_transform.Accuracy(known, images, self._chance if floor is None else floor)

    def _fitted(self, outcomes: list[tuple[int, Outcome]], x: Numbers) -> Settings:
        """The settings after the last milestone, fitted to the first results by trial number.

        So they do not depend on the order in which results arrive.
        """
        milestone = min(len(outcomes), _EACH)
        while (later := milestone + max(milestone // 10, 1)) <= len(outcomes):
            milestone = later
        results = targets.known(outcomes[:milestone], self._chance).results(x)
        parts = (results.x, results.y, results.share, results.extra)
        mark = b"".join(part.tobytes() for part in parts)
        if mark not in self._settings:
            features = self.pools.encoding.features
            self._settings = {mark: gp.fit(features, results)}
        return self._settings[mark]

    def _onto(self, results: Results) -> NDArray[np.int64] | None:
        """Indices of the results to project onto; None if all fit.

        Half of them are the best results, and half are spread evenly over the others.
        """
        most = gp.MOST
        if len(results) <= most:
            return None
        order = np.argsort(-results.y, kind="stable")
        rest = np.sort(order[most // 2 :])
        even = np.linspace(0, len(rest) - 1, most - most // 2).round().astype(np.int64)
        return np.sort(np.concatenate([order[: most // 2], rest[even]]))

    def _steps(self, model: _Model) -> ExpectedHypervolume:
        open_, expected = model.open
        which = np.concatenate([model.known.which, open_])
        merits = np.concatenate([model.means, expected])
        costs = np.array(self._paid)[which]
        return ExpectedHypervolume(merits, costs, model.merit.floor, self.pools.reference)

    def _gains(self, pool: Pool, model: _Model) -> Numbers:
        """The expected improvement of hypervolume by each candidate (candidates,)."""
        steps, posterior = self._steps(model), model.posterior
        if len(pool) <= 4 * _SURE:
            return steps.improvement(*model.merit.of(*posterior.both(pool.x)), pool.costs)
        # First all with the same uncertainty, then the best of them with their exact uncertainty.
        unsure = np.full(len(pool), (_UNSURE * posterior.settings.scale) ** 2)
        guess = steps.improvement(*model.merit.of(posterior.mean(pool.x), unsure), pool.costs)
        likely = np.sort(np.argsort(-guess, kind="stable")[:_SURE])
        believed = model.merit.of(*posterior.both(pool.x[likely]))
        gains = np.full(len(pool), -1.0)
        gains[likely] = steps.improvement(*believed, pool.costs[likely])
        return gains

    def _best(self, model: _Model, history: History) -> list[Values]:
        """Values of the candidates on the front of posterior means."""
        points = np.column_stack([model.means, -np.array(self._paid)[model.known.which]])
        which = model.known.which[nondominated(points)][-_PARENTS:].tolist()
        return [history.current_values[history.firsts[self._names[place]]] for place in which]

    def _spread(self, pool: Pool, index: int) -> Numbers:
        """Score of each candidate as a point that fills the space (candidates,).

        Candidates near this index's share of the range of the first cost have the highest scores.
        Among them, the score rises with the distance from all candidates that have begun.
        """
        rng = np.random.default_rng((self.study.file.search.seed, index))
        first = pool.costs[:, 0]
        low, high = float(first.min()), float(first.max())
        share = (0.5 + index * _GOLDEN) % 1
        off = np.abs((first - low) / max(high - low, 1e-12) - share)
        far = np.full(len(pool), 1.0)
        for x in self._x:
            far = np.minimum(far, np.sqrt(((pool.x - x) ** 2).mean(1)))
        near = off <= np.sort(off)[len(off) // 8]
        scores: Numbers = np.where(near, 1.0, -off) + far * rng.uniform(0.5, 1.0, len(pool))
        return scores
