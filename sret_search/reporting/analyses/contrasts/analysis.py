"""Contrasts in a report: differences of two values of an axis, a row for each."""

from __future__ import annotations

import dataclasses
from typing import Any

from sret_search.reporting.analyses.base import (
    P_COLUMNS,
    Analysis,
    Block,
    Column,
    Table,
    drawn,
    family_note,
    fields,
    isolated,
    p_cells,
)
from sret_search.reporting.analyses.contrasts.numbers import ASKED, Contrasted, Over, contrasts
from sret_search.reporting.formatting import PARTS, bounds, in_percent, percent, points
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, rows
from sret_search.reporting.render.colours import BLUE, ORANGE
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.verdict import NOT_TOLD, certainty

_COLUMNS = (
    Column("contrast", "wrap"), Column("pairs"), Column("seeds"), Column("first"), Column("second"),
    Column("difference, for other seeds"), Column("for other images too"), *P_COLUMNS,
    Column("finding", "wrap"), Column("seen in 80 %, points"), Column("seeds for 0.5 points"),
)  # fmt: skip


def analyse(results: Results) -> Analysis:
    """The contrasts of the study, in its order."""
    every = results.once(contrasts)
    return Analysis(
        sentences=sentences(every),
        charts=drawn(chart(every)),
        blocks=[_block(every)] if every else [],
        facts={"contrasts": [_facts(contrast) for contrast in every]},
        compares=bool(every),
    )


def chart(found: list[Contrasted]) -> Chart | None:
    """The difference of each contrast that has an interval. None if no contrast has an interval."""
    shown = [
        contrast
        for contrast in found
        if contrast.certainty is not None and not contrast.tested.is_closed
    ]
    if not shown:
        return None
    series = (
        _series(shown, "over_seeds", "other seeds, these images", BLUE, -0.12),
        _series(shown, "over_both", "other seeds and images", ORANGE, 0.12),
    )
    return Chart(
        name="contrasts",
        title="Contrasts that the study declares",
        caption="Test accuracy of the first value less that of the second, a mean over seeds and over"
        " the pairs of candidates that differ in nothing else, with 95 % intervals of each alone, not"
        " corrected for the number of contrasts.",
        bars="Bars: 95 % intervals over what the legend says.",
        panels=(
            Panel(
                x=Axis("difference of test accuracy, points", line=0),
                y=rows([contrast.name for contrast in shown]),
                series=tuple(contrast for contrast in series if contrast is not None),
            ),
        ),
        height=2.2 + 0.5 * len(shown),
    )


def _series(
    shown: list[Contrasted], name: str, label: str, colour: str, offset: float
) -> Series | None:
    """The intervals of one kind. None if no contrast has an interval of this kind."""
    having = [(i, contrast, getattr(contrast, name)) for i, contrast in enumerate(shown)]
    having = [(i, contrast, over) for i, contrast, over in having if over is not None]
    if not having:
        return None
    return Series(
        name=f"for {label}",
        kind="points",
        x=[100 * (contrast.difference or 0.0) for _, contrast, _ in having],
        y=[i + offset for i, _, _ in having],
        left=[100 * over.interval[0] for *_, over in having],
        right=[100 * over.interval[1] for *_, over in having],
        colour=colour,
        hover=[
            f"{contrast.name}\n{100 * (contrast.difference or 0.0):+.2f} points"
            f" ({100 * over.interval[0]:+.2f} to {100 * over.interval[1]:+.2f})\n"
            f"{contrast.seeds} seeds, {contrast.pairs} pair{'s' if contrast.pairs > 1 else ''};"
            f" p = {over.p:.2g}\n{contrast.verdict} (p = {contrast.tested.p_holm:.2g} after Holm)"
            for _, contrast, over in having
        ],
    )


def sentences(found: list[Contrasted]) -> list[str]:
    """A sentence for each contrast: its result, the certainty, and the seeds that a verdict would
    take."""
    return [_sentence(contrast) for contrast in found]


