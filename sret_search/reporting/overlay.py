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
    Column("minus the best of all, points"), Column("knee"), Column("its parameters"),
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


def overlay(studies: list[Results]) -> list[Row]:
    """The studies in the given order.

    Raises:
        StudyError: the results cannot be compared.
    """
    refuse_incomparable(studies)
    max_params = _budget(studies)
    rows = [
        Row(
            results.name,
            results,
            results.once(answer),
            None if max_params is None else _hypervolume(results, max_params),
        )
        for results in studies
    ]
    best = _best(rows)
    return [row if best is None else _compared_with_best(row, best) for row in rows]


def refuse_incomparable(studies: list[Results]) -> None:
    """Check that all studies measured the same on the same images.

    Raises:
        StudyError: they did not. It has a sentence for each difference.
    """
    first, *others = studies
    problems = [problem for other in others for problem in _differences(first, other)]
    names = [results.name for results in studies]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(Problem(f"study {name} is given more than once: it has one ledger"))
    if problems:
        raise StudyError(problems)


def sentences(rows: list[Row]) -> list[str]:
    """Sentences on the overlay, for the top of its page."""
    if all(row.answer is None for row in rows):
        return ["No trial of these studies is complete yet."]
    best, texts = _best(rows), []
    if best is not None and best.answer is not None:
        texts = [f"The best of all is of study {best.name}: {_reached(best.answer.best)}."]
    for row in rows:
        if row is best:
            continue
        if row.answer is None:
            texts.append(f"Study {row.name} has no complete trial yet.")
            continue
        text = f"The best of study {row.name}: {_reached(row.answer.best)}"
        if row.behind is not None:
            text += f"; {points(row.behind)} points"
            if row.behind_interval is not None:
                text += f" (95 % interval {bounds(row.behind_interval)}, paired by seed)"
        texts.append(f"{text}.")
    if best is None:
        texts.append(
            "Some of these accuracies are on validation and some on test: they are not compared, and"
            " there is no best of all."
        )
    elif any(row.behind is not None for row in rows):
        texts.append(
            "The best of each study was chosen by these numbers, so differences between the"
            " chosen candidates look larger than they are."
        )
    lengths = {row.name: _length(row.results) for row in rows}
    if len(set(lengths.values())) > 1:
        listed_lengths = ", ".join(f"{name} {length}" for name, length in lengths.items())
        texts.append(f"The trainings of these studies differ in length: {listed_lengths}.")
    return texts


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
        "Accuracy in %, means over seeds, with 95 % intervals. For studies that confirm their front,"
        " the means are over the fresh seeds. Hypervolume is the area of accuracy × log10 parameters."
        " Its reference point is chance and the largest budget."
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


def growths(studies: list[Results]) -> dict[str, Growth]:
    """The growth of the hypervolume of each study, by name and sampler, for the same reference
    point. Empty if a study has no budget of parameters."""
    max_params = _budget(studies)
    if max_params is None:
        return {}
    by_name = {
        f"{results.name} ({results.study.file.search.sampler})": growth(
            results, _point(results, max_params)
        )
        for results in studies
    }
    return {name: curve for name, curve in by_name.items() if curve is not None}


def _differences(first: Results, other: Results) -> Iterator[Problem]:
    for name, here, there in first.description.data.differences(other.description.data):
        if name not in _ELSEWHERE:
            yield Problem(
                f"{other.name} cannot be compared with {first.name}: data.{name} is"
                f" {json.dumps(there)} there and {json.dumps(here)} here, so"
                " they were not measured on the same images",
                other.study.path,
            )


def _best(rows: list[Row]) -> Row | None:
    """The row with the highest accuracy. None if there is none, or if accuracies are on different
    parts of the data."""
    answered = [row for row in rows if row.answer is not None]
    if len({row.answer.best.part for row in answered if row.answer is not None}) > 1:
        return None
    return max(
        answered, key=lambda row: row.answer.best.accuracy if row.answer else 0, default=None
    )


def _compared_with_best(row: Row, best: Row) -> Row:
    if row is best or row.answer is None or best.answer is None:
        return row
    choice, best_choice = row.answer.best, best.answer.best
    trials, rivals = _trials(row, choice), _trials(best, best_choice)
    seeds = {entry.seed for entry in trials} & {entry.seed for entry in rivals}
    if not seeds:
        return row
    difference, interval = paired.difference(
        row.results, trials, rivals, lambda entry: entry.result, choice.part
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


def _budget(studies: list[Results]) -> float | None:
    limits = [results.study.space.budget.params.max for results in studies]
    maxima = [limit for limit in limits if limit is not None]
    return max(maxima) if len(maxima) == len(limits) else None


def _hypervolume(results: Results, max_params: float) -> float:
    table = results.sound
    return pareto.hypervolume(table.val_accuracy, table.params, *_point(results, max_params))


def _point(results: Results, max_params: float) -> tuple[float, float]:
    return 1 / results.study.space.architecture.classes, max_params


def _length(results: Results) -> str:
    recipe = results.study.file.recipe
    return f"{recipe.length:,g} {'multiply-adds' if recipe.unit == 'macs' else recipe.unit}"


def _reached(choice: Recommended) -> str:
    low, high = choice.interval
    return (
        f"{in_percent(choice.accuracy)} on {PARTS[choice.part]} (95 % interval {percent(low)} to {percent(high)}), with"
        f" {choice.params:,} parameters, {choice.macs:,} MACs and {choice.executions:,} executions"
    )


def chart(studies: Sequence[Results], cost: str) -> Chart | None:
    """The candidates of each study and its front. None if nothing is complete."""
    with_candidates = [results for results in studies if len(results.candidates)]
    if not with_candidates:
        return None
    series: list[Series] = []
    drawn = whole = 0
    is_crowded = sum(len(results.candidates) for results in with_candidates) > WITH_BARS
    for number, (results, colour) in enumerate(zip(studies, cycle(len(studies)), strict=True)):
        if len(results.candidates) == 0:
            continue
        table = results.candidates.sort_values([cost, "executions"])
        selected, on_front = candidates.thinned(table, candidates.on_front(results, table, cost))
        drawn, whole = drawn + len(selected), whole + len(table)
        series += _candidates_of(results, selected, on_front, cost, colour, number, is_crowded)
    axis = cost_axis(
        np.concatenate([r.candidates[cost].to_numpy(float) for r in with_candidates]), LABELS[cost]
    )
    left_out = candidates.drawn_note(drawn, whole)
    points = [plotted for plotted in series if plotted.kind == "points"]
    y, low, high = (
        np.concatenate([np.asarray(getattr(plotted, name), float) for plotted in points])
        for name in ("y", "low", "high")
    )
    span = accuracy_range(y, low[~np.isnan(low)], high[~np.isnan(high)])
    bars_note = "; only candidates on a front have bars" if is_crowded else ""
    return Chart(
        name=f"accuracy_{cost}",
        title=f"Accuracy against {LABELS[cost].replace(' (MACs)', '').split(' (')[0]}{left_out}",
        caption="Validation accuracy of each candidate, the mean over its seeds, with its 95 % interval,"
        f" and the front of each study{left_out}{bars_note}.",
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
