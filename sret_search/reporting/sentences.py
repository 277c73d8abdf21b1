"""What a study found, in the sentences at the top of its page."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sret_search.reporting.comparison_sentences import (
    arm_sentences,
    depth_sentences,
    elastic_sentence,
    pair_sentences,
)
from sret_search.reporting.comparisons import Compared
from sret_search.reporting.confirmed import Confirmed, observed_front
from sret_search.reporting.contrast_sentences import contrast_sentences
from sret_search.reporting.early_stopping import Stopped, stopped
from sret_search.reporting.formatting import PARTS, bounds, in_percent, listed, percent, points
from sret_search.reporting.learning_rates import Tuned
from sret_search.reporting.recommendation import Answer, Choice
from sret_search.reporting.results import Results
from sret_search.reporting.scaling.sentences import headlines, unused_depth
from sret_search.units import duration_text


def sentences(results: Results, compared: Compared, found: Answer | None) -> list[str]:
    """The answer, for the top of the page."""
    if found is None:
        return [_nothing_yet(results)]
    return [
        *_answer_sentences(results, found),
        *_confirmed_sentences(results, compared.confirmed),
        *depth_sentences(compared.depths, len({entry.seed for entry in results.complete})),
        *unused_depth(compared.depths),
        *headlines(compared.scaling),
        *arm_sentences(compared.arms),
        *contrast_sentences(compared.contrasts),
        *(elastic_sentence(elastic) for elastic in compared.elastics),
        *pair_sentences(compared.pairs, found.best.candidate),
        *_rate_sentences(results.description, compared.tuned),
        *_stopped_sentences(stopped(results)),
    ]


def _nothing_yet(results: Results) -> str:
    text = "No trial is complete yet"
    if not results.entries:
        return f"{text}: none has begun."
    states = Counter(entry.state for entry in results.entries)
    if results.complete:
        return "No candidate is complete: each lost a seed, which diverged or failed."
    return f"{text}: {listed([f'{times:,} {state}' for state, times in states.items()])}."


def _answer_sentences(results: Results, found: Answer) -> list[str]:
    best, knee, smallest = found.best, found.knee, found.smallest
    says = [f"Best: {_reached(best, found.measure)}, with {_costs(best)}."]
    if knee is not None and knee.candidate != best.candidate:
        says.append(
            f"Knee of the front, from where more parameters buy less: {_reached(knee, found.measure)}, with"
            f" {_costs(knee)}{_behind(knee, best)}."
        )
    if smallest.candidate == best.candidate:
        if found.among > 1:
            says.append(f"None smaller lies within {found.near} of it.")
    elif knee is not None and smallest.candidate == knee.candidate:
        says.append(f"That is also the smallest within {found.near} of the best.")
    else:
        says.append(
            f"Smallest within {found.near} of the best: {_reached(smallest, found.measure)}, with"
            f" {_costs(smallest)}{_behind(smallest, best)}."
        )
    return [*says, *_grounds(results, found)]


def _grounds(results: Results, found: Answer) -> list[str]:
    """What these numbers are, and how far they are to be believed."""
    chosen = f"mean {found.measure} on validation"
    if found.is_confirmed and found.best.part == "test":
        return [
            f"These are means on test over fresh seeds, which chose nothing: the {chosen} of the search"
            f" chose among the {found.among} members of the front that were trained again."
        ]
    widened = "the lower end of each interval allows for that choice"
    if found.is_confirmed:
        return [
            f"Chosen among the {found.among} members of the front that were trained again, by their"
            f" {chosen} over fresh seeds, which are the numbers shown; {widened}."
        ]
    if found.among == 1:
        return []
    if results.declared:
        return [f"Chosen among {found.among:,} candidates by their {chosen}; {widened}."]
    text = (
        f"Chosen among {found.among:,} candidates by their {chosen}, in which whatever is chosen looks"
        f" better than it is; {widened}"
    )
    if results.description["confirm"] is None:
        text += " (“confirm” in the study file trains the front again, with fresh seeds)"
    if results.study.file.search.entry.predictive:
        text += "; the means are as they were measured, not as the sampler's model believes them"
    return [f"{text}."]


def _reached(choice: Choice, measure: str) -> str:
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


def _costs(choice: Choice) -> str:
    runs = "execution" if choice.executions == 1 else "executions"
    return (
        f"{choice.params:,} parameters, {choice.macs:,} MACs and {choice.executions:,} {runs} of"
        f" {choice.unique_blocks} unique block{'s' if choice.unique_blocks != 1 else ''}"
    )


def _behind(choice: Choice, best: Choice) -> str:
    if choice.behind is None:
        return ""
    text = f": {points(choice.behind)} points"
    if choice.behind_interval is not None:
        text += f" ({bounds(choice.behind_interval)})"
    cost, of = ("macs", "MACs") if choice.params == best.params else ("params", "parameters")
    return (
        f"{text} for {getattr(choice, cost) / getattr(best, cost):.2f} times the {of} of the best"
    )


def _stopped_sentences(found: Stopped | None) -> list[str]:
    if found is None:
        return []
    after = f"{found.first}" if found.first == found.last else f"{found.first} to {found.last}"
    return [
        f"{found.scheduler} stopped {found.trials} of {found.asked_for} trials after {after} of"
        f" {found.length} epochs, which saved {100 * found.share_saved:.0f} % of the training time"
        f" (about {duration_text(found.seconds_saved)}); they are on no front and in no mean."
    ]


def _confirmed_sentences(results: Results, confirmed: list[Confirmed]) -> list[str]:
    if not confirmed:
        return []
    number, again = len(confirmed), f"Trained again with {confirmed[0].seeds} fresh seeds each"
    found = []
    if confirmed[0].on_front is not None:
        stay = sum(one.on_front is True for one in confirmed)
        objectives = listed(list(results.description["objectives"]))
        found.append(
            f"{again}, {stay} of {number} members of the front stay on it, by validation and in the"
            f" objectives that chose them ({objectives})."
        )
    believed = sum(not one.is_observed for one in confirmed)
    if results.study.file.search.entry.predictive:
        again_names = {one.candidate for one in confirmed}
        missed = sum(name not in again_names for name in observed_front(results))
        found.append(
            f"The front that was trained again is the one that the sampler's model believed in:"
            f" {believed} of its {number} members are not on the front of what the search measured,"
            f" and {missed} of those that are were not trained again."
        )
    return found


def _rate_sentences(description: dict[str, Any], tuned: list[Tuned]) -> list[str]:
    arms = description["arms"]
    if arms is None:
        return []
    if arms["lr"] is None:
        lr = description["recipe"]["lr"]
        if "recipe.lr" in description["axes"]:
            return []
        return [
            f"All arms were trained at one learning rate, {lr:g}: where it suits some of them better,"
            " that is part of their difference."
        ]
    if not tuned:
        return []
    text = (
        "Each arm was trained at the learning rate that is best for it on validation: "
        + ", ".join(f"{one.best:g} at {one.executions:,} executions" for one in tuned if one.is_arm)
    )
    ends = [f"{one.executions:,}" for one in tuned if not one.is_interior]
    if ends:
        text += (
            f"; at {listed(ends)} executions no rate was found that has worse ones on both sides"
        )
    return [f"{text}."]
