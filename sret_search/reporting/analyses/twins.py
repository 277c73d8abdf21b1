"""Candidates compared with their twins: the worth of recursion at equal parameters or compute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sret_search.config.controls import CONTROLS
from sret_search.reporting.analyses.base import (
    P_COLUMNS,
    Analysis,
    Block,
    Column,
    Table,
    difference_cell,
    drawn,
    family_note,
    fields,
    p_cells,
)
from sret_search.reporting.formatting import PARTS, in_percent, percent, points
from sret_search.reporting.recommendation import answer
from sret_search.reporting.render.chart import (
    Axis,
    Chart,
    Marker,
    Panel,
    Series,
    ends,
    percents,
    rows,
)
from sret_search.reporting.render.colours import BLUE, GREEN, ORANGE, PURPLE, SKY
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired
from sret_search.reporting.statistics.verdict import Comparison, family, verdict_note
from sret_search.search.controls import beside
from sret_search.space.twins import TOLERANCE, Twin
from sret_search.trials.trial import TrialRecord, by_candidate

_LOOKS: tuple[tuple[str, Marker], ...] = (
    (BLUE, "circle"), (ORANGE, "square"), (GREEN, "triangle"), (SKY, "diamond"), (PURPLE, "down"),
)  # fmt: skip
TWINS = [name for name, control in CONTROLS.items() if control.trains]
LOOKS = dict(zip(TWINS, _LOOKS, strict=True))
"""The colour and marker of each kind of twin."""
_ROWS = 12
_COLUMNS = (
    Column("candidate", "word"), Column("executions"), Column("twin", "word"),
    Column("its executions"), Column("its parameters"), Column("its MACs"),
    Column("its training MACs"), Column("seeds"), Column("candidate"), Column("twin"),
    Column("difference, points"), *P_COLUMNS, Column("the candidate is", "wrap"),
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A candidate and a twin of it. Accuracies are means over seeds, as fractions.

    Attributes:
        executions, params, macs, train_macs: properties of the twin.
        matched: the cost that should be equal.
        gap: relative difference by which this cost of the twin is larger.
        part: part of the data on which they are compared: "test" for arms, otherwise "val". Also
            "val" if the candidate or the twin was declared after the results.
        difference: accuracy of the candidate minus that of its twin.
    """

    candidate: str
    candidate_executions: int
    control: str
    twin: str
    executions: int
    params: int
    macs: int
    train_macs: int
    matched: str | None
    gap: float
    part: str
    accuracy: float
    twin_accuracy: float
    seeds: int
    difference: Comparison

    @property
    def is_matched(self) -> bool:
        """Whether the cost that should be equal is equal, within a tolerance."""
        return abs(self.gap) <= TOLERANCE

    @property
    def verdict(self) -> str:
        """The verdict on the candidate against its twin, in words."""
        is_unpaired = self.seeds == 0 and not self.difference.is_closed
        return "no pair of seeds" if is_unpaired else self.difference.verdict


def pairs(results: Results) -> list[Pair]:
    """Every pair of a candidate and a twin that both have a complete trial, sorted by
    executions."""
    if not any(CONTROLS[control].trains for control in results.study.file.controls):
        return []
    by_name = by_candidate(results.complete)
    trained = results.having("twin") | by_name
    firsts = {entry.candidate: entry for entry in reversed(results.comparable)}
    compared, missing = [], 0
    for name, its_twins in beside(results.study, firsts.values(), results.entries).items():
        for twin in its_twins:
            trials, rivals = by_name.get(name), trained.get(twin.candidate.name)
            if trials is None or rivals is None:
                missing += 1
            else:
                compared.append(_pair(results, twin, trials, rivals))
    tests = family([pair.difference for pair in compared], missing)
    compared = [replace(pair, difference=test) for pair, test in zip(compared, tests, strict=True)]
    return sorted(compared, key=lambda pair: pair.candidate_executions)


def _pair(
    results: Results, twin: Twin, trials: list[TrialRecord], rivals: list[TrialRecord]
) -> Pair:
    part, cost = paired.part(results), rivals[0].cost
    if part == "test" and paired.is_closed(results, [*trials, *rivals]):
        part, difference = "val", paired.on_validation(results, trials, rivals)
    else:
        difference = paired.compared(results, trials, rivals, part)
    return Pair(
        candidate=trials[0].candidate,
        candidate_executions=trials[0].cost["executions"],
        control=twin.control,
        twin=twin.candidate.name,
        executions=cost["executions"],
        params=cost["params"],
        macs=cost["macs"],
        train_macs=cost["train_macs"],
        matched=twin.matched,
        gap=twin.gap,
        part=part,
        accuracy=_mean(trials, part),
        twin_accuracy=_mean(rivals, part),
        seeds=difference.seeds,
        difference=difference,
    )


def _mean(entries: list[TrialRecord], part: str) -> float:
    return float(np.mean([entry.result.accuracy(part) for entry in entries]))


def analyse(results: Results) -> Analysis:
    """The candidates compared with their twins."""
    compared, best = results.once(pairs), results.once(answer)
    return Analysis(
        sentences=[] if best is None else sentences(compared, best.best.candidate),
        charts=drawn(chart(compared)),
        blocks=[_block(compared)] if compared else [],
        facts={"twins": [_facts(pair) for pair in compared]},
        compares=bool(compared),
    )


