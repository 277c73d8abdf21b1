"""Sentences at the top of a page: the recommendation, and the findings of each analysis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sret_search.reporting.analyses.base import Analysis
from sret_search.reporting.formatting import PARTS, bounds, in_percent, listed, percent, points
from sret_search.reporting.recommendation import Answer, Recommended, answer
from sret_search.reporting.results import Results


def sentences(results: Results, analysed: Sequence[Analysis]) -> list[str]:
    """The recommendation and the sentences of all analyses. Without a recommendation, the progress
    of the study."""
    recommended = results.once(answer)
    if recommended is None:
        return [_nothing_yet(results)]
    recommendation = _answer_sentences(results, recommended)
    return [
        *recommendation,
        *(sentence for analysis in analysed for sentence in analysis.sentences),
    ]


def _nothing_yet(results: Results) -> str:
    text = "No trial is complete yet"
    if not results.entries:
        return f"{text}: none has begun."
    states = Counter(entry.state for entry in results.entries)
    if results.complete:
        return "No candidate is complete: each has a seed that diverged or failed."
    return f"{text}: {listed([f'{times:,} {state}' for state, times in states.items()])}."


def _answer_sentences(results: Results, recommended: Answer) -> list[str]:
    best, knee, smallest = recommended.best, recommended.knee, recommended.smallest
    texts = [f"Best: {_reached(best, recommended.measure)}, with {_costs(best)}."]
    if knee is not None and knee.candidate != best.candidate:
        texts.append(
            f"Knee of the front, after which more parameters bring less: {_reached(knee, recommended.measure)}, with"
            f" {_costs(knee)}{_behind(knee, best)}."
        )
    if smallest.candidate == best.candidate:
        if recommended.among > 1:
            texts.append(f"No smaller candidate lies within {recommended.near} of it.")
    elif knee is not None and smallest.candidate == knee.candidate:
        texts.append(f"That is also the smallest within {recommended.near} of the best.")
    else:
        texts.append(
            f"Smallest within {recommended.near} of the best: {_reached(smallest, recommended.measure)}, with"
            f" {_costs(smallest)}{_behind(smallest, best)}."
        )
    return [*texts, *_grounds(results, recommended)]


def _grounds(results: Results, recommended: Answer) -> list[str]:
    """Sentences on the origin of the numbers, and their reliability after the choice."""
    chosen = f"mean {recommended.measure} on validation"
    if recommended.is_confirmed and recommended.best.part == "test":
        return [
            "These are means on test over fresh seeds. The fresh seeds chose nothing: the choice among"
            f" the {recommended.among} members of the front that were trained again is by their {chosen}"
            " in the search."
        ]
    widened = "the lower end of each interval allows for that choice"
    if recommended.is_confirmed:
        return [
            f"Chosen among the {recommended.among} members of the front that were trained again, by their"
            f" {chosen} over fresh seeds. These are the numbers shown; {widened}."
        ]
    if recommended.among == 1:
        return []
    if results.declared:
        return [f"Chosen among {recommended.among:,} candidates by their {chosen}; {widened}."]
    text = (
        f"Chosen among {recommended.among:,} candidates by their {chosen}. In these numbers the"
        f" chosen candidates look better than they are; {widened}"
    )
    if results.study.file.confirm is None:
        text += " (“confirm” in the study file trains the front again, with fresh seeds)"
    if results.study.file.search.entry.predictive:
        text += "; the means are measured values, not predictions of the sampler's model"
    return [f"{text}."]


def _reached(choice: Recommended, measure: str) -> str:
    low, high = choice.interval
    over = f"{choice.seeds} seeds" if choice.seeds > 1 else "images, of one seed"
    text = (
        f"{in_percent(choice.accuracy)} on {PARTS[choice.part]} (95 % interval {percent(low)} to"
        f" {percent(high)} over {over})"
    )
    if measure == "loss" and choice.loss is not None:
        text = f"loss {choice.loss:.3g}, {text}"
    if choice.part == "val" and choice.test is not None and choice.test_interval is not None:
        low, high = choice.test_interval
        text += f" and {in_percent(choice.test)} on test ({percent(low)} to {percent(high)})"
    return text


def _costs(choice: Recommended) -> str:
    runs = "execution" if choice.executions == 1 else "executions"
    return (
        f"{choice.params:,} parameters, {choice.macs:,} MACs and {choice.executions:,} {runs} of"
        f" {choice.unique_blocks} unique block{'s' if choice.unique_blocks != 1 else ''}"
    )


def _behind(choice: Recommended, best: Recommended) -> str:
    if choice.behind is None:
        return ""
    text = f": {points(choice.behind)} points"
    if choice.behind_interval is not None:
        text += f" ({bounds(choice.behind_interval)})"
    cost, cost_name = ("macs", "MACs") if choice.params == best.params else ("params", "parameters")
    return f"{text} for {getattr(choice, cost) / getattr(best, cost):.2f} times the {cost_name} of the best"
