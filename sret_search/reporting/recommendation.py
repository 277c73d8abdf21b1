"""The recommended candidates: the best, the knee of the front, the smallest near the best.

All three are chosen by means over seeds, never by the best observed run. The study's objective
decides, accuracy or loss. If a study confirms its front, only the trainings with fresh seeds
decide. The test part never chooses.

The best of m candidates, by the numbers that are shown, looks better than it is. So the lower end
of the interval of such a number holds for all m at once (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from sret_search.config.problems import typed
from sret_search.pareto import pareto
from sret_search.reporting.analyses.confirmation import confirmations, confirmed
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.pooled_variance import Variances
from sret_search.trials.trial import TrialRecord, by_candidate

NEAR = 0.01
"""The largest difference between the best and the smallest, as a fraction: one point."""
_NEAR_LOSS = 0.05
"""The largest difference between the least loss and that of the smallest, as a share of it."""


@dataclass(frozen=True)
class Recommended:
    """A recommended candidate. Accuracies are means over seeds, as fractions.

    Attributes:
        trial: number of the trial whose weights are exported: the candidate's first complete trial,
            not the luckiest.
        part: part of the data of `accuracy`: "val", or "test" if validation was trained on.
        interval: interval of `accuracy`, over seeds, or over images with one seed. Its lower end
            allows for the choice among others.
        loss: validation loss.
        test, test_interval: test accuracy of trials that may show it, else None.
        behind: accuracy minus that of the best, paired by seed.
        behind_interval: interval of `behind`.
        values: values of the study's axes, by path.
        architecture: the architecture as plain data.
    """

    candidate: str
    trial: int
    seeds: int
    params: int
    macs: int
    executions: int
    unique_blocks: int
    part: str
    accuracy: float
    interval: Interval
    loss: float | None
    test: float | None
    test_interval: Interval | None
    behind: float | None
    behind_interval: Interval | None
    values: dict[str, Any]
    architecture: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """The recommendation of a study.

    Attributes:
        best: the highest mean. Among equals the cheaper.
        knee: the knee of the front of accuracy against parameters. None if there is no knee.
        smallest: the fewest parameters, then multiply-adds, near the best. Among equals the most
            accurate.
        among: number of candidates that were available for the choice.
        measure: the objective that chose, "accuracy" or "loss".
        is_confirmed: whether the accuracies are from fresh seeds.
    """

    best: Recommended
    knee: Recommended | None
    smallest: Recommended
    among: int
    measure: Literal["accuracy", "loss"]
    is_confirmed: bool

    @property
    def near(self) -> str:
        """The largest difference between the best and the smallest, in words."""
        return (
            "one point" if self.measure == "accuracy" else f"{100 * _NEAR_LOSS:.0f} % of the loss"
        )

    @property
    def choices(self) -> dict[str, Recommended]:
        """The recommended candidates, by the names that `sret-search export --trial` takes."""
        named = {"best": self.best, "knee": self.knee, "smallest": self.smallest}
        return {name: choice for name, choice in named.items() if choice is not None}


def answer(results: Results) -> Answer | None:
    """The recommendation of a study. None while no candidate is complete with all of its seeds."""
    # If half of a front is confirmed, the other half may be the better half.
    retrained = [] if any(entry.open for entry in results.entries) else results.once(confirmed)
    if retrained:
        entries = results.once(confirmations)
        rows = [
            (member.candidate, member.score, member.params, member.macs) for member in retrained
        ]
        table = pd.DataFrame(rows, columns=["candidate", "score", "params", "macs"])
        table = table[np.isfinite(table.score.astype(float))]
    else:
        entries = by_candidate(results.complete)
        table = results.sound.assign(score=results.scores(results.sound))
    if not len(table):
        return None
    order = ["score", "macs"]
    best = table.sort_values(order, ascending=[False, True], kind="stable").iloc[0]
    near = table[table.score >= _least(best.score, results.measure)]
    size_order = ["params", "macs", "score"]
    smallest = near.sort_values(size_order, ascending=[True, True, False], kind="stable").iloc[0]
    # After training on validation only test accuracy can be shown, and the search chose.
    sees_all = bool(retrained) and retrained[0].val is None
    part, chosen_from = ("test", 1) if sees_all else ("val", len(table))
    spreads = results.spreads
    if retrained:
        trials = [entry for group in entries.values() for entry in group]
        spreads = {p: results.spread(trials, p) for p in {part, "test"}}

    def choice(name: str) -> Recommended:
        return _choice(results, entries[name], entries[best.candidate], spreads, part, chosen_from)

    bend = knee(table.score.to_numpy(), table.params.to_numpy())
    return Answer(
        best=choice(best.candidate),
        knee=None if bend is None else choice(table.candidate.iloc[bend]),
        smallest=choice(smallest.candidate),
        among=len(table),
        measure=results.measure,
        is_confirmed=bool(retrained),
    )


def _least(best: float, measure: str) -> float:
    """The least score that counts as near the best."""
    return best - NEAR if measure == "accuracy" else best - _NEAR_LOSS * abs(best)


def knee(accuracies: Sequence[float], params: Sequence[float]) -> int | None:
    """The knee of a front, after which more parameters bring less. It is the member of the front
    that lies farthest above the chord between the ends, in log parameters × accuracy (Das, "On
    characterizing the knee of the Pareto curve", Structural Optimization 18, 1999; as in Satopää et
    al., "Finding a kneedle in a haystack", 2011). The choice does not depend on the scales of the
    two.

    Returns:
        The index of the knee. None if the front has fewer than three different members, or no
            member lies above the chord.
    """
    accuracy, x = np.asarray(accuracies, float), np.log(np.asarray(params, float))
    front = np.flatnonzero(pareto(list(accuracy), list(x)))
    front = front[np.argsort(x[front], kind="stable")]
    first, last = front[0], front[-1]
    if x[first] == x[last]:
        return None
    slope = (accuracy[last] - accuracy[first]) / (x[last] - x[first])
    above = accuracy[front] - accuracy[first] - slope * (x[front] - x[first])
    # On a straight front only rounding remains.
    tallest = int(np.argmax(above))
    return int(front[tallest]) if above[tallest] > 1e-9 else None


def export_command(study: Path, choice: Recommended) -> str:
    """The shell command that exports a choice."""
    folder = f"exported/{choice.candidate}"
    return f"sret-search export {typed(study)} --trial {choice.trial} --out {folder}"


def _finite(value: float | np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None


def _choice(
    results: Results,
    trials: list[TrialRecord],
    rivals: list[TrialRecord],
    spreads: Mapping[str, Variances],
    part: str,
    chosen_from: int,
) -> Recommended:
    trials = sorted(trials, key=lambda entry: (entry.seed, entry.number))
    first_trial = trials[0]
    behind, interval = paired.UNKNOWN
    if first_trial.candidate != rivals[0].candidate:
        behind, interval = paired.difference(results, trials, rivals, lambda e: e.result, part)
    reached, interval_of = {}, {}
    for name in {part, "test"} if results.shows_test(first_trial) else {part}:
        accuracies = [entry.result.accuracy(name) for entry in trials]
        reached[name] = float(np.mean(accuracies))
        interval_of[name] = spreads[name].interval(accuracies, first_trial.candidate, chosen_from)
    return Recommended(
        candidate=first_trial.candidate,
        trial=first_trial.number,
        seeds=len(trials),
        **{
            name: first_trial.cost[name]
            for name in ("params", "macs", "executions", "unique_blocks")
        },
        part=part,
        accuracy=reached[part],
        interval=interval_of[part],
        loss=None if part == "test" else _finite(np.mean([e.result.loss for e in trials])),
        test=reached.get("test"),
        test_interval=interval_of.get("test"),
        behind=behind,
        behind_interval=interval,
        values=first_trial.values,
        architecture=first_trial.job.architecture.to_dict(),
    )
