"""Samplers: which candidate to train next, given every trial so far.

A sampler keeps no state of its own: it is rebuilt from the ledger at every start, and whatever
it draws for the n-th candidate comes from (study seed, n). Candidates over the budget are
dropped before they get a number.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from sret_search.search.ledger import Entry, objective_values
from sret_search.study import Study
from sret_search.study.space import Candidate, Values

_DRAWS = 10_000
"""Candidates drawn for one trial before the space counts as used up."""


_WORST_LOSS = 1e3
Mirrored = CategoricalDistribution | FloatDistribution | IntDistribution


class Sampler(Protocol):
    """Asks for trials, one at a time."""

    def ask(self, entries: Sequence[Entry]) -> tuple[Candidate, int] | None:
        """The next candidate and the index of its seed; None where there is no more."""
        ...


def build(study: Study) -> Sampler:
    """The sampler that the study names."""
    kinds: dict[str, Callable[[Study], Sampler]] = {"grid": Grid, "random": Random, "tpe": TPE}
    return kinds[study.file.search.sampler](study)


class Grid:
    """Every candidate, the costliest first; then every candidate with the next seed."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def ask(self, entries: Sequence[Entry]) -> tuple[Candidate, int] | None:
        taken = {entry.key for entry in entries}
        search = self.study.file.search
        for seed in range(search.seeds):
            for candidate in self.study.grid:
                if (candidate.name, search.seed + seed) not in taken:
                    return candidate, seed
        return None


class Drawn:
    """Samplers that draw a candidate, and train it with each seed before the next one."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def ask(self, entries: Sequence[Entry]) -> tuple[Candidate, int] | None:
        search = self.study.file.search
        if len(entries) >= self.study.trials:
            return None
        index, seed = divmod(len(entries), search.seeds)
        if seed > 0:
            return self.study.space.candidate(entries[-1].values), seed
        taken = {entry.job.candidate for entry in entries}
        if self.all_there_are is not None and taken >= self.all_there_are:
            return None
        for candidate in self.draw(index, entries):
            if candidate.name not in taken:
                return candidate, 0
        return None

    @cached_property
    def all_there_are(self) -> set[str] | None:
        """Every feasible candidate of a small space; None where they are too many to list."""
        size = self.study.space.size
        if size is None or size > _DRAWS:
            return None
        return {candidate.name for candidate in self.study.grid}

    def draw(self, index: int, entries: Sequence[Entry]) -> Iterator[Candidate]:
        """Feasible candidates for place `index`, best first; ends where there are no more."""
        raise NotImplementedError


class Random(Drawn):
    """Choices evenly, ranges evenly or evenly in the logarithm."""

    def draw(self, index: int, entries: Sequence[Entry]) -> Iterator[Candidate]:
        rng = random.Random(f"{self.study.file.search.seed}/{index}")
        for _ in range(_DRAWS):
            candidate = self.study.feasible(self.study.space.draw(rng))
            if candidate is not None:
                yield candidate


class TPE(Drawn):
    """Optuna's multi-objective tree-structured Parzen estimator, in a mirror of the ledger.

    The mirror lives in memory, so that rejected draws take no number. A diverged or failed
    trial counts as one with accuracy 0.
    """

    def draw(self, index: int, entries: Sequence[Entry]) -> Iterator[Candidate]:
        mirror = self._mirror(index, entries)
        for _ in range(_DRAWS):
            trial = mirror.ask()
            candidate = self.study.feasible(self._suggest(trial))
            trial.set_constraint("feasible", 1.0 if candidate is None else 0.0)
            mirror.tell(trial, state=TrialState.PRUNED)
            if candidate is not None:
                yield candidate

    def _mirror(self, index: int, entries: Sequence[Entry]) -> optuna.Study:
        objectives = self.study.file.objectives
        seed = np.random.SeedSequence((self.study.file.search.seed, index)).generate_state(1)[0]
        mirror = optuna.create_study(
            sampler=TPESampler(seed=int(seed), multivariate=True, group=True),
            directions=["maximize" if d == "max" else "minimize" for d in objectives.values()],
        )
        for entry in entries:
            mirror.add_trial(
                create_trial(
                    state=TrialState.RUNNING if entry.open else TrialState.COMPLETE,
                    values=None if entry.open else self._told(entry),
                    params={p: self._encoded(p, v) for p, v in entry.values.items()},
                    distributions={p: self._distribution(p) for p in entry.values},
                    constraints={"feasible": 0.0},
                )
            )
        return mirror

    def _told(self, entry: Entry) -> list[float]:
        result = {"val_accuracy": 0.0, "val_loss": _WORST_LOSS} | entry.result
        return objective_values(self.study.file.objectives, entry.job, result)

    def _suggest(self, trial: optuna.Trial) -> Values:
        values: Values = {}
        for path, axis in self.study.space.axes.items():
            if not self.study.space.counts(path, values):
                continue
            distribution = self._distribution(path)
            if isinstance(distribution, FloatDistribution):
                values[path] = trial.suggest_float(
                    path, distribution.low, distribution.high, log=distribution.log
                )
            elif isinstance(distribution, IntDistribution):
                number = trial.suggest_int(
                    path, distribution.low, distribution.high, log=distribution.log
                )
                values[path] = number if axis.choices is None else axis.choices[number]
            else:
                text = trial.suggest_categorical(path, distribution.choices)
                values[path] = json.loads(str(text))
        return values

    def _distribution(self, path: str) -> Mirrored:
        """Numeric choices are numbered in the order of the file, so that neighbours are near."""
        axis = self.study.space.axes[path]
        if axis.choices is None:
            assert axis.low is not None and axis.high is not None
            if self.study.space.is_whole(path):
                return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
            return FloatDistribution(axis.low, axis.high, log=axis.log)
        if self.study.space.ordered(path):
            return IntDistribution(0, len(axis.choices) - 1)
        return CategoricalDistribution([json.dumps(choice) for choice in axis.choices])

    def _encoded(self, path: str, value: Any) -> Any:
        """A value as `_distribution` writes it."""
        axis = self.study.space.axes[path]
        if axis.choices is None:
            return value
        return axis.choices.index(value) if self.study.space.ordered(path) else json.dumps(value)
