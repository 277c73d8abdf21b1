"""Depths, arms, twins and elastic candidates in words: differences, how sure they are, verdicts."""

from __future__ import annotations

from collections.abc import Iterator

from sret_search.config.controls import CONTROLS
from sret_search.reporting.arms import Arm
from sret_search.reporting.depth import Depth
from sret_search.reporting.elastic import Elastic, Rung
from sret_search.reporting.formatting import PARTS, bounds, in_percent, listed, points
from sret_search.reporting.statistics.verdict import NOT_TOLD, Comparison, certainty
from sret_search.reporting.twins import Pair


def pair_sentences(pairs: list[Pair], best: str) -> list[str]:
    """The best candidate beside its twins, or, where it has none, the deepest that has some."""
    if not pairs:
        return []
    own = [pair for pair in pairs if pair.candidate == best]
    own = own or [pair for pair in pairs if pair.candidate == pairs[-1].candidate]
    found = []
    for pair in own:
        if pair.difference.difference is None:
            continue
        part = PARTS[pair.part]
        text = (
            f"{pair.candidate_executions:,} executions beside the same {CONTROLS[pair.control].words}"
            f" ({pair.params:,} parameters, {pair.macs:,} MACs): {in_percent(pair.accuracy)} and"
            f" {in_percent(pair.twin_accuracy)} on {part}, {points(pair.difference.difference)} points"
        )
        text += _tested(pair.difference, "twins")
        if not pair.is_matched:
            text += f"; the twin's {pair.matched} are off by {100 * pair.gap:+.0f} %"
        found.append(f"{text}.")
    return found


def _tested(test: Comparison, kind: str) -> str:
    """How sure a difference is, and its verdict."""
    return _certainty(test, kind) + ("" if test.sign is None else f": {test.verdict}")


def _certainty(test: Comparison, kind: str) -> str:
    interval = None if test.interval is None else f"95 % interval {bounds(test.interval)}"
    if interval is not None and test.seeds == 1:
        interval += " over images"
    sure = test.verdict if test.sign is None else certainty(test, kind)
    return f" ({sure if interval is None else f'{interval}; {sure}'})"


def arm_sentences(arms: list[Arm]) -> list[str]:
    """Each arm beside the reference, with its verdict and the training that it takes."""
    reference = next((arm for arm in arms if arm.is_reference), None)
    found = []
    for arm in arms:
        test = arm.difference
        if reference is None or arm.is_reference:
            continue
        if test.is_closed:
            found.append(
                f"{arm.name}: {in_percent(arm.val)} on validation, where {reference.name} has"
                f" {in_percent(reference.val)}; {test.verdict}."
            )
        if test.difference is None or arm.test is None:
            continue
        words = {1: "gained against", 0: f"made {NOT_TOLD} against", -1: "lost against"}
        verdict = "beside" if test.sign is None else words[test.sign]
        found.append(
            f"{arm.name} {verdict} {reference.name}: {in_percent(arm.test)} and"
            f" {in_percent(reference.test)} on test, a difference of {points(test.difference)} points"
            f"{_certainty(test, 'arms')}, for {arm.train_macs / reference.train_macs:.2f} times the"
            " training multiply-adds."
        )
    return found


def elastic_sentence(elastic: Elastic) -> str:
    """One elastic candidate beside weights that were trained for each depth alone."""
    trained, evaluated = len(elastic.trained), len(elastic.rungs)
    text = f"One model trained at {trained} depth{'s' if trained > 1 else ''} ({elastic.mode})"
    if trained < evaluated:
        text += f" and evaluated at {evaluated}"
    text += (
        f", for {elastic.cost:.2f} times the training multiply-adds of its deepest alone:"
        f" {in_percent(elastic.rungs[-1].accuracy)} on {PARTS[elastic.part]} at its own depth."
    )
    gaps = elastic.compared
    if gaps:
        text += (
            f" A model trained for that depth alone stands beside it at {len(gaps)} of its {evaluated}"
            f" depths: {'; '.join(_gaps(gaps))}."
        )
    rival = elastic.rival
    if rival is not None and rival.gap.difference is not None:
        text += (
            " Its deepest against one model trained for as many multiply-adds in all:"
            f" {points(rival.gap.difference)} points{_tested(rival.gap, 'gaps')}."
        )
    return text


