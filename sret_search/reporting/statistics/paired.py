"""The difference of two trained candidates, paired by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from sret_search.reporting.results import Results
from sret_search.reporting.statistics import intervals
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.standard_error import OverSeeds
from sret_search.reporting.statistics.verdict import Comparison
from sret_search.training.results import RerunResult
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

Difference = tuple[float | None, Interval | None]
UNKNOWN: Difference = (None, None)

ResultOf = Callable[[TrialRecord], TrialResult | RerunResult | None]
"""A function that selects a result of a trial: its main result or a rerun. None if the trial lacks
it."""


def main_result(entry: TrialRecord) -> TrialResult:
    """The main result of a trial, with weights run as they were trained."""
    return entry.result


def difference(
    results: Results,
    trials: list[TrialRecord],
    rivals: list[TrialRecord],
    rival_result: ResultOf,
    part: str,
) -> Difference:
    """The mean difference of accuracies over the seeds of both, with its interval. With one seed,
    the interval is over test images; on validation there is none.

    Args:
        part: "test" or "val".
    """
    comparison = _tested(results, trials, rivals, part, main_result, rival_result)
    return comparison.difference, comparison.interval


def compared(
    results: Results,
    trials: list[TrialRecord],
    rivals: list[TrialRecord],
    part: str,
    trial_result: ResultOf = main_result,
    rival_result: ResultOf = main_result,
) -> Comparison:
    """The difference as a test. On the test part it is closed and unknown if a trial was declared
    after the results."""
    if part == "test" and is_closed(results, [*trials, *rivals]):
        return Comparison(is_closed=True)
    comparison = _tested(results, trials, rivals, part, trial_result, rival_result)
    if any(entry.candidate in results.lost for entry in (*trials, *rivals)):
        return replace(comparison, p=None, is_lost=True)
    return comparison


def on_validation(
    results: Results,
    trials: list[TrialRecord],
    rivals: list[TrialRecord],
    trial_result: ResultOf = main_result,
) -> Comparison:
    """The difference on validation, without a verdict, if a trial was declared after the
    results."""
    comparison = _tested(results, trials, rivals, "val", trial_result, main_result)
    return replace(comparison, is_closed=True)


def is_closed(results: Results, entries: Iterable[TrialRecord]) -> bool:
    """Whether the test accuracy of any of the trials may not be shown."""
    return not all(results.shows_test(entry) for entry in entries)


def accuracy_on_test(results: Results, entries: Sequence[TrialRecord]) -> Difference:
    """Mean test accuracy of a candidate's trials, with its interval. Unknown while test is
    closed."""
    if is_closed(results, entries):
        return UNKNOWN
    values = [entry.result.accuracy("test") for entry in entries]
    interval = results.spreads["test"].interval(values, entries[0].candidate)
    return float(np.mean(values)), interval


def part(results: Results) -> str:
    """The part of the data on which candidates are compared. It is "test" if they were declared, as
    arms, as the only candidate, or all by contrasts. Otherwise it is "val"."""
    study = results.study
    is_declared = study.file.arms is not None or not study.space.axes
    return "test" if is_declared or results.declared else "val"


def _tested(
    results: Results,
    trials: list[TrialRecord],
    rivals: list[TrialRecord],
    part: str,
    trial_result: ResultOf,
    rival_result: ResultOf,
) -> Comparison:
    pairs = []
    rival_by_seed = _by_seed(rivals)
    for seed, entry in _by_seed(trials).items():
        rival = rival_by_seed.get(seed)
        if rival is None:
            continue
        first, second = trial_result(entry), rival_result(rival)
        if first is not None and second is not None:
            pairs.append(((entry, first), (rival, second)))
    if not pairs:
        return Comparison()
    gains = [first.accuracy(part) - second.accuracy(part) for (_, first), (_, second) in pairs]
    if len(gains) > 1:
        return Comparison.from_spread(
            float(np.mean(gains)), OverSeeds.from_differences(gains, results.images(part))
        )
    if part != "test":
        return Comparison(gains[0], seeds=1)
    outcomes = [_right(results, *side) for side in pairs[0]]
    known_outcomes = [side for side in outcomes if side is not None]
    over_images = (
        intervals.paired_proportions(*known_outcomes) if len(known_outcomes) == 2 else None
    )
    return Comparison(gains[0], over_images, seeds=1)


def _by_seed(entries: list[TrialRecord]) -> dict[int, TrialRecord]:
    """The last trial of each seed, so that no seed counts twice."""
    return {entry.seed: entry for entry in sorted(entries, key=lambda entry: entry.number)}


def _right(
    results: Results, entry: TrialRecord, reached: TrialResult | RerunResult
) -> np.ndarray | None:
    if reached is entry.result:
        return results.right(entry, "test")
    place = next(i for i, rerun in enumerate(entry.result.reruns) if rerun is reached)
    return results.right(entry, f"rerun-{place}")
