"""The sampler that learns by Gaussian processes: Optuna's, in a mirror of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import GPSampler
from optuna.study import Study as OptunaStudy
from optuna.trial import FrozenTrial, TrialState

from sret_search.search.samplers import optuna_storage
from sret_search.search.samplers.base import Ask
from sret_search.search.samplers.optuna_samplers import LOST, Modelled
from sret_search.search.samplers.startup import GP_FIRST
from sret_search.space.candidate import Candidate
from sret_search.trials.history import History

if TYPE_CHECKING:
    from optuna._gp.acqf import BaseAcquisitionFunc

_POOL, _DRAWS = 1024, 16_384
"""Feasible candidates that are ranked where Optuna's own search ends at none that is feasible
and new, and draws to find them with."""


class GP(Modelled):
    """A Gaussian process for each objective, and the candidate that is expected to add most to
    the hypervolume, or, with one objective, to improve most on the best.

    The first `GP_FIRST` candidates are random. The processes see the axes that always count;
    the others are drawn at random. What Optuna proposes may be over the budget, or begun before:
    then the best of a pool of feasible candidates, by the same processes, stands for it. Each
    trial has a sampler of its own, with its own seed, since Optuna's keeps what it fitted.

    A diverged or failed trial counts as the worst one known: one value far off would leave the
    processes no room for all others.
    """

    def draw(self, history: History) -> Iterator[Ask]:
        self._follow(history)
        index = len(history.firsts)
        if len(self._results) >= GP_FIRST:
            self._level(history)
            sampler = _Processes(self._seed(index), self._seen)
            with _one_thread():
                candidate = self._suggested(self._study(sampler).ask())
            if candidate is not None:
                yield Ask(candidate, 0)
            if sampler.gain is not None:
                with _one_thread():
                    gains = sampler.gain.eval_acqf_no_grad(self._pool[1])
                for place in np.argsort(-gains, kind="stable").tolist():
                    yield Ask(self._pool[0][place], 0)
        for candidate in self.at_random(index):
            yield Ask(candidate, 0)

    def _level(self, history: History) -> None:
        """Make candidates with a lost training as bad as the worst of the others."""
        lost = {history.firsts[n] for n, results in self._results.items() if LOST in results}
        told = self._mirror.get_all_trials(0, states=(TrialState.COMPLETE,))
        for place, (name, direction) in enumerate(self.study.file.objectives.items()):
            known = [trial.values[place] for trial in told if trial.number not in lost]
            if name in ("accuracy", "loss") and known:
                worst = min(known) if direction == "max" else max(known)
                for number in lost:
                    self._mirror.trials[number].values[place] = worst

    @cached_property
    def _seen(self) -> dict[str, BaseDistribution]:
        axes = self.study.space.axes
        return {
            path: kind
            for path, kind in self._axes.items()
            if not axes[path].when and not kind.single()
        }

    @cached_property
    def _pool(self) -> tuple[list[Candidate], NDArray[np.float64]]:
        """Candidates, and the axes that the processes see, as these see them (candidates, axes)."""
        from optuna._gp.search_space import SearchSpace

        sample = self.study.points.sample(_DRAWS)
        places = np.random.default_rng(self.study.file.search.seed).permutation(sample.distinct)
        candidates = [sample.candidate(place) for place in places[:_POOL].tolist()]
        params = [
            {path: self._encoded(path, one.values[path]) for path in self._seen}
            for one in candidates
        ]
        trials = [optuna_storage.trial(i, TrialState.COMPLETE, p) for i, p in enumerate(params)]
        return candidates, SearchSpace(self._seen).get_normalized_params(trials)


class _Processes(GPSampler):
    """Optuna's sampler, which keeps what it maximised.

    Attributes:
        gain: what a candidate is expected to add; None before it was asked.
    """

    def __init__(self, seed: int, seen: dict[str, BaseDistribution]) -> None:
        super().__init__(seed=seed, n_startup_trials=GP_FIRST, warn_independent_sampling=False)
        self._seen = seen
        self.gain: BaseAcquisitionFunc | None = None

    def infer_relative_search_space(
        self, study: OptunaStudy, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        # Optuna would go through all trials for what the space itself says.
        return dict(self._seen)

    def _optimize_acqf(
        self, acqf: BaseAcquisitionFunc, best_params: NDArray[Any] | None
    ) -> NDArray[Any]:
        self.gain = acqf
        return super()._optimize_acqf(acqf, best_params)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order: Optuna sees to it in the longer half of its work."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