def _sentence(one: Contrasted) -> str:
    if one.difference is None:
        return f"{one.name}: {one.verdict}{_lost(one)}."
    over = f"over {one.seeds} seed{'s' if one.seeds > 1 else ''}"
    if one.pairs > 1:
        over += f" and {one.pairs} pairs of candidates that differ in nothing else"
    text = (
        f"{one.name}: {in_percent(one.of_accuracy)} and {in_percent(one.against_accuracy)} on"
        f" {PARTS[one.part]} {over}, {points(one.difference)} points{_lost(one)}"
    )
    if one.tested.is_closed:
        return f"{text}: {one.verdict}; no verdict."
    sure = one.certainty
    if sure is None:
        return f"{text}; one seed, no interval and no verdict."
    what = "for other seeds and images" if one.over_both else "for other seeds on these images"
    return (
        f"{text} (95 % interval {what} {bounds(sure.interval)}): {one.verdict}"
        f" ({certainty(one.tested, 'contrasts')}). {_power(one, sure)}"
    )


def _lost(one: Contrasted) -> str:
    if not one.lost:
        return ""
    pairs = "1 pair" if one.lost == 1 else f"{one.lost} pairs"
    return f", without {pairs} of which a training diverged or failed"


def _power(one: Contrasted, own: Over) -> str:
    """A sentence on power: the difference that gets a verdict, and the seeds that another takes."""
    seen, asked = own.needed
    first = f" at the first step of Holm's correction (p < 0.05 / {one.tested.tests})"
    text = (
        f"With {one.seeds} seeds a true difference of {100 * own.detectable:.1f} points gets this"
        f" verdict in 80 % of studies{first if one.tested.tests > 1 else ''}; half a point takes"
        f" {_seeds(asked)}"
    )
    difference = abs(one.difference or 0.0)
    if one.verdict == NOT_TOLD and difference >= ASKED / 10:
        text += f", and the {100 * difference:.1f} points seen here {_seeds(seen)}"
    return f"{text}."


def _seeds(needed: int | None) -> str:
    return "other images, not only more seeds" if needed is None else f"{needed:,} seeds"


def _block(found: list[Contrasted]) -> Block:
    note = (
        "Differences of test accuracy in points, means over seeds and over the pairs of candidates that"
        " differ in nothing else; of a contrast that was declared after the results, on validation."
        " The first interval is for other seeds on these images, the second for other seeds and other"
        " images (crossed components of variance); both are Student's t with one degree of freedom"
        " fewer than seeds. p is of the wider claim that can be made."
    )
    note += family_note([contrast.tested for contrast in found], "contrasts")
    note += (
        " The last columns say which true difference gets its verdict in 80 % of studies, by the level"
        " of the first step of that correction, and with how many seeds half a point would."
    )
    table = Table(_COLUMNS, [_row(contrast) for contrast in found])
    return Block("Contrasts", "contrasts", notes=[note], table=table)


def _row(one: Contrasted) -> tuple[str, ...]:
    difference = "" if one.difference is None else points(one.difference)
    if one.over_seeds is not None:
        difference += f" ({bounds(one.over_seeds.interval)})"
    detectable = needed = ""
    if one.certainty is not None and not one.tested.is_closed:
        detectable = f"{100 * one.certainty.detectable:.1f}"
        _, asked = one.certainty.needed
        needed = "none is enough" if asked is None else f"{asked:,}"
    return (
        isolated(one.name),
        f"{one.pairs}{f' ({one.lost} lost)' if one.lost else ''}",
        str(one.seeds),
        percent(one.of_accuracy),
        percent(one.against_accuracy),
        difference,
        "" if one.over_both is None else bounds(one.over_both.interval),
        *p_cells(one.tested),
        one.verdict,
        detectable,
        needed,
    )


def _facts(one: Contrasted) -> dict[str, Any]:
    deciding = one.certainty
    overs = {
        name: None if over is None
        else dataclasses.asdict(over) | {"p_holm": one.tested.p_holm if over is deciding else None}
        for name, over in (("over_seeds", one.over_seeds), ("over_both", one.over_both))
    }  # fmt: skip
    return {"name": one.name} | fields(one, "tested") | one.tested.plain() | overs | {
        "verdict": one.verdict
    }  # fmt: skip
