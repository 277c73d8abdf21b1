"""What a study found, in the sentences at the top of its page."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sret_search.reporting.answer import Answer, Choice
from sret_search.reporting.arms import Arm
from sret_search.reporting.compared import Compared
from sret_search.reporting.confirmed import Confirmed
from sret_search.reporting.contrast_sentences import contrast_sentences
from sret_search.reporting.depth import Depth
from sret_search.reporting.elastic import Elastic
from sret_search.reporting.results import Results
from sret_search.reporting.scaling.sentences import headlines, unused_depth
from sret_search.reporting.stopped import Stopped, stopped
from sret_search.reporting.tuned import Tuned
from sret_search.reporting.twins import Pair
from sret_search.reporting.words import PARTS, bounds, in_percent, listed, percent, points
from sret_search.search.progress import duration


def sentences(results: Results, compared: Compared, found: Answer | None) -> list[str]:
    """The answer, for the top of the page."""
    if found is None:
        return [_nothing_yet(results)]
    return [
        *_answer_sentences(results, found),
        *_confirmed_sentences(compared.confirmed),
        *_depth_sentences(compared.depths, len({entry.seed for entry in results.complete})),
        *unused_depth(compared.depths),
        *headlines(compared.scaling),
        *_arm_sentences(compared.arms),
        *contrast_sentences(compared.contrasts),
        *(_elastic_sentence(elastic) for elastic in compared.elastics),
        *_pair_sentences(compared.pairs, results.best.candidate),
        *_rate_sentences(results.description, compared.tuned),
        *_stopped_sentences(stopped(results)),
    ]


def _nothing_yet(results: Results) -> str:
    text = "No trial is complete yet"
    if not results.entries:
        return f"{text}: none has begun."
    states = Counter(entry.state for entry in results.entries)
    return f"{text}: {listed([f'{times:,} {state}' for state, times in states.items()])}."


def _answer_sentences(results: Results, found: Answer) -> list[str]:
    best, knee, smallest = found.best, found.knee, found.smallest
    says = [f"Best: {_reached(best)}, with {_costs(best)}."]
    if knee is not None and knee.candidate != best.candidate:
        says.append(
            f"Knee of the front, from where more parameters buy less: {_reached(knee)}, with"
            f" {_costs(knee)}{_behind(knee, best)}."
        )
    if smallest.candidate == best.candidate:
        if found.among > 1:
            says.append("None smaller lies within one point of it.")
    elif knee is not None and smallest.candidate == knee.candidate:
        says.append("That is also the smallest within one point of the best.")
    else:
        says.append(
            f"Smallest within one point of the best: {_reached(smallest)}, with"
            f" {_costs(smallest)}{_behind(smallest, best)}."
        )
    return [*says, *_grounds(results, found)]


def _grounds(results: Results, found: Answer) -> list[str]:
    """What these numbers are, and how far they are to be believed."""
    if found.is_confirmed:
        return [
            f"These are means over fresh seeds, which chose nothing, of the {found.among} members of"
            " the front that were trained again."
        ]
    if found.among == 1 or results.declared:
        return []
    text = (
        f"Chosen among {found.among:,} candidates by their means on validation, in which whatever"
        " is chosen looks better than it is"
    )
    if results.description["confirm"] is None:
        text += " (“confirm” in the study file trains the front again, with fresh seeds)"
    if results.description["search"]["sampler"] == "frontier":
        text += "; the means are as they were measured, not as the sampler's model believes them"
    return [f"{text}."]


def _reached(choice: Choice) -> str:
    low, high = choice.interval
    over = f"{choice.seeds} seeds" if choice.seeds > 1 else "images, of one seed"
    text = (
        f"{in_percent(choice.accuracy)} on {PARTS[choice.part]} (95 % interval {percent(low)} to"
        f" {percent(high)} over {over})"
    )
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
        f" (about {duration(found.seconds_saved)}); they are on no front and in no mean."
    ]


def _confirmed_sentences(confirmed: list[Confirmed]) -> list[str]:
    if not confirmed:
        return []
    first = confirmed[0]
    stay = [one for one in confirmed if one.on_front]
    part = "validation" if first.val is not None else "test"
    found = [
        f"Trained again with {first.seeds} fresh seeds each, {len(stay)} of {len(confirmed)} members"
        f" of the front stay on it, by {part}."
    ]
    best = max(stay, key=lambda one: one.test if one.val is None else one.val)
    low, high = best.test_interval
    text = (
        f"The best of them: {best.executions:,} executions, {best.params:,} parameters,"
        f" {best.macs:,} MACs: {in_percent(best.test)} on test"
        f" (95 % interval {in_percent(low)} to {in_percent(high)})"
    )
    if best.chosen is not None:
        text += f"; it was chosen at {in_percent(best.chosen)} on validation"
    return [*found, f"{text}."]


_CONTROLS = {
    "unshared": "with a block of its own for each execution",
    "shallow": "with each block run once",
    "iso_params": "with each block run once, as wide as gives its parameters",
    "iso_macs": "with each block run once, as wide as gives its multiply-adds",
    "iso_train_macs": "with each block run once, trained for as many multiply-adds",
}


def _pair_sentences(pairs: list[Pair], best: str) -> list[str]:
    """Of the best candidate that recurs: the best of all, or else the deepest."""
    if not pairs:
        return []
    own = [pair for pair in pairs if pair.candidate == best]
    own = own or [pair for pair in pairs if pair.candidate == pairs[-1].candidate]
    found = []
    for pair in own:
        if pair.difference is None:
            continue
        part = PARTS[pair.part]
        text = (
            f"{pair.candidate_executions:,} executions beside the same {_CONTROLS[pair.control]}"
            f" ({pair.params:,} parameters, {pair.macs:,} MACs): {in_percent(pair.accuracy)} and"
            f" {in_percent(pair.twin_accuracy)} on {part}, {points(pair.difference)} points"
        )
        if pair.interval is not None:
            text += f" (95 % interval {bounds(pair.interval)}): {pair.verdict}"
        if not pair.is_matched:
            text += f"; the twin's {pair.matched} are off by {100 * pair.gap:+.0f} %"
        found.append(f"{text}.")
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


def _arm_sentences(arms: list[Arm]) -> list[str]:
    reference = next((arm for arm in arms if arm.is_reference), None)
    found = []
    for arm in arms:
        if reference is None or arm.difference is None or arm.difference_interval is None:
            continue
        low, high = arm.difference_interval
        verdict = "gained" if low > 0 else "lost" if high < 0 else "made no measurable difference"
        found.append(
            f"{arm.name} {verdict} against {reference.name}: {in_percent(arm.test)} and"
            f" {in_percent(reference.test)} on test, a difference of {points(arm.difference)} points"
            f" (95 % interval {points(low)} to {points(high)}), for"
            f" {arm.train_macs / reference.train_macs:.2f} times the training multiply-adds."
        )
    return found


def _elastic_sentence(elastic: Elastic) -> str:
    text = (
        f"One model for {len(elastic.rungs)} depths ({elastic.mode}), for {elastic.cost:.2f} times the"
        " training multiply-adds of its deepest alone"
    )
    gaps = [rung for rung in elastic.rungs if rung.gap is not None]
    if not gaps:
        return f"{text}: {in_percent(elastic.rungs[-1].accuracy)} at its own depth."
    worst = min(gaps, key=lambda rung: rung.gap or 0.0)
    assert worst.gap is not None
    text += (
        f": against a model for each depth alone its worst is {points(worst.gap)} points, at"
        f" {worst.executions} executions"
    )
    if worst.gap_interval:
        text += f" (95 % interval {bounds(worst.gap_interval)})"
    rival = elastic.rival
    if rival is not None and rival.gap is not None and rival.gap_interval:
        text += (
            f"; its deepest against one model trained for as many multiply-adds in all:"
            f" {points(rival.gap)} ({bounds(rival.gap_interval)})"
        )
    return f"{text}."


def _depth_sentences(depths: list[Depth], seeds: int) -> list[str]:
    compared = [depth for depth in depths if depth.gain_interval and not depth.is_reference]
    if not compared:
        return []
    reference = next(depth for depth in depths if depth.is_reference)
    groups: dict[str, list[str]] = {}
    for depth in compared:
        groups.setdefault(depth.verdict, []).append(f"{depth.executions:,}")
    found = [
        f"At {listed(names)} executions {verdict}, beside the weights trained at"
        f" {reference.executions} executions and run there without training."
        for verdict, names in groups.items()
    ]
    beside: dict[str, list[str]] = {}
    for depth in compared:
        if depth.difference_interval is not None:
            low, high = depth.difference_interval
            how = "better" if low > 0 else "worse" if high < 0 else "neither better nor worse"
            beside.setdefault(how, []).append(f"{depth.executions:,}")
    found += [
        f"Each as it was trained, {listed(names)} executions are {how} than"
        f" {reference.executions}, as far as these seeds and images tell."
        for how, names in beside.items()
    ]
    deepest = compared[-1]
    assert deepest.gain is not None
    assert deepest.gain_interval is not None
    low, high = deepest.gain_interval
    found.append(
        f"Deepest: trained at {deepest.executions:,} executions {in_percent(deepest.test)} on test,"
        f" weights trained at {reference.executions} and run at {deepest.executions:,}"
        f" {in_percent(deepest.rerun_test)}, a difference of {points(deepest.gain)} points"
        f" (95 % interval {points(low)} to {points(high)})."
    )
    if deepest.difference is not None and deepest.difference_interval is not None:
        low, high = deepest.difference_interval
        found.append(
            f"Against {reference.executions} executions as they were trained"
            f" ({in_percent(reference.test)}) that is {points(deepest.difference)} points"
            f" ({points(low)} to {points(high)}), for"
            f" {deepest.executions / reference.executions:.0f} times the executions."
        )
    if seeds < 2:
        found.append(
            "Exploratory: one seed. The intervals cover the choice of images, not that of the seed:"
            " with another one the same differences may vanish or turn round."
        )
    return found
