"""Controls of a study: the twins of its candidates, as trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sret_search.planning.plan import at_rate
from sret_search.search.learning_rates import Tried
from sret_search.search.samplers.base import Ask
from sret_search.space.candidate import Candidate
from sret_search.space.twins import Twin, twins
from sret_search.study import Study
from sret_search.trials.about import TwinTrial
from sret_search.trials.history import History
from sret_search.trials.trial import TrialRecord


class Controls:
    """Asks for each twin of each candidate, with each seed.

    Candidates are in the order in which they were first trained. A twin that another trial has
    trained already is not trained again.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._known: dict[str, list[Twin]] = {}

    def ask(self, history: History) -> Ask | None:
        for name, twin in self._all(history):
            for seed in range(self.study.file.search.seeds):
                if not history.has(twin.candidate, seed):
                    about = TwinTrial(name, twin.control)
                    return Ask(twin.candidate, seed, role="twin", about=about)
        return None

    def _all(self, history: History) -> Iterator[tuple[str, Twin]]:
        new = [name for name in history.firsts if name not in self._known]
        if new:
            firsts = [history.entries[history.firsts[name]] for name in new]
            self._known |= beside(self.study, firsts, history.entries)
        for name in history.firsts:
            yield from ((name, twin) for twin in self._known[name])


def beside(
    study: Study, firsts: Iterable[TrialRecord], entries: Iterable[TrialRecord]
) -> dict[str, list[Twin]]:
    """The twins of candidates, by the candidate's name.

    Args:
        firsts: a trial of each candidate.
        entries: every trial of the study, from which the chosen learning rates are read.
    """
    arms, images = study.file.arms, study.sizes[0]
    rated = arms is not None and arms.lr is not None
    chosen = Tried(study, entries).choices if rated else {}

    def at_its_rate(twin: Twin) -> Twin:
        choice = chosen.get(twin.candidate.name)
        if choice is None:
            return twin
        return replace(twin, candidate=at_rate(twin.candidate, choice.best))

    by_name = {}
    for entry in firsts:
        job = entry.job
        recipe = job.recipe
        if rated:
            # The rates of a twin are stored under the name that it has at the study's rate.
            recipe = at_rate(Candidate({}, job.architecture, recipe), study.file.recipe.lr).recipe
        original = Candidate({}, job.architecture, recipe)
        by_name[entry.candidate] = [
            at_its_rate(twin) for twin in twins(study.file.controls, original, images)
        ]
    return by_name
