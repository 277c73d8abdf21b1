"""Learning curves: what trials reached after each epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sret_search.reporting.results import Results
from sret_search.trials.trial import TrialRecord

_MOST = 30


@dataclass(frozen=True)
class Curve:
    """One trial on validation, an entry an epoch. Accuracies are fractions, losses nats an image.

    Attributes:
        on_front: whether its candidate is on the front of validation and parameters.
    """

    trial: int
    candidate: str
    seed: int
    executions: int
    params: int
    on_front: bool
    epochs: list[int]
    val_accuracy: list[float]
    val_loss: list[float]


@dataclass(frozen=True)
class Curves:
    """Some of the curves of a study, those of the front last, and how many trials have one."""

    drawn: list[Curve]
    trials: int


def learning_curves(results: Results) -> Curves | None:
    """Up to 30 curves: those of the front's members, one seed each, and an even part of the
    others; None where no complete trial has two epochs."""
    own = [e for e in results.complete if len(e.result.get("history", ())) > 1]
    if not own:
        return None
    members = set(results.front.candidate)
    firsts: dict[str, TrialRecord] = {}
    for entry in own:
        firsts.setdefault(entry.candidate, entry)
    of_front = [entry for name, entry in firsts.items() if name in members]
    shown = _some(sorted(of_front, key=lambda entry: entry.cost["params"]), _MOST)
    others = _some([entry for entry in own if entry.candidate not in members], _MOST - len(shown))
    drawn = [_curve(entry, entry.candidate in members) for entry in (*others, *shown)]
    return Curves(drawn, len(own))


def _some(entries: list[TrialRecord], most: int) -> list[TrialRecord]:
    if len(entries) <= most:
        return entries
    return [entries[place] for place in np.linspace(0, len(entries) - 1, most).astype(int)]


def _curve(entry: TrialRecord, on_front: bool) -> Curve:
    history = entry.result["history"]
    return Curve(
        trial=entry.number,
        candidate=entry.candidate,
        seed=entry.seed,
        executions=entry.cost["executions"],
        params=entry.cost["params"],
        on_front=on_front,
        epochs=[int(epoch["epoch"]) for epoch in history],
        val_accuracy=[float(epoch["val_accuracy"]) for epoch in history],
        val_loss=[float(epoch["val_loss"]) for epoch in history],
    )
