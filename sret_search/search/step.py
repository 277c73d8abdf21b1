"""The next step of a search: a new trial, or what becomes of trials at rungs."""

from __future__ import annotations

from typing import Literal

from sret_search.search.history import History
from sret_search.search.rungs import Decision, Rungs
from sret_search.search.samplers.ask import WAIT, Ask, Sampler


def next_step(
    history: History, sampler: Sampler, rungs: Rungs, is_idle: bool
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
