"""Samplers that learn: Optuna's, in a mirror of the ledger."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from sret_search.search.samplers import optuna_storage
from sret_search.search.samplers.base import Ask
from sret_search.search.samplers.optuna_storage import Mirror
from sret_search.search.samplers.sequential import Drawn
from sret_search.search.samplers.startup import POPULATION, TPE_FIRST
from sret_search.space.candidate import Candidate, Values
from sret_search.space.space import Space
from sret_search.study import Study
from sret_search.trials.history import History
from sret_search.trials.objectives import mean_objectives
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import Measured

_DRAWS = 32
"""Candidates that a model draws for one trial; where none is feasible and new, chance goes on."""

_GENERATION = "generation"
"""The note of NSGA-II's trials; those of another sampler count as the first generation."""

_PARENTS = "parents of generation "
"""And then its number: the key of their numbers in the sampler's memory."""

LOST = Measured(0.0, 1e3)
"""What a diverged or failed trial counts as."""

Encoded = CategoricalDistribution | FloatDistribution | IntDistribution


class Modelled(Drawn):
    """Keeps the mirror in step with the history.

    A candidate stands in the mirror once, in the place of its first trial, with the mean of
    its known results over seeds. While none is known it is running, with its values alone. A
    diverged or failed trial counts as one with accuracy 0 and the slowest latency known; one that
    a scheduler stopped stays running, which tells an estimator to keep away from it. What the
    study would not train any more is not there.
    """

    def __init__(self, study: Study, memory: dict[str, Any]) -> None:
        super().__init__(study)
        axes = study.space.axes.items()
        self._axes = {p: _encoding(study.space, p) for p, axis in axes if axis.same_as is None}
        self._shapes: dict[tuple[str, ...], dict[str, BaseDistribution]] = {}
        self._mirror = self._empty(dict(memory))
        self._history: History | None = None

    def _empty(self, memory: dict[str, Any]) -> Mirror:
        self._begun = self._told = 0
        self._results: defaultdict[str, list[Measured]] = defaultdict(list)
        self._slowest = 0.0
        """Milliseconds: the worst latency known."""
        return Mirror(self.study.file.objectives.values(), memory)

    def _follow(self, history: History) -> None:
        """Bring the mirror up to date, in time proportional to what is new."""
        if history is not self._history:
            self._history, self._mirror = history, self._empty(self._mirror.memory)
        self._mirror.forget(self._begun)
        if len(history) > self._begun:
            # What was new at the last ask was stored before its trial.
            self._mirror.changed.clear()
        for entry in history.entries[self._begun :]:
            self._mirror.trials.append(self._shown(entry, history))
        for number in history.results[self._told :]:
            entry = history.entries[number]
            # What was stopped at a rung has no value beside those of whole trainings.
            if number in history.own and entry.state != "stopped":
                self._tell(entry, history)
        self._begun, self._told = len(history), len(history.results)

    def _shown(self, entry: TrialRecord, history: History) -> FrozenTrial:
        own = history.own.get(entry.number)
        if own is None or history.firsts[entry.candidate] != entry.number:
            return optuna_storage.trial(entry.number, TrialState.FAIL)
        params = {p: self._encoded(p, value) for p, value in own.items() if p in self._axes}
        shape = self._shapes.setdefault(tuple(params), {path: self._axes[path] for path in params})
        return optuna_storage.trial(entry.number, TrialState.RUNNING, params, shape, entry.notes)

    def _tell(self, entry: TrialRecord, history: History) -> None:
        measured = entry.result.measured if entry.state == "complete" else LOST
        self._results[entry.candidate].append(measured)
        told = [entry.candidate]
        if (measured.latency_ms or 0.0) > self._slowest:
            self._slowest = measured.latency_ms or 0.0
            told += [name for name, results in self._results.items() if LOST in results]
        for name in told:
            first = history.firsts[name]
            values = mean_objectives(
                self.study.file.objectives,
                history.entries[first].cost,
                self._results[name],
                self._slowest,
            )
            self._mirror.set_trial_state_values(first, TrialState.COMPLETE, values)

    def _study(self, sampler: BaseSampler) -> optuna.Study:
        return optuna.load_study(
            study_name=optuna_storage.NAME, storage=self._mirror, sampler=sampler
        )

    def _seed(self, *of: int) -> int:
        """A seed for Optuna, from the study's and where the draw stands."""
        source = np.random.SeedSequence((self.study.file.search.seed, *of))
        return int(source.generate_state(1)[0])

    def _suggested(self, trial: optuna.Trial) -> Candidate | None:
        """What Optuna suggests; None where a rule or the budget forbids it."""
        values: Values = {}
        for path, axis in self.study.space.axes.items():
            if not self.study.space.counts(path, values):
                continue
            if axis.same_as is not None:
                values[path] = self.study.space.following(path, values)
                continue
            kind = self._axes[path]
            if isinstance(kind, FloatDistribution):
                values[path] = trial.suggest_float(path, kind.low, kind.high, log=kind.log)
            elif isinstance(kind, IntDistribution):
                number = trial.suggest_int(path, kind.low, kind.high, log=kind.log)
                values[path] = number if axis.choices is None else axis.choices[number]
            else:
                values[path] = json.loads(str(trial.suggest_categorical(path, kind.choices)))
        return self.study.feasible(values)

    def _encoded(self, path: str, value: Any) -> Any:
        """A value as `_encoding` writes it."""
        axis = self.study.space.axes[path]
        if axis.choices is None:
            return value
        place = axis.choices.index(value)
        kind = self._axes[path]
        return kind.choices[place] if isinstance(kind, CategoricalDistribution) else place


