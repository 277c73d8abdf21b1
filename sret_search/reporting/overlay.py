"""Several studies on one page, if their results can be compared."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sret_search import pareto
from sret_search.config.problems import Problem, StudyError
from sret_search.reporting.analyses import candidates
from sret_search.reporting.analyses.base import Block, Column, Table, ranged
from sret_search.reporting.analyses.candidates import LABELS, WITH_BARS, accuracy_range, cost_axis
from sret_search.reporting.analyses.confirmation import confirmations
from sret_search.reporting.analyses.hypervolume import Growth, growth
from sret_search.reporting.formatting import PARTS, bounds, in_percent, percent, points
from sret_search.reporting.recommendation import Answer, Recommended, answer
from sret_search.reporting.render.chart import Axis, Chart, Marker, Panel, Series
from sret_search.reporting.render.colours import cycle
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired
from sret_search.reporting.statistics.intervals import Interval
from sret_search.trials.trial import TrialRecord

_ELSEWHERE = {"root", "download"}
"""Fields in which equal data sets may differ."""
_MARKERS: tuple[Marker, ...] = ("circle", "square", "triangle", "diamond", "down", "star")
_COLUMNS = (
    Column("study", "word"), Column("candidates"), Column("sampler", "word"), Column("part", "word"),
    Column("best"), Column("its parameters"), Column("its MACs"),
    Column("less the best of all, points"), Column("knee"), Column("its parameters"),
    Column("smallest within one point"), Column("its parameters"), Column("hypervolume"),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A study in the overlay.

    Attributes:
        hypervolume: hypervolume for the reference point that all studies share. None if a study has
            no budget of parameters.
        behind: accuracy of its best candidate minus that of the best of all studies, paired by
            seed.
    """

    name: str
    results: Results
    answer: Answer | None
    hypervolume: float | None
    behind: float | None = None
    behind_interval: Interval | None = None


def overlay(every: list[Results]) -> list[Row]:
    """The studies in the given order.

    Raises:
        StudyError: the results cannot be compared.
    """
    refuse_incomparable(every)
    most = _budget(every)
    rows = [
        Row(each.name, each, each.once(answer), None if most is None else _hypervolume(each, most))
        for each in every
    ]
    best = _best(rows)
    return [row if best is None else _beside(row, best) for row in rows]


def refuse_incomparable(every: list[Results]) -> None:
    """Check that all studies measured the same on the same images.

    Raises:
        StudyError: they did not. It has a sentence for each difference.
    """
    first, *others = every
    problems = [problem for other in others for problem in _differences(first, other)]
    names = [each.name for each in every]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(Problem(f"study {name} is given more than once: it has one ledger"))
    if problems:
        raise StudyError(problems)


def sentences(rows: list[Row]) -> list[str]:
    """Sentences on the overlay, for the top of its page."""
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
    """The content of `summary.json` of an overlay. Accuracies are fractions."""
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


def block(rows: list[Row]) -> Block:
    """The studies as a table of the page, a row for each."""
    note = (
        "Accuracy in %, means over seeds, with 95 % intervals; of studies that confirm their front, of"
        " the fresh seeds. Hypervolume is of accuracy × log10 parameters, against chance × the largest"
        " budget."
    )
    return Block(
        "The studies", "studies", notes=[note], table=Table(_COLUMNS, [*map(_cells, rows)])
    )


def _cells(row: Row) -> list[str]:
    cells = [row.name, str(len(row.results.candidates)), row.results.study.file.search.sampler]
    if row.answer is None:
        cells += [""] * 9
    else:
        best, behind = row.answer.best, ""
        if row.behind is not None:
            behind = points(row.behind)
            if row.behind_interval is not None:
                behind += f" ({bounds(row.behind_interval)})"
        cells += [PARTS[best.part], ranged(best.accuracy, best.interval)]
        cells += [f"{best.params:,}", f"{best.macs:,}", behind]
        for choice in (row.answer.knee, row.answer.smallest):
            cells += (
                ["", ""] if choice is None else [percent(choice.accuracy), f"{choice.params:,}"]
            )
    return [*cells, "" if row.hypervolume is None else f"{row.hypervolume:.3f}"]


def growths(every: list[Results]) -> dict[str, Growth]:
    """The growth of the hypervolume of each study, by name and sampler, for the same reference
    point. Empty if a study has no budget of parameters."""
    most = _budget(every)
    if most is None:
        return {}
    by_name = {
        f"{each.name} ({each.study.file.search.sampler})": growth(each, _point(each, most))
        for each in every
    }
    return {name: curve for name, curve in by_name.items() if curve is not None}


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
    """The row with the highest accuracy. None if there is none, or if accuracies are on different
    parts of the data."""
    having = [row for row in rows if row.answer is not None]
    if len({row.answer.best.part for row in having if row.answer is not None}) > 1:
        return None
    return max(having, key=lambda row: row.answer.best.accuracy if row.answer else 0, default=None)


