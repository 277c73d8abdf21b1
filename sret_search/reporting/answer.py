"""Which candidate to train: the best, the knee of the front, the smallest near the best.

All three are read from means over seeds, never from the best observed run. Where a study confirms
its front, the trainings with fresh seeds decide alone; elsewhere validation does, and what was
chosen among many by the numbers that are shown looks better than it is.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sret_search.reporting import paired
from sret_search.reporting.confirmed import Confirmed, confirmed
from sret_search.reporting.intervals import Interval
from sret_search.reporting.results import Results
from sret_search.reporting.variances import Variances
from sret_search.search.entry import Entry
from sret_search.search.front import pareto
from sret_search.study.errors import shown

NEAR = 0.01
"""How far below the best the smallest may lie, as a fraction: one point."""


@dataclass(frozen=True)
class Choice:
    """A candidate that the study points at. Accuracies are means over seeds, in fractions.

    Attributes:
        trial: whose weights are exported: the first of the candidate's complete ones, not the
            luckiest.
        part: of the data, by whose accuracy it was chosen: "val" or "test".
        interval: of `accuracy`, over seeds, or over images where there is one seed.
        test, test_interval: of trials that may show them; None elsewhere.
        behind: accuracy less that of the best, paired by seed, with its interval.
        values: of the study's axes, by path.
        architecture: as plain data.
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
    test: float | None
    test_interval: Interval | None
    behind: float | None
    behind_interval: Interval | None
    values: dict[str, Any]
    architecture: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a study recommends.

    Attributes:
        best: the highest mean; the cheaper one of equals.
        knee: of the front of accuracy against parameters; None where it has no knee.
        smallest: the fewest parameters, then multiply-adds, within one point of the best; the
            most accurate of equals.
        among: candidates that were chosen from.
        is_confirmed: whether fresh seeds decided.
    """

    best: Choice
    knee: Choice | None
    smallest: Choice
    among: int
    is_confirmed: bool

    @property
    def choices(self) -> dict[str, Choice]:
        """By the names that `sret-search export --trial` takes."""
        found = {"best": self.best, "knee": self.knee, "smallest": self.smallest}
        return {name: choice for name, choice in found.items() if choice is not None}


def answer(results: Results) -> Answer | None:
    """The answer of a study; None while no candidate is complete."""
    # Of a front that is half confirmed, the other half may be the better one.
    again = [] if any(entry.open for entry in results.entries) else confirmed(results)
    if again:
        entries = results.having("confirmation")
        table = _confirmed_table(again)
    else:
        entries = _by_candidate(results.complete)
        table = results.sound.rename(columns={"val_accuracy": "accuracy"})
    if not len(table):
        return None
    order = ["accuracy", "macs"]
    best = table.sort_values(order, ascending=[False, True], kind="stable").iloc[0]
    near = table[table.accuracy >= best.accuracy - NEAR]
    by = ["params", "macs", "accuracy"]
    smallest = near.sort_values(by, ascending=[True, True, False], kind="stable").iloc[0]
    part = again[0].decides if again else "val"
    if again:
        on = again[0].on
        entries = {name: [e for e in own if e.about["on"] == on] for name, own in entries.items()}
    spreads = results.spreads
    if again:
        every = [entry for own in entries.values() for entry in own]
        spreads = {p: Variances.among(every, p, results.images(p)) for p in {part, "test"}}

    def choice(name: str) -> Choice:
        return _choice(results, entries[name], entries[best.candidate], spreads, part)

    bend = knee(table.accuracy.to_numpy(), table.params.to_numpy())
    return Answer(
        best=choice(best.candidate),
        knee=None if bend is None else choice(table.candidate.iloc[bend]),
        smallest=choice(smallest.candidate),
        among=len(table),
        is_confirmed=bool(again),
    )


def knee(accuracies: Sequence[float], params: Sequence[float]) -> int | None:
    """Where more parameters begin to buy less: the member of the front that lies farthest above
    the chord between its ends, in log parameters × accuracy (Das, "On characterizing the knee of
    the Pareto curve", Structural Optimization 18, 1999; as in Satopää et al., "Finding a kneedle
    in a haystack", 2011). Which member that is depends on no scaling of the two.

    Returns:
        Its index; None where the front has fewer than three different members, or none of them
        lies above the chord.
    """
    accuracy, x = np.asarray(accuracies, float), np.log(np.asarray(params, float))
    front = np.flatnonzero(pareto(list(accuracy), list(x)))
    front = front[np.argsort(x[front], kind="stable")]
    first, last = front[0], front[-1]
    if x[first] == x[last]:
        return None
    slope = (accuracy[last] - accuracy[first]) / (x[last] - x[first])
    above = accuracy[front] - accuracy[first] - slope * (x[front] - x[first])
    # Of a front on a straight line nothing but rounding is left.
    tallest = int(np.argmax(above))
    return int(front[tallest]) if above[tallest] > 1e-9 else None


def export_command(study: Path, choice: Choice) -> str:
    """What a user types to export a choice."""
    folder = f"exported/{choice.candidate}"
    return f"sret-search export {shlex.quote(shown(study))} --trial {choice.trial} --out {folder}"


def _by_candidate(entries: list[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.candidate, []).append(entry)
    return found


def _confirmed_table(again: list[Confirmed]) -> pd.DataFrame:
    rows = [(one.candidate, one.reached, one.params, one.macs) for one in again]
    return pd.DataFrame(rows, columns=["candidate", "accuracy", "params", "macs"])


def _choice(
    results: Results,
    own: list[Entry],
    rivals: list[Entry],
    spreads: Mapping[str, Variances],
    part: str,
) -> Choice:
    own = sorted(own, key=lambda entry: (entry.seed, entry.number))
    first = own[0]
    behind, interval = paired.UNKNOWN
    if first.candidate != rivals[0].candidate:
        behind, interval = paired.difference(results, own, rivals, lambda e: e.result, part)
    reached, interval_of = {}, {}
    for name in {part, "test"} if results.shows_test(first) else {part}:
        accuracies = [entry.result[f"{name}_accuracy"] for entry in own]
        reached[name] = float(np.mean(accuracies))
        interval_of[name] = spreads[name].interval(accuracies)
    return Choice(
        candidate=first.candidate,
        trial=first.number,
        seeds=len(own),
        **{name: first.cost[name] for name in ("params", "macs", "executions", "unique_blocks")},
        part=part,
        accuracy=reached[part],
        interval=interval_of[part],
        test=reached.get("test"),
        test_interval=interval_of.get("test"),
        behind=behind,
        behind_interval=interval,
        values=first.values,
        architecture=first.job.architecture.to_dict(),
    )
