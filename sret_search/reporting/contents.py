"""The table of contents of a report: every analysis, in the order of the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sret_search.reporting.analyses import (
    arms,
    confirmation,
    costs,
    curves,
    early_stopping,
    executions,
    failures,
    front,
    hypervolume,
    importances,
    learning_rates,
    rate_transfer,
    trials,
    twins,
)
from sret_search.reporting.analyses.base import Analyse, Analysis, Block
from sret_search.reporting.analyses.contrasts import analysis as contrasts
from sret_search.reporting.analyses.depth import analysis as depth
from sret_search.reporting.analyses.elastic import analysis as elastic
from sret_search.reporting.analyses.scaling import analysis as scaling
from sret_search.reporting.results import Results

_COMPARISONS = (
    "All comparisons of one kind are one family of tests at 5 %. Their p-values are corrected together"
    " (Holm, 1979). The corrected p-value decides the verdict: if no difference is real, at most one"
    " page in twenty has a false verdict of a kind. A comparison that is not complete yet counts as a"
    " test with p = 1. A comparison that was declared after the results does not count, and gets no"
    " verdict. Every interval is at 95 % for its comparison alone, so it may exclude 0 where there is no"
    " verdict. With one seed there is no verdict, and the interval is over images. “No measurable"
    " difference” means that the test did not show a difference, not that there is none."
)


ANALYSES: tuple[Analyse, ...] = (
    costs.analyse,
    front.analyse,
    confirmation.analyse,
    depth.analyse,
    scaling.analyse,
    arms.analyse,
    contrasts.analyse,
    elastic.analyse,
    twins.analyse,
    learning_rates.analyse,
    rate_transfer.analyse,
    hypervolume.analyse,
    curves.analyse,
    executions.analyse,
    importances.analyse,
    early_stopping.analyse,
    trials.analyse,
    failures.analyse,
)


def analyses(results: Results) -> list[Analysis]:
    """Make every analysis, in the order of the page."""
    return [analyse(results) for analyse in ANALYSES]


def blocks(analysed: Sequence[Analysis]) -> Iterator[Block]:
    """The blocks of the page. An explanation of verdicts stands before the first block that has
    any."""
    first_comparing = next((analysis for analysis in analysed if analysis.compares), None)
    for analysis in analysed:
        if analysis is first_comparing:
            yield Block("Comparisons", "comparisons", notes=[_COMPARISONS])
        yield from analysis.blocks
