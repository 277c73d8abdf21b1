"""Notices before the numbers of a page: edits, trials that are left out, late declarations."""

from __future__ import annotations

from collections.abc import Iterator

from sret_search.reporting.results import Results
from sret_search.trials import retention
from sret_search.trials.predictions import Predictions

_EDITS = 5
"""The largest number of edits of the study file that a page lists."""


def notices(results: Results) -> list[str]:
    """The notices as sentences. Empty if the study file never changed and nothing is left out."""
    return [
        *_edited(results),
        *_left_out(results),
        *_without_folder(results),
        *_declared_late(results),
        *_of_an_earlier_program(results),
    ]


def _edited(results: Results) -> Iterator[str]:
    if results.edited:
        edits = "; ".join(results.edited[:_EDITS])
        if len(results.edited) > _EDITS:
            edits += f"; and {len(results.edited) - _EDITS} more"
        yield f"The study file was edited since it last ran: {edits}. This page reports what ran."


def _left_out(results: Results) -> Iterator[str]:
    compared = {entry.number for entry in results.comparable}
    number = sum(
        entry.number not in compared
        and entry.state == "complete"
        and entry.role == "search"
        and entry.parent is None
        for entry in results.entries
    )
    if number:
        yield (
            f"{number:,} complete trial{'s are' if number > 1 else ' is'} left out: the study as it"
            " last ran trains another recipe, space, budget or learning rate."
        )


def _without_folder(results: Results) -> Iterator[str]:
    """A notice on trials without a folder. A packed ledger needs none: it contains what is compared
    image by image."""
    gone = retention.without_folder(results.attempts, results.complete)
    if gone and isinstance(results.outcomes, Predictions):
        yield (
            f"The folder{'s' if len(gone) > 1 else ''} of {len(gone):,} complete"
            f" trial{'s are' if len(gone) > 1 else ' is'} not where the study file says:"
            " comparisons image by image leave them out."
        )


def _declared_late(results: Results) -> Iterator[str]:
    """A notice on candidates whose test accuracy is closed, since they were declared too late."""
    study = results.study
    if study.file.arms is None and study.space.axes and not study.file.contrasts:
        return
    late = {entry.candidate for entry in results.complete if not results.shows_test(entry)}
    if late and len(results.declarations) > 1:
        yield (
            f"{len(late):,} candidate{'s were' if len(late) > 1 else ' was'} declared after the results"
            " of others were known: {'their' if len(late) > 1 else 'its'} test accuracy is not shown."
        )


def _of_an_earlier_program(results: Results) -> Iterator[str]:
    if results.entries and not results.declarations:
        yield (
            "An earlier version of the program ran this study: its last declaration counts as made"
            " before training."
        )