def _gaps(rungs: list[Rung]) -> Iterator[str]:
    """The verdicts on gaps to models for one depth alone, and where they hold."""
    groups: dict[str, list[Rung]] = {}
    for rung in rungs:
        groups.setdefault(rung.gap.verdict, []).append(rung)
    for verdict, own in groups.items():
        gaps = sorted(rung.gap.difference or 0.0 for rung in own)
        at = listed([f"{rung.executions:,}" for rung in own])
        if len(own) == 1:
            test = own[0].gap
            yield f"{points(gaps[0])} points at {at} executions{_tested(test, 'gaps')}"
            continue
        text = f"{points(gaps[0])} to {points(gaps[-1])} points at {at} executions: {verdict}"
        tests = own[0].gap.tests
        is_tested = own[0].gap.sign is not None and tests > 1
        yield f"{text} after Holm's correction over {tests} gaps" if is_tested else text


def depth_sentences(depths: list[Depth], seeds: int) -> list[str]:
    """Training at each depth beside rerunning the reference there, and each depth beside it."""
    compared = [depth for depth in depths if depth.gain.difference is not None]
    reference = next((depth for depth in depths if depth.is_reference), None)
    if not compared or reference is None:
        return []
    return [
        *_gain_sentences(compared, reference),
        *_difference_sentences(compared, reference),
        *_deepest_sentences(compared[-1], reference),
        *_ground_sentences(compared[-1], seeds),
    ]


def _gain_sentences(compared: list[Depth], reference: Depth) -> Iterator[str]:
    groups: dict[int, list[Depth]] = {}
    for depth in compared:
        if depth.gain.sign is not None and not (depth.gain.sign == 0 and depth.is_unused):
            groups.setdefault(depth.gain.sign, []).append(depth)
    for sign, own in groups.items():
        text = (
            f"At {_executions(own)} executions {own[0].verdict}, beside the weights trained at"
            f" {reference.executions} executions and run there without training"
        )
        if sign == 0:
            most = max(depth.gain.interval[1] for depth in own if depth.gain.interval)
            text += f"; it may gain up to {points(most)} points (95 % interval)"
        yield f"{text}."


def _difference_sentences(compared: list[Depth], reference: Depth) -> Iterator[str]:
    groups: dict[int, list[Depth]] = {}
    for depth in compared:
        if depth.difference.sign is not None:
            groups.setdefault(depth.difference.sign, []).append(depth)
    for sign, own in groups.items():
        how = {1: "better than", 0: "not told apart from", -1: "worse than"}[sign]
        text = f"Each as it was trained, {_executions(own)} executions are {how} {reference.executions}"
        if sign == 0:
            known = [depth.difference.interval for depth in own if depth.difference.interval]
            low, high = min(low for low, _ in known), max(high for _, high in known)
            text += f" (95 % intervals from {points(low)} to {points(high)} points)"
        yield f"{text}."


def _deepest_sentences(deepest: Depth, reference: Depth) -> Iterator[str]:
    gain, difference = deepest.gain, deepest.difference
    assert gain.difference is not None
    yield (
        f"Deepest: trained at {deepest.executions:,} executions {in_percent(deepest.test)} on test,"
        f" weights trained at {reference.executions} and run at {deepest.executions:,}"
        f" {in_percent(deepest.rerun_test)}, a difference of {points(gain.difference)} points"
        f"{'' if gain.interval is None else f' (95 % interval {bounds(gain.interval)})'}."
    )
    if difference.difference is not None:
        yield (
            f"Against {reference.executions} executions as they were trained"
            f" ({in_percent(reference.test)}) that is {points(difference.difference)} points"
            f"{'' if difference.interval is None else f' ({bounds(difference.interval)})'}, for"
            f" {deepest.executions / reference.executions:.0f} times the executions."
        )


def _ground_sentences(deepest: Depth, seeds: int) -> Iterator[str]:
    """What the verdicts on depths rest on."""
    if seeds < 2:
        yield (
            "Exploratory: one seed, so no verdict. Intervals cover the choice of images, not that of"
            " the seed: with another one the same differences may vanish or turn round."
        )
    elif deepest.gain.tests > 1:
        yield (
            f"Verdicts on depths hold after Holm's correction over {deepest.gain.tests} tests; the"
            " intervals are of each difference alone."
        )


def _executions(depths: list[Depth]) -> str:
    return listed([f"{depth.executions:,}" for depth in depths])