def chart(compared: list[Pair]) -> Chart | None:
    """The difference of each candidate to each of its twins, for the most accurate candidates. None
    if there are no twins."""
    by_candidate: dict[str, list[Pair]] = {}
    for pair in compared:
        by_candidate.setdefault(pair.candidate, []).append(pair)
    best = sorted(by_candidate.values(), key=lambda group: -group[0].accuracy)[:_ROWS]
    drawn = sorted(best, key=lambda group: group[0].candidate_executions)
    kinds = [kind for kind in LOOKS if any(pair.control == kind for pair in compared)]
    series = [
        _series(kind, drawn, (place - (len(kinds) - 1) / 2) / (len(kinds) + 1))
        for place, kind in enumerate(kinds)
    ]
    plotted = tuple(of_kind for of_kind in series if len(of_kind.x))
    if not plotted:
        return None
    left_out = len(by_candidate) - len(drawn)
    selection = f" (the best {len(drawn)} of {len(by_candidate)})" if left_out else ""
    hollow = (
        ""
        if all(pair.is_matched for pair in compared)
        else " Hollow: the cost of the twin differs by more than 2 %."
    )
    names = [
        f"{group[0].candidate_executions:,} executions ({group[0].candidate})" for group in drawn
    ]
    return Chart(
        name="twins",
        title=f"Candidates compared with their twins{selection}",
        caption="Accuracy of a candidate minus that of its twin, which runs no weights twice, paired by"
        " seed, with the 95 % interval of each difference alone. Right of 0 the candidate is more"
        f" accurate; the corrected p-values in the table decide whether it is better.{hollow}",
        panels=(
            Panel(
                x=Axis(
                    f"{' or '.join(sorted({PARTS[pair.part] for pair in compared}))} accuracy minus that of its twin, points",
                    line=0,
                ),
                y=rows(names),
                series=plotted,
            ),
        ),
        height=2.2 + 0.2 * len(drawn) * (len(kinds) + 1),
    )


def _series(kind: str, drawn: list[list[Pair]], offset: float) -> Series:
    """All twins of a kind. `offset` is the distance of a twin's point from the middle of its
    candidate's row."""
    placed = [
        (place + offset, pair)
        for place, group in enumerate(drawn)
        for pair in group
        if pair.control == kind and pair.difference.difference is not None
    ]
    colour, marker = LOOKS[kind]
    gains = percents([pair.difference.difference for _, pair in placed])
    left, right = ends([pair.difference.interval for _, pair in placed])
    has_interval = not np.isnan(left).all()
    return Series(
        f"{kind}: {CONTROLS[kind].label}", "points", gains, [place for place, _ in placed],
        left=left if has_interval else None, right=right if has_interval else None,
        colour=colour, marker=marker, hollow=[not pair.is_matched for _, pair in placed],
        hover=[
            f"{pair.candidate}\n{kind} twin: {pair.twin}\n{pair.params:,} parameters, {pair.macs:,} MACs,"
            f" {pair.train_macs:.3g} of training\n"
            f"{100 * pair.accuracy:.1f} % minus {100 * pair.twin_accuracy:.1f} %: {gain:+.2f} points"
            + (f" ({below:+.2f} to {above:+.2f})" if np.isfinite(below) else "")
            + f", {pair.seeds} seed{'s' if pair.seeds != 1 else ''}: {pair.verdict}"
            for (_, pair), gain, below, above in zip(placed, gains, left, right, strict=True)
        ],
    )  # fmt: skip


def sentences(compared: list[Pair], best: str) -> list[str]:
    """Sentences that compare the best candidate with its twins. If it has none, the deepest
    candidate that has twins is compared."""
    if not compared:
        return []
    twins = [pair for pair in compared if pair.candidate == best]
    twins = twins or [pair for pair in compared if pair.candidate == compared[-1].candidate]
    texts = []
    for pair in twins:
        if pair.difference.difference is None:
            continue
        part = PARTS[pair.part]
        text = (
            f"{pair.candidate_executions:,} executions compared with the same candidate {CONTROLS[pair.control].words}"
            f" ({pair.params:,} parameters, {pair.macs:,} MACs): {in_percent(pair.accuracy)} and"
            f" {in_percent(pair.twin_accuracy)} on {part}, {points(pair.difference.difference)} points"
        )
        text += verdict_note(pair.difference, "twins")
        if not pair.is_matched:
            text += f"; the twin's {pair.matched} differ by {100 * pair.gap:+.0f} %"
        texts.append(f"{text}.")
    return texts


def _block(compared: list[Pair]) -> Block:
    parts = " or ".join(dict.fromkeys(PARTS[pair.part] for pair in compared)).capitalize()
    note = (
        f"{parts} accuracy in %, means over seeds. None of the twins runs any weights twice."
        " Differences (candidate minus twin) are in points, paired by seed, with 95 % intervals. A cost"
        " that should be equal is equal within 2 %, unless the table gives its difference."
    )
    return Block(
        heading="Twins",
        name="twins",
        notes=[note + family_note([pair.difference for pair in compared], "twins")],
        table=Table(_COLUMNS, [_row(pair) for pair in compared]),
    )


def _row(pair: Pair) -> tuple[str, ...]:
    mismatch = "" if pair.is_matched else f" ({pair.matched} differ by {100 * pair.gap:+.0f} %)"
    return (
        pair.candidate,
        f"{pair.candidate_executions:,}",
        f"{pair.control}{mismatch}",
        f"{pair.executions:,}",
        f"{pair.params:,}",
        f"{pair.macs:,}",
        f"{pair.train_macs:.3g}",
        str(pair.seeds),
        percent(pair.accuracy),
        percent(pair.twin_accuracy),
        difference_cell(pair.difference),
        *p_cells(pair.difference),
        pair.verdict,
    )


def _facts(pair: Pair) -> dict[str, Any]:
    return fields(pair, "difference") | pair.difference.plain() | {"verdict": pair.verdict}
