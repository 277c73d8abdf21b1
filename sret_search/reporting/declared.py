"""The declarations of a study that its ledger dates before any result was known.

Nothing may be chosen by the test part, and a chosen number may not be shown as if it was not
chosen. So test accuracy is open for candidates that were declared before a trial had ended. It is
closed for whatever was declared later.
"""

from __future__ import annotations

from collections.abc import Sequence

from sret_search.config.study_file import Contrast
from sret_search.planning.plan import at_rate
from sret_search.space.candidate import Candidate
from sret_search.space.contrasts import inert_axes, takes_part
from sret_search.study import Study
from sret_search.trials.history import History
from sret_search.trials.trial import TrialRecord


class Declared:
    """The declarations of a study that were stored before any trial had ended.

    Args:
        studies: the study as described by each declaration.
        entries: every trial of the ledger, by number.
    """

    def __init__(self, studies: Sequence[Study], entries: Sequence[TrialRecord]) -> None:
        self._declarations = [_Declaration(study, entries) for study in studies]

    def shows_test(self, entry: TrialRecord) -> bool:
        """Whether the candidate of a trial was declared: as an arm, as the only candidate, by a
        contrast, as a twin of such a candidate, or as a branch."""
        return any(declaration.declares(entry) for declaration in self._declarations)

    def has_contrast(self, contrast: Contrast) -> bool:
        """Whether a contrast was declared."""
        return any(
            contrast in declaration.study.file.contrasts for declaration in self._declarations
        )


class _Declaration:
    def __init__(self, study: Study, entries: Sequence[TrialRecord]) -> None:
        self.study = study
        described = described_trials(study, entries)
        searched = [entry for entry in entries if entry.number in described]
        values = [entry.values for entry in searched]
        self._inert = [
            inert_axes(contrast, values, study.space) for contrast in study.file.contrasts
        ]
        # Among arms nothing is chosen, and a single candidate leaves no choice.
        self._declares_all = study.file.arms is not None or not study.space.axes
        self._names = {entry.candidate for entry in searched if self._declares_searched(entry)}

    def declares(self, entry: TrialRecord) -> bool:
        if entry.parent is not None:
            return any(
                branch.trial == entry.parent and branch.recipe == entry.job.recipe
                for branch in self.study.file.branches
            )
        if entry.role == "twin":
            has_control = entry.control in self.study.file.controls
            return has_control and entry.of in self._names
        return entry.role == "search" and entry.candidate in self._names

    def _declares_searched(self, entry: TrialRecord) -> bool:
        return self._declares_all or any(
            takes_part(contrast, entry.values, inert)
            for contrast, inert in zip(self.study.file.contrasts, self._inert, strict=True)
        )


def described_trials(study: Study, entries: Sequence[TrialRecord]) -> set[int]:
    """The numbers of the trials that a study, as described, asks for itself. Trials of another
    recipe, space or budget do not count, nor do twins, confirmations and branches. Arms whose
    learning rate is tuned count at every rate."""
    numbers = set(History(study, entries).current_values)
    arms = study.file.arms
    if arms is None or arms.lr is None:
        return numbers
    plain = {candidate.name for candidate in study.grid}
    for entry in entries:
        if entry.number not in numbers and entry.role == "search" and entry.parent is None:
            job = entry.job
            candidate = Candidate({}, job.architecture, job.recipe)
            if at_rate(candidate, study.file.recipe.lr).name in plain:
                numbers.add(entry.number)
    return numbers
