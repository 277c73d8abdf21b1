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

from sret_search.config.samplers import SAMPLERS
from sret_search.search.samplers import optuna_storage
from sret_search.search.samplers.base import Ask
from sret_search.search.samplers.optuna_samplers import OptunaSampler
from sret_search.space.candidate import Candidate
from sret_search.trials.history import History

if TYPE_CHECKING:
    from optuna._gp.acqf import BaseAcquisitionFunc

_STARTUP = SAMPLERS["gp"].startup or 0
_POOL, _DRAWS = 1024, 16_384
"""Feasible candidates that are ranked where Optuna's own search ends at none that is feasible
and new, and draws to find them with."""


class GP(OptunaSampler):
    """A Gaussian process for each objective, and the candidate that is expected to add most to
    the hypervolume, or, with one objective, to improve most on the best.

    The first `_STARTUP` candidates are random. The processes see the axes that always count;
    the others are drawn at random. What Optuna proposes may be over the budget, or begun before:
    then the best of a pool of feasible candidates, by the same processes, stands for it: to ask
    again would fit all processes again.
    """

    def draw(self, history: History) -> Iterator[Ask]:
        self._follow(history)
        index = len(history.firsts)
        if len(self._results) >= _STARTUP:
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
        super().__init__(seed=seed, n_startup_trials=_STARTUP, warn_independent_sampling=False)
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