def _beside(row: Row, best: Row) -> Row:
    if row is best or row.answer is None or best.answer is None:
        return row
    mine, theirs = row.answer.best, best.answer.best
    trials, rivals = _trials(row, mine), _trials(best, theirs)
    seeds = {entry.seed for entry in trials} & {entry.seed for entry in rivals}
    if not seeds:
        return row
    difference, interval = paired.difference(
        row.results, trials, rivals, lambda entry: entry.result, mine.part
    )
    # With one seed the interval would be over images, but the predictions belong to another study.
    return dataclasses.replace(
        row, behind=difference, behind_interval=interval if len(seeds) > 1 else None
    )


def _trials(row: Row, choice: Recommended) -> list[TrialRecord]:
    assert row.answer is not None
    if row.answer.is_confirmed:
        return row.results.once(confirmations)[choice.candidate]
    return [entry for entry in row.results.complete if entry.candidate == choice.candidate]


def _budget(every: list[Results]) -> float | None:
    limits = [each.study.space.budget.params.max for each in every]
    known = [limit for limit in limits if limit is not None]
    return max(known) if len(known) == len(limits) else None


def _hypervolume(results: Results, most: float) -> float:
    table = results.sound
    return pareto.hypervolume(table.val_accuracy, table.params, *_point(results, most))


def _point(results: Results, most: float) -> tuple[float, float]:
    return 1 / results.study.space.architecture.classes, most


def _length(results: Results) -> str:
    recipe = results.study.file.recipe
    return f"{recipe.length:,g} {recipe.unit}"


def _reached(choice: Recommended) -> str:
    low, high = choice.interval
    return (
        f"{in_percent(choice.accuracy)} on {PARTS[choice.part]} (95 % interval {percent(low)} to {percent(high)}), with"
        f" {choice.params:,} parameters, {choice.macs:,} MACs and {choice.executions:,} executions"
    )


def chart(every: Sequence[Results], cost: str) -> Chart | None:
    """The candidates of each study and its front. None if nothing is complete."""
    shown = [results for results in every if len(results.candidates)]
    if not shown:
        return None
    series: list[Series] = []
    drawn = whole = 0
    is_crowded = sum(len(results.candidates) for results in shown) > WITH_BARS
    for number, (results, colour) in enumerate(zip(every, cycle(len(every)), strict=True)):
        if len(results.candidates) == 0:
            continue
        table = results.candidates.sort_values([cost, "executions"])
        some, on_front = candidates.thinned(table, candidates.on_front(results, table, cost))
        drawn, whole = drawn + len(some), whole + len(table)
        series += _candidates_of(results, some, on_front, cost, colour, number, is_crowded)
    axis = cost_axis(
        np.concatenate([r.candidates[cost].to_numpy(float) for r in shown]), LABELS[cost]
    )
    left_out = candidates.how_many(drawn, whole)
    points = [one for one in series if one.kind == "points"]
    y, low, high = (
        np.concatenate([np.asarray(getattr(one, name), float) for one in points])
        for name in ("y", "low", "high")
    )
    span = accuracy_range(y, low[~np.isnan(low)], high[~np.isnan(high)])
    which = "; bars are drawn of the fronts alone" if is_crowded else ""
    return Chart(
        name=f"accuracy_{cost}",
        title=f"Accuracy against {LABELS[cost].replace(' (MACs)', '').split(' (')[0]}{left_out}",
        caption="Validation accuracy of each candidate, the mean over its seeds, with its 95 % interval,"
        f" and the front of each study{left_out}{which}.",
        panels=(Panel(axis, Axis("validation accuracy in %", range=span), tuple(series)),),
    )  # fmt: skip


def _candidates_of(
    results: Results,
    table: pd.DataFrame,
    on_front: np.ndarray,
    cost: str,
    colour: str,
    number: int,
    is_crowded: bool,
) -> list[Series]:
    low, high = candidates.whiskers(results, table)
    hover = [f"{results.name}\n{text}" for text in candidates.hover(results, table, low, high)]
    x, y = table[cost].to_numpy(float), 100 * table.val_accuracy.to_numpy(float)
    member = np.flatnonzero(on_front)
    is_barred = on_front | (not is_crowded)
    return [
        Series(
            name=results.name, kind="points", x=x, y=y, colour=colour, opacity=0.7, hover=hover,
            marker=_MARKERS[number % len(_MARKERS)], group=results.name,
            low=np.where(is_barred, 100 * low, np.nan), high=np.where(is_barred, 100 * high, np.nan),
        ),
        Series(
            name=f"front of {results.name}", kind="step", colour=colour, width=2,
            x=x[member], y=np.maximum.accumulate(y[member]), legend=False, group=results.name,
        ),
    ]  # fmt: skip
