"""The sampler `gp`: Optuna's Gaussian processes, on a mirror of the ledger."""

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
"""Size of the pool of feasible candidates, and draws from which it is made. The pool is ranked if
Optuna's proposal is not feasible or not new."""


class GP(OptunaSampler):
    """Asks for the candidate with the highest expected gain.

    Each objective has a Gaussian process. The gain is that of hypervolume, or with one objective
    the improvement of the best value. The first `_STARTUP` candidates are random. The processes use
    only the axes that are always active. The others are drawn at random. If Optuna's proposal
    exceeds the budget or has begun before, the best candidate of a pool replaces it, by the same
    processes. Another proposal would need all processes to be fitted again.
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
        """Candidates and their features for the processes (candidates, axes)."""
        from optuna._gp.search_space import SearchSpace

        sample = self.study.points.sample(_DRAWS)
        places = np.random.default_rng(self.study.file.search.seed).permutation(sample.distinct)
        candidates = [sample.candidate(place) for place in places[:_POOL].tolist()]
        params = [
            {path: self._encoded(path, candidate.values[path]) for path in self._seen}
            for candidate in candidates
        ]
        trials = [optuna_storage.trial(i, TrialState.COMPLETE, p) for i, p in enumerate(params)]
        return candidates, SearchSpace(self._seen).get_normalized_params(trials)


class _Processes(GPSampler):
    """Optuna's sampler, which keeps the function that it maximised.

    Attributes:
        gain: the expected gain of a candidate; None before the first proposal.
    """

    def __init__(self, seed: int, seen: dict[str, BaseDistribution]) -> None:
        super().__init__(seed=seed, n_startup_trials=_STARTUP, warn_independent_sampling=False)
        self._seen = seen
        self.gain: BaseAcquisitionFunc | None = None

    def infer_relative_search_space(
        self, study: OptunaStudy, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        # Optuna would read all trials to compute what the space already says.
        return dict(self._seen)

    def _optimize_acqf(
        self, acqf: BaseAcquisitionFunc, best_params: NDArray[Any] | None
    ) -> NDArray[Any]:
        self.gain = acqf
        return super()._optimize_acqf(acqf, best_params)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Make sums in one order, on one thread. Optuna does so only in the longer half of its work."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
