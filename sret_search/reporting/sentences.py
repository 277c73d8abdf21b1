"""What a study found, in the sentences at the top of its page."""

from __future__ import annotations

from typing import Any

from sret_search.reporting import intervals
from sret_search.reporting.arms import Arm
from sret_search.reporting.compared import Compared
from sret_search.reporting.confirmed import Confirmed
from sret_search.reporting.depth import Depth
from sret_search.reporting.elastic import Elastic
from sret_search.reporting.results import Results
from sret_search.reporting.stopped import Stopped, stopped
from sret_search.reporting.tuned import Tuned
from sret_search.reporting.twins import Pair
from sret_search.reporting.words import PARTS, bounds, in_percent, listed, points
from sret_search.search.progress import duration


def sentences(results: Results, compared: Compared) -> list[str]:
    """The answer, for the top of the page."""
    candidates = results.candidates
    if not len(candidates):
        return ["No trial is complete yet."]
    row = results.best
    _, val_images, _ = results.description["data"]["sizes"]
    text = (
        f"Best on validation: {int(row.executions):,} executions of {int(row.unique_blocks)} unique blocks,"
        f" {int(row.params):,} parameters, {int(row.macs):,} MACs: {in_percent(row.val_accuracy)}"
    )
    if row.seeds == 1:
        low, high = intervals.proportion(row.val_accuracy, val_images)
        text += (
            f" (95 % interval over {val_images} images: {in_percent(low)} to {in_percent(high)})"
        )
    if results.declared:
        text += f", and {in_percent(row.test_accuracy)} on the test part"
    found = [text + "."]
    near = candidates[candidates.val_accuracy >= row.val_accuracy - 0.01]
    smallest = near.sort_values(["macs", "params"]).iloc[0]
    if smallest.candidate != row.candidate:
        found.append(
            f"Cheapest within one point of it: {int(smallest.executions):,} executions,"
            f" {int(smallest.params):,} parameters, {int(smallest.macs):,} MACs:"
            f" {in_percent(smallest.val_accuracy)}."
        )
    return [
        *found,
        *_confirmed_sentences(compared.confirmed),
        *_depth_sentences(compared.depths, len({entry.seed for entry in results.complete})),
        *_arm_sentences(compared.arms),
        *(_elastic_sentence(elastic) for elastic in compared.elastics),
        *_pair_sentences(compared.pairs, row.candidate),
        *_rate_sentences(results.description, compared.tuned),
        *_stopped_sentences(stopped(results)),
    ]


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