class TPE(Modelled):
    """The multi-objective tree-structured Parzen estimator, with a new one for each trial.

    Of the draws for one trial, those that cannot be trained are told as such, so that the next
    draw keeps away from them; the next trial knows nothing of them.
    """

    def draw(self, history: History) -> Iterator[Ask]:
        self._follow(history)
        index = len(history.firsts)
        study = self._study(
            TPESampler(
                n_startup_trials=TPE_FIRST, seed=self._seed(index), multivariate=True, group=True
            )
        )
        for _ in range(_DRAWS):
            trial = study.ask()
            candidate = self._suggested(trial)
            trial.set_constraint("feasible", 1.0 if candidate is None else 0.0)
            study.tell(trial, state=TrialState.PRUNED)
            if candidate is not None:
                yield Ask(candidate, 0)
        for candidate in self.at_random(index):
            yield Ask(candidate, 0)


class NSGA2(Modelled):
    """The genetic algorithm NSGA-II (Deb et al., 2002), for studies of many short trainings.

    The first generation is random. A generation ends when `POPULATION` of its candidates have
    a known result; the best of it and its parents, by non-domination and then by crowding, are
    the parents of the next. Axes that only count under conditions are not inherited: they are
    drawn at random.

    A draw that cannot be trained is drawn again from another seed and leaves no trace. Each
    trial's notes have its generation; the memory has each generation's parents, since with more
    results than there were they would be others.
    """

    def _empty(self, memory: dict[str, Any]) -> Mirror:
        self._sizes: Counter[int] = Counter()
        """Candidates with a known result, by generation."""
        return super()._empty(memory)

    def _shown(self, entry: TrialRecord, history: History) -> FrozenTrial:
        shown = super()._shown(entry, history)
        shown.system_attrs.setdefault(_GENERATION, 0)
        return shown

    def _tell(self, entry: TrialRecord, history: History) -> None:
        shown = self._mirror.trials[history.firsts[entry.candidate]]
        if shown.state != TrialState.COMPLETE:
            self._sizes[shown.system_attrs[_GENERATION]] += 1
        super()._tell(entry, history)

    def draw(self, history: History) -> Iterator[Ask]:
        self._follow(history)
        index = len(history.firsts)
        inherited = {
            path: kind
            for path, kind in self._axes.items()
            if not self.study.space.axes[path].when and not kind.single()
        }
        notes: dict[str, Any] = {}
        for attempt in range(_DRAWS):
            self._mirror.forget(len(history))
            sampler = _Generations(self._seed(index, attempt), inherited, self._sizes)
            trial = self._study(sampler).ask()
            candidate = self._suggested(trial)
            notes = self._mirror.get_trial(len(history)).system_attrs
            if candidate is not None:
                yield Ask(candidate, 0, notes=notes, memory=dict(self._mirror.changed))
        for candidate in self.at_random(index):
            yield Ask(candidate, 0, notes=notes, memory=dict(self._mirror.changed))


class _Generations(NSGAIISampler):
    """NSGA-II with names of our own for what is stored, and parents that survive a restart."""

    def __init__(self, seed: int, inherited: dict[str, Encoded], sizes: Counter[int]) -> None:
        super().__init__(population_size=POPULATION, seed=seed)
        self._inherited, self._sizes = inherited, sizes

    @classmethod
    def _get_generation_key(cls) -> str:
        return _GENERATION

    @classmethod
    def _get_parent_cache_key_prefix(cls) -> str:
        return _PARENTS

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        # Optuna would go through all trials for what the space itself says.
        return dict(self._inherited)

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        """The last generation while it is not full, then the next; Optuna would count trials."""
        last = max(self._sizes, default=0)
        generation = last if self._sizes[last] < POPULATION else last + 1
        study._storage.set_trial_system_attr(trial._trial_id, _GENERATION, generation)
        return generation

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """The parents of a generation, by number, as they are after a restart too.

        Where an edit took some of them out of the study, they are chosen anew, and so are those
        of the generations before from which they come.
        """
        known = generation
        while self._parents(study, known) is None:
            known -= 1
        for later in range(known + 1, generation + 1):
            numbers = sorted(parent.number for parent in self.select_parent(study, later))
            study._storage.set_study_system_attr(study._study_id, f"{_PARENTS}{later}", numbers)
        return self._parents(study, generation) or []

    def _parents(self, study: optuna.Study, generation: int) -> list[FrozenTrial] | None:
        """The parents that were chosen for a generation; None where they must be chosen."""
        if generation == 0:
            return []
        memory = study._storage.get_study_system_attrs(study._study_id)
        numbers: list[int] | None = memory.get(f"{_PARENTS}{generation}")
        if numbers is None:
            return None
        trials = study.get_trials(deepcopy=False)
        found = [trials[number] for number in numbers]
        return found if all(trial.state == TrialState.COMPLETE for trial in found) else None


def _encoding(space: Space, path: str) -> Encoded:
    """Numeric choices are numbered in the order of the file, so that neighbours are near; other
    choices are their JSON text."""
    axis = space.axes[path]
    if axis.choices is None:
        assert axis.low is not None and axis.high is not None
        if space.is_whole(path):
            return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        return FloatDistribution(axis.low, axis.high, log=axis.log)
    if space.ordered(path):
        return IntDistribution(0, len(axis.choices) - 1)
    return CategoricalDistribution([json.dumps(choice) for choice in axis.choices])
