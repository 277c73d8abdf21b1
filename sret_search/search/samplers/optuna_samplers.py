"""The adapter of Optuna's samplers: one class for all, on a mirror of the ledger."""

from __future__ import annotations

import inspect
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseGASampler, BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from sret_search import importing
from sret_search.config.samplers import SAMPLERS
from sret_search.search.samplers import optuna_storage
from sret_search.search.samplers.base import Ask
from sret_search.search.samplers.optuna_storage import Mirror
from sret_search.search.samplers.sequential import Drawn
from sret_search.space.candidate import Candidate, Values
from sret_search.space.space import Space
from sret_search.study import Study, StudyError
from sret_search.trials.history import History
from sret_search.trials.objectives import mean_objectives
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import Measured

_DRAWS = 32
"""Candidates that a sampler draws for a trial. If none is feasible and new, it is random."""
_PROBES = 2
"""Artificial trials with which a sampler at an import path is tried before anything is trained."""
_STARTUP = "n_startup_trials", "population_size"
"""Names in Optuna's classes for the number of random trials before the model begins."""

LOST = Measured(0.0, 1e3)
"""The result of a diverged or failed trial, until a worst result is known."""

Encoded = CategoricalDistribution | FloatDistribution | IntDistribution


class OptunaSampler(Drawn):
    """Asks a sampler of Optuna, which sees a mirror of the history.

    Each trial has a new sampler, seeded from the study's seed and the trial's place. So the answer
    is a function of the history. If a draw exceeds the budget or has begun before, the sampler is
    asked again. After `_DRAWS` such draws the candidate is random. TPE sees such a draw as a trial
    that breaks a constraint. Other samplers see it as a running trial, which those that know of
    running trials avoid.

    A candidate is in the mirror once, at the place of its first trial, with the mean of its known
    results over seeds. Until a result is known it is running, with its values alone. A diverged or
    failed trial has accuracy 0 for TPE, which only ranks. For all other samplers it has the worst
    known result, because an outlier would hide all other differences in their models. Its latency
    is the slowest known. A trial that a scheduler stopped stays running. Trials that the study no
    longer asks for are left out.

    Raises:
        StudyError: the sampler cannot be made, or does not fit the study.
    """

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        search, axes = study.file.search, study.space.axes.items()
        self._axes = {p: _encoding(study.space, p) for p, axis in axes if axis.same_as is None}
        self._options = {**search.entry.options, **(search.options or {})}
        self._shapes: dict[tuple[str, ...], dict[str, BaseDistribution]] = {}
        self._mirror = self._empty()
        self._history: History | None = None
        if search.sampler not in SAMPLERS:
            self._probe()

    @property
    def startup(self) -> int | None:
        """Candidates with a known result before its model chooses; None if that is unknown."""
        parameters = inspect.signature(self._kind).parameters
        for name in _STARTUP:
            if name in parameters:
                return int(self._options.get(name, parameters[name].default))
        return None

    def draw(self, history: History) -> Iterator[Ask]:
        self._follow(history)
        index = len(history.firsts)
        sampler = self._made(index)
        study = self._study(sampler)
        ranks = isinstance(sampler, TPESampler)
        if not ranks:
            self._level(history)
        if isinstance(sampler, BaseGASampler):
            self._count_generations(sampler, study)
        for _ in range(_DRAWS):
            trial, candidate = self._asked(study)
            if ranks:
                trial.set_constraint("feasible", 1.0 if candidate is None else 0.0)
                study.tell(trial, state=TrialState.PRUNED)
            if candidate is not None:
                yield Ask(candidate, 0)
        for candidate in self.at_random(index):
            yield Ask(candidate, 0)

    def _asked(self, study: optuna.Study) -> tuple[optuna.Trial, Candidate | None]:
        """A draw and its candidate; None if a rule or the budget forbids it."""
        try:
            trial = study.ask()
            return trial, self._suggested(trial)
        except (Exception, SystemExit) as error:
            raise self._error(f"failed: {importing.summary(error)}") from error

    @cached_property
    def _kind(self) -> Callable[..., Any]:
        try:
            return importing.load(self.study.file.search.entry.path)
        except importing.NotImportedError as error:
            raise self._error(str(error)) from None

    def _seed(self, index: int) -> int:
        """The seed of a trial's sampler, from the study's seed and the trial's place."""
        source = np.random.SeedSequence((self.study.file.search.seed, index))
        return int(source.generate_state(1)[0])

    def _made(self, index: int) -> BaseSampler:
        """Make the sampler of the trial at a place."""
        try:
            made = self._kind(**self._options, seed=self._seed(index))
        except (Exception, SystemExit) as error:
            raise self._error(f"cannot be made: {importing.summary(error)}") from error
        if not isinstance(made, BaseSampler):
            raise self._error(f"makes a {type(made).__name__}, not a sampler of Optuna's")
        return made

    def _study(self, sampler: BaseSampler) -> optuna.Study:
        return optuna.load_study(
            study_name=optuna_storage.NAME, storage=self._mirror, sampler=sampler
        )

    def _empty(self) -> Mirror:
        self._begun = self._told = 0
        self._results: defaultdict[str, list[Measured]] = defaultdict(list)
        self._slowest = 0.0
        """The slowest known latency in milliseconds."""
        self._ranked: list[tuple[int, tuple[float, ...]]] = []
        """Numbers and values of the trials from which generations were made."""
        return Mirror(self.study.file.objectives.values())

    def _follow(self, history: History) -> None:
        """Update the mirror, in time proportional to the changes."""
        if history is not self._history:
            self._history, self._mirror = history, self._empty()
        self._mirror.forget(self._begun)
        for entry in history.entries[self._begun :]:
            self._mirror.trials.append(self._shown(entry, history))
        for number in history.results[self._told :]:
            entry = history.entries[number]
            # A trial stopped at a rung cannot be compared with those trained to their end.
            if number in history.current_values and entry.state != "stopped":
                self._tell(entry, history)
        self._begun, self._told = len(history), len(history.results)

    def _shown(self, entry: TrialRecord, history: History) -> FrozenTrial:
        values = history.current_values.get(entry.number)
        if values is None or history.firsts[entry.candidate] != entry.number:
            return optuna_storage.trial(entry.number, TrialState.FAIL)
        return self._running(entry.number, values)

    def _running(self, number: int, values: Values) -> FrozenTrial:
        """A running trial of the mirror, with its values alone."""
        params = {p: self._encoded(p, value) for p, value in values.items() if p in self._axes}
        shape = self._shapes.setdefault(tuple(params), {path: self._axes[path] for path in params})
        return optuna_storage.trial(number, TrialState.RUNNING, params, shape)

    def _tell(self, entry: TrialRecord, history: History) -> None:
        measured = entry.result.measured if entry.state == "complete" else LOST
        self._results[entry.candidate].append(measured)
        changed = [entry.candidate]
        if (measured.latency_ms or 0.0) > self._slowest:
            self._slowest = measured.latency_ms or 0.0
            changed += [name for name, results in self._results.items() if LOST in results]
        for name in changed:
            first = history.firsts[name]
            values = mean_objectives(
                self.study.file.objectives,
                history.entries[first].cost,
                self._results[name],
                self._slowest,
            )
            self._mirror.set_trial_state_values(first, TrialState.COMPLETE, values)

    def _level(self, history: History) -> None:
        """Make candidates with a diverged or failed training as bad as the worst of the others."""
        lost = {history.firsts[n] for n, results in self._results.items() if LOST in results}
        complete = self._mirror.get_all_trials(0, states=(TrialState.COMPLETE,))
        for place, (name, direction) in enumerate(self.study.file.objectives.items()):
            known = [trial.values[place] for trial in complete if trial.number not in lost]
            if name in ("accuracy", "loss") and known:
                worst = min(known) if direction == "max" else max(known)
                for number in lost:
                    self._mirror.trials[number].values[place] = worst

    def _count_generations(self, sampler: BaseGASampler, study: optuna.Study) -> None:
        """Divide the known results, by number, into generations and choose the parents of each.

        Optuna notes both as trials begin. These notes are not in the ledger. So they are computed
        anew, from the first result that has changed.
        """
        size = sampler.population_size
        assert size is not None
        complete = self._mirror.get_all_trials(0, states=(TrialState.COMPLETE,))
        ranked = [(trial.number, tuple(trial.values)) for trial in complete]
        both = zip(ranked, self._ranked, strict=False)
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
        for place, trial in enumerate(complete):
            trial.system_attrs[sampler._get_generation_key()] = place // size
        for generation in range(1, len(complete) // size + 1):
            if generation * size > same:
                key = f"{sampler._get_parent_cache_key_prefix()}{generation}"
                self._mirror.attributes.pop(key, None)
                sampler.get_parent_population(study, generation)
        self._ranked = ranked

    def _probe(self) -> None:
        """Try the sampler with artificial trials, before anything is trained.

        Raises:
            StudyError: it cannot be made, does not fit the objectives or axes, or stores data with
                trials that the ledger does not keep.
        """
        mirror = self._mirror
        number_of_objectives = len(self.study.file.objectives)
        for number, candidate in enumerate(itertools.islice(self.at_random(0), _PROBES)):
            mirror.trials.append(self._running(number, candidate.values))
            values = [float(number + 1)] * number_of_objectives
            mirror.set_trial_state_values(number, TrialState.COMPLETE, values)
        try:
            importing.check_options(self._kind, {"seed": 0, **self._options})
        except TypeError as error:
            raise self._error(str(error)) from None
        sampler = self._made(0)
        self._asked(self._study(sampler))
        ours = {"constraints", "gp:", "tpe:"}
        if isinstance(sampler, BaseGASampler):
            ours |= {sampler._get_generation_key(), sampler._get_parent_cache_key_prefix()}
        foreign = [key for key in mirror.written if not key.startswith(tuple(ours))]
        if foreign:
            raise self._error(
                f"keeps {foreign[0]!r} with its trials, which a study that is killed would lose:"
                " name a sampler that learns from parameters and results alone"
            )
        self._mirror = self._empty()

    def _error(self, message: str) -> StudyError:
        """An error of the sampler, at its place in the study file."""
        doc, path = self.study.source, self.study.file.search.entry.path
        return StudyError([doc.problem(("search", "sampler"), f"{path}: {message}")])

    def _suggested(self, trial: optuna.Trial) -> Candidate | None:
        """The candidate of Optuna's suggestions; None if a rule or the budget forbids it."""
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
        """A value in the form of its `_encoding`."""
        axis = self.study.space.axes[path]
        if axis.choices is None:
            return value
        place = axis.choices.index(value)
        kind = self._axes[path]
        return kind.choices[place] if isinstance(kind, CategoricalDistribution) else place


def _encoding(space: Space, path: str) -> Encoded:
    """The distribution of an axis.

    Numeric choices are numbered in the order of the file, so that neighbours are near. Other
    choices are their JSON text.
    """
    axis = space.axes[path]
    if axis.choices is None:
        assert axis.low is not None and axis.high is not None
        if space.is_whole(path):
            return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        return FloatDistribution(axis.low, axis.high, log=axis.log)
    if space.ordered(path):
        return IntDistribution(0, len(axis.choices) - 1)
    return CategoricalDistribution([json.dumps(choice) for choice in axis.choices])
