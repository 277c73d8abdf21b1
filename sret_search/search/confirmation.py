"""Confirmation: the front trained again with fresh seeds.

Selection prefers candidates whose results are better by chance. Fresh seeds correct this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np

from sret_search.config.study_file import Confirm, Objective
from sret_search.job.seeds import CONFIRMATION
from sret_search.pareto import nondominated
from sret_search.search.samplers.base import WAIT, Ask
from sret_search.study import Study
from sret_search.trials.about import ConfirmationTrial
from sret_search.trials.history import History
from sret_search.trials.objectives import mean_objectives
from sret_search.trials.trial import TrialRecord, by_candidate


class Confirmation:
    """Asks for each member of the front, with each fresh seed, after all other trials have ended.

    If a study is edited and its front changes, new members are confirmed. Earlier confirmations
    remain.

    Args:
        front: returns the names of the front's members. Without it, `members` does.
    """

    def __init__(
        self, study: Study, confirm: Confirm, front: Callable[[History], list[str]] | None = None
    ) -> None:
        self.study, self.confirm = study, confirm
        self._front = partial(members, study) if front is None else front

    def ask(self, history: History) -> Ask | Literal["wait"] | None:
        confirming = [entry for entry in history.entries if entry.role == "confirmation"]
        if any(entry.open and entry.role != "confirmation" for entry in history.entries):
            return WAIT
        on, first = self.confirm.on, self.study.file.search.seed
        begun = {(e.candidate, e.seed) for e in confirming if e.confirmed_on == on}
        for name in self._front(history):
            candidate = self.study.space.candidate(history.current_values[history.firsts[name]])
            for seed in range(CONFIRMATION, CONFIRMATION + self.confirm.seeds):
                if (name, first + seed) not in begun:
                    about = ConfirmationTrial(name, on)
                    return Ask(candidate, seed, "confirmation", about, on == "train+val")
        return None


def members(study: Study, history: History) -> list[str]:
    """Names of the candidates on the Pareto front of the study's objectives.

    They are in the order in which they were first trained. A candidate counts if all its trials are
    complete.
    """
    trials = by_candidate(history.entries[number] for number in history.current_values)
    whole = {n: each for n, each in trials.items() if all(e.state == "complete" for e in each)}
    on_front = on_the_front(study.file.objectives, list(whole.values()))
    return [name for name, member in zip(whole, on_front, strict=True) if member]


def on_the_front(
    objectives: Mapping[Objective, Literal["max", "min"]], groups: Sequence[Sequence[TrialRecord]]
) -> np.ndarray:
    """Mask of the groups on the Pareto front (groups,), by their objectives' means over seeds.

    Args:
        groups: the trials of each candidate.
    """
    signs = np.array([1.0 if direction == "max" else -1.0 for direction in objectives.values()])
    return nondominated(
        [
            list(
                signs * mean_objectives(objectives, each[0].cost, [e.result.measured for e in each])
            )
            for each in groups
        ]
    )
