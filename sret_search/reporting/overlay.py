"""Several studies on one page, where what they measured can be compared."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sret_search import pareto
from sret_search.config.problems import Problem, StudyError
from sret_search.reporting.confirmed import confirmations
from sret_search.reporting.formatting import PARTS, bounds, in_percent, percent, points
from sret_search.reporting.hypervolume import Growth, growth
from sret_search.reporting.recommendation import Answer, Choice, answer
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired
from sret_search.reporting.statistics.intervals import Interval
from sret_search.trials.trial import TrialRecord

_ELSEWHERE = {"root", "download"}
"""What a data set may differ in, and be the same."""


@dataclass(frozen=True)
class Row:
    """One study beside the others.

    Attributes:
        hypervolume: against one reference for all; None where a study has no budget of parameters.
        behind: accuracy of its best less that of the best of all, paired by seed.
    """

    name: str
    results: Results
    answer: Answer | None
    hypervolume: float | None
    behind: float | None = None
    behind_interval: Interval | None = None


def overlay(every: list[Results]) -> list[Row]:
    """The studies in the order given.

    Raises:
        StudyError: what they measured cannot be compared.
    """
    refuse_incomparable(every)
    most = _budget(every)
    found = [
        Row(each.name, each, answer(each), None if most is None else _hypervolume(each, most))
        for each in every
    ]
    best = _best(found)
    return [row if best is None else _beside(row, best) for row in found]


def refuse_incomparable(every: list[Results]) -> None:
    """See that studies measured the same thing on the same images.

    Raises:
        StudyError: they did not; a sentence for each difference.
    """
    first, *others = every
    problems = [problem for other in others for problem in _differences(first, other)]
    names = [each.name for each in every]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(Problem(f"study {name} is given more than once: it has one ledger"))
    if problems:
        raise StudyError(problems)


def sentences(rows: list[Row]) -> list[str]:
    """What the overlay shows, for the top of its page."""
    if all(row.answer is None for row in rows):
        return ["No trial of these studies is complete yet."]
    best, found = _best(rows), []
    if best is not None and best.answer is not None:
        found = [f"The best of all is of study {best.name}: {_reached(best.answer.best)}."]
    for row in rows:
        if row is best:
            continue
        if row.answer is None:
            found.append(f"Study {row.name} has no complete trial yet.")
            continue
        text = f"The best of study {row.name}: {_reached(row.answer.best)}"
        if row.behind is not None:
            text += f"; {points(row.behind)} points"
            if row.behind_interval is not None:
                text += f" (95 % interval {bounds(row.behind_interval)}, paired by seed)"
        found.append(f"{text}.")
    if best is None:
        found.append(
            "Some of these accuracies are on validation and some on test: they are not compared, and"
            " there is no best of all."
        )
    elif any(row.behind is not None for row in rows):
        found.append(
            "The best of each study was chosen by these numbers, so that differences of the chosen"
            " look larger than they are."
        )
    lengths = {row.name: _length(row.results) for row in rows}
    if len(set(lengths.values())) > 1:
        each = ", ".join(f"{name} {length}" for name, length in lengths.items())
        found.append(f"They are not trained alike: {each}.")
    return found


def summarise(rows: list[Row]) -> dict[str, Any]:
    """What `summary.json` of an overlay holds. Accuracies are fractions."""
    return {
        "studies": [
            {
                "study": row.name,
                "candidates": len(row.results.candidates),
                "answer": None if row.answer is None else dataclasses.asdict(row.answer),
                "hypervolume": row.hypervolume,
                "behind": row.behind,
                "behind_interval": row.behind_interval,
            }
            for row in rows
        ]
    }


def growths(every: list[Results]) -> dict[str, Growth]:
    """How the hypervolume of each study grew, against one reference for all, by its name and
    sampler; empty where one has no budget of parameters."""
    most = _budget(every)
    if most is None:
        return {}
    found = {
        f"{each.name} ({each.description['search']['sampler']})": growth(each, _point(each, most))
        for each in every
    }
    return {name: one for name, one in found.items() if one is not None}


def _differences(first: Results, other: Results) -> Iterator[Problem]:
    mine, theirs = first.description["data"], other.description["data"]
    for name in mine:
        if name not in _ELSEWHERE and mine[name] != theirs.get(name):
            yield Problem(
                f"{other.name} cannot stand beside {first.name}: data.{name} is"
                f" {json.dumps(theirs.get(name))} there and {json.dumps(mine[name])} here, so that"
                " they were not measured on the same images",
                other.study.path,
            )


def _best(rows: list[Row]) -> Row | None:
    """The row with the highest accuracy; None where there is none, or accuracies are of different
    parts of the data."""
    having = [row for row in rows if row.answer is not None]
    if len({row.answer.best.part for row in having if row.answer is not None}) > 1:
        return None
    return max(having, key=lambda row: row.answer.best.accuracy if row.answer else 0, default=None)


def _beside(row: Row, best: Row) -> Row:
    if row is best or row.answer is None or best.answer is None:
        return row
    mine, theirs = row.answer.best, best.answer.best
    own, rivals = _trials(row, mine), _trials(best, theirs)
    seeds = {entry.seed for entry in own} & {entry.seed for entry in rivals}
    if not seeds:
        return row
    difference, interval = paired.difference(
        row.results, own, rivals, lambda entry: entry.result, mine.part
    )
    # One seed's interval is over images, and the predictions lie with another study.
    return dataclasses.replace(
        row, behind=difference, behind_interval=interval if len(seeds) > 1 else None
    )


def _trials(row: Row, choice: Choice) -> list[TrialRecord]:
    assert row.answer is not None
    if row.answer.is_confirmed:
        return confirmations(row.results)[choice.candidate]
    return [entry for entry in row.results.complete if entry.candidate == choice.candidate]


def _budget(every: list[Results]) -> int | None:
    limits = [each.description["budget"]["params"]["max"] for each in every]
    return None if None in limits else max(limits)


def _hypervolume(results: Results, most: int) -> float:
    table = results.sound
    return pareto.hypervolume(table.val_accuracy, table.params, *_point(results, most))


def _point(results: Results, most: int) -> tuple[float, int]:
    return 1 / results.description["classes"], most


def _length(results: Results) -> str:
    recipe = results.study.file.recipe
    return f"{recipe.length:,g} {recipe.unit}"


def _reached(choice: Choice) -> str:
    low, high = choice.interval
    return (
        f"{in_percent(choice.accuracy)} on {PARTS[choice.part]} (95 % interval {percent(low)} to {percent(high)}), with"
        f" {choice.params:,} parameters, {choice.macs:,} MACs and {choice.executions:,} executions"
    )
