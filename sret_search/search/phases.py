"""Phases of a study: the trials of its sampler, their twins, and the confirmation of the front.

Each phase is a function of the study and its history. So a study that was killed continues in the
same phase, and an edited study begins the trials that are new.
"""

from __future__ import annotations

from typing import Literal

from sret_search.search.confirmation import Confirmation
from sret_search.search.controls import Controls
from sret_search.search.learning_rates import LearningRates
from sret_search.search.samplers.base import WAIT, Ask, FrontSampler, PredictiveSampler, Sampler
from sret_search.search.samplers.build import build as build_sampler
from sret_search.search.scheduler import Decision, Scheduler
from sret_search.study import Study
from sret_search.trials.history import History


def build(study: Study) -> Phases:
    """Make all phases of a study.

    Raises:
        StudyError: its sampler cannot be made.
    """
    arms = study.file.arms
    sampler = (
        build_sampler(study) if arms is None or arms.lr is None else LearningRates(study, arms.lr)
    )
    phases = [sampler]
    if study.file.controls:
        phases.append(Controls(study))
    if study.file.confirm is not None:
        front = sampler.front if isinstance(sampler, FrontSampler) else None
        phases.append(Confirmation(study, study.file.confirm, front))
    return Phases(phases)


class Phases:
    """Asks each phase in turn, until a phase has an answer."""

    def __init__(self, phases: list[Sampler]) -> None:
        self._phases = phases

    def ask(self, history: History) -> Ask | Literal["wait"] | None:
        for phase in self._phases:
            ask = phase.ask(history)
            if ask is not None:
                return ask
        return None

    def promising(self, history: History) -> list[str]:
        """Candidates that the first phase expects on the front; empty if it has no model."""
        first = self._phases[0]
        return first.promising(history) if isinstance(first, PredictiveSampler) else []


def next_step(
    history: History, sampler: Sampler, rungs: Scheduler, is_idle: bool
) -> Ask | Decision | Literal["wait"] | None:
    """The next step of a study: a trial to begin, or a decision to carry out.

    Args:
        is_idle: whether no trial is in training or about to be.

    Returns:
        WAIT while the next step depends on an attempt that has not ended; None if nothing is left
        to do.
    """
    decision = rungs.decide(history)
    if decision:
        return decision
    if not history.ready:
        return WAIT
    ask = sampler.ask(history)
    if isinstance(ask, Ask):
        return ask
    # A phase that waits while nothing is in training waits for the trials at rungs.
    if ask is None or is_idle:
        decision = rungs.decide(history, is_over=True)
    return decision or ask
