"""The learning rates that each arm tried, and the one at which it is compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sret_search.reporting.results import Results
from sret_search.search.learning_rates import Tried


@dataclass(frozen=True)
class Tuned:
    """An arm, or the twin of one. Accuracies are of validation, means over the seeds that chose,
    in fractions; None where a training diverged.

    Attributes:
        is_interior: whether the best rate has worse ones on both sides.
    """

    executions: int
    params: int
    is_arm: bool
    rates: list[float]
    accuracies: list[float | None]
    best: float
    is_interior: bool


def power_of_depth(tuned: list[Tuned]) -> float | None:
    """The power of executions that the best rates of the arms go with, by least squares; None
    where fewer than two depths have one."""
    arms = [one for one in tuned if one.is_arm]
    if len({one.executions for one in arms}) < 2:
        return None
    x = np.log([one.executions for one in arms])
    return float(np.polyfit(x, np.log([one.best for one in arms]), 1)[0])


def tuned(results: Results) -> list[Tuned]:
    """Every competitor whose rate is chosen, arms first, by executions."""
    arms = results.study.file.arms
    if arms is None or arms.lr is None:
        return []
    tried = Tried(results.study, results.entries)
    own = {arm.name for arm in results.study.grid}
    found = [
        Tuned(
            executions=one.cost.executions,
            params=one.cost.params,
            is_arm=one.name in own,
            rates=choice.rates,
            accuracies=[tried.accuracy(one, lr) for lr in choice.rates],
            best=choice.best,
            is_interior=choice.is_interior,
        )
        for one in tried.competitors
        if (choice := tried.choices.get(one.name)) is not None
    ]
    return sorted(found, key=lambda one: (not one.is_arm, one.executions, one.params))
