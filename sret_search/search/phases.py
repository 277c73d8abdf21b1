"""What a study trains, phase after phase: what its sampler asks for, the twins of that, and the
confirmation of its front.

Each phase is a function of the study and of the trials so far, so that a study that was killed
in any of them goes on there, and one that was edited begins whatever is new.
"""

from __future__ import annotations

from typing import Literal

from sret_search.search.confirmation import Confirmation
from sret_search.search.controls import Controls
from sret_search.search.learning_rates import LearningRates
from sret_search.search.samplers.base import WAIT, Ask, PredictiveSampler, Sampler
from sret_search.search.samplers.build import build as build_sampler
from sret_search.search.scheduler import Decision, Scheduler
from sret_search.study import Study
from sret_search.trials.history import History


def build(study: Study) -> Phases:
    """All phases of a study.

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
        front = sampler.front if isinstance(sampler, PredictiveSampler) else None
        phases.append(Confirmation(study, study.file.confirm, front))
    return Phases(phases)


class Phases:
    """Asks one phase after the other."""

    def __init__(self, phases: list[Sampler]) -> None:
        self._phases = phases

    def ask(self, history: History) -> Ask | Literal["wait"] | None:
        for phase in self._phases:
            asked = phase.ask(history)
            if asked is not None:
                return asked
        return None

    def promising(self, history: History) -> list[str]:
        """What the first phase believes in; none where it has no model."""
        first = self._phases[0]
        return first.promising(history) if isinstance(first, PredictiveSampler) else []


def next_step(
    history: History, sampler: Sampler, rungs: Scheduler, is_idle: bool
) -> Ask | Decision | Literal["wait"] | None:
    """A new trial or a decision, to be carried out before the next question; WAIT while nothing
    can be said before an attempt has ended; None where nothing is left to be asked for.

    Args:
        is_idle: whether no trial is in training, nor about to be.
    """
    decision = rungs.decide(history)
    if decision:
        return decision
    if not history.ready:
        return WAIT
    asked = sampler.ask(history)
    if isinstance(asked, Ask):
        return asked
    # Who waits while nothing is in training waits for the trials at rungs.
    if asked is None or is_idle:
        decision = rungs.decide(history, is_over=True)
    return decision or asked
