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
from sret_search.reporting.analyses.contrasts.numbers import HALF_POINT, Contrasted, Over, contrasts
from sret_search.reporting.formatting import PARTS, bounds, in_percent, percent, points
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, rows
from sret_search.reporting.render.colours import BLUE, ORANGE
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.verdict import NO_DIFFERENCE, certainty

_COLUMNS = (
    Column("contrast", "wrap"), Column("pairs"), Column("seeds"), Column("first"), Column("second"),
    Column("difference, for other seeds"), Column("for other images too"), *P_COLUMNS,
    Column("finding", "wrap"), Column("significant in 80 % of studies, points"), Column("seeds for 0.5 points"),
)  # fmt: skip


def analyse(results: Results) -> Analysis:
    """The contrasts of the study, in its order."""
    contrasted = results.once(contrasts)
    return Analysis(
        sentences=sentences(contrasted),
        charts=drawn(chart(contrasted)),
        blocks=[_block(contrasted)] if contrasted else [],
        facts={"contrasts": [_facts(contrast) for contrast in contrasted]},
        compares=bool(contrasted),
    )


def chart(contrasted: list[Contrasted]) -> Chart | None:
    """The difference of each contrast that has an interval. None if no contrast has an interval."""
    with_interval = [
        contrast
        for contrast in contrasted
        if contrast.certainty is not None and not contrast.tested.is_closed
    ]
    if not with_interval:
        return None
    series = (
        _series(with_interval, "over_seeds", "other seeds, these images", BLUE, -0.12),
        _series(with_interval, "over_both", "other seeds and images", ORANGE, 0.12),
    )
    return Chart(
        name="contrasts",
        title="Contrasts that the study declares",
        caption="Test accuracy of the first value minus that of the second, a mean over seeds and over"
        " the pairs of candidates that differ in nothing else, with the 95 % interval of each"
        " contrast alone, not corrected for the number of contrasts.",
        bars="Bars: 95 % intervals over what the legend says.",
        panels=(
            Panel(
                x=Axis("difference of test accuracy, points", line=0),
                y=rows([contrast.name for contrast in with_interval]),
                series=tuple(contrast for contrast in series if contrast is not None),
            ),
        ),
        height=2.2 + 0.5 * len(with_interval),
    )


def _series(
    contrasted: list[Contrasted], name: str, label: str, colour: str, offset: float
) -> Series | None:
    """The intervals of one kind. None if no contrast has an interval of this kind."""
    placed = [(i, contrast, getattr(contrast, name)) for i, contrast in enumerate(contrasted)]
    placed = [(i, contrast, over) for i, contrast, over in placed if over is not None]
    if not placed:
        return None
    return Series(
        name=f"for {label}",
        kind="points",
        x=[100 * (contrast.difference or 0.0) for _, contrast, _ in placed],
        y=[i + offset for i, _, _ in placed],
        left=[100 * over.interval[0] for *_, over in placed],
        right=[100 * over.interval[1] for *_, over in placed],
        colour=colour,
        hover=[
            f"{contrast.name}\n{100 * (contrast.difference or 0.0):+.2f} points"
            f" ({100 * over.interval[0]:+.2f} to {100 * over.interval[1]:+.2f})\n"
            f"{contrast.seeds} seeds, {contrast.pairs} pair{'s' if contrast.pairs > 1 else ''};"
            f" p = {over.p:.2g}\n{contrast.verdict} (p = {contrast.tested.p_holm:.2g} after Holm)"
            for _, contrast, over in placed
        ],
    )


def sentences(contrasted: list[Contrasted]) -> list[str]:
    """A sentence for each contrast: its result, the certainty, and the seeds that a verdict would
    take."""
    return [_sentence(contrast) for contrast in contrasted]


def _sentence(contrast: Contrasted) -> str:
    if contrast.difference is None:
        return f"{contrast.name}: {contrast.verdict}{_lost(contrast)}."
    over = f"over {contrast.seeds} seed{'s' if contrast.seeds > 1 else ''}"
    if contrast.pairs > 1:
        over += f" and {contrast.pairs} pairs of candidates that differ in nothing else"
    text = (
        f"{contrast.name}: {in_percent(contrast.of_accuracy)} and {in_percent(contrast.against_accuracy)} on"
        f" {PARTS[contrast.part]} {over}, {points(contrast.difference)} points{_lost(contrast)}"
    )
    if contrast.tested.is_closed:
        return f"{text}: {contrast.verdict}; no verdict."
    deciding = contrast.certainty
    if deciding is None:
        return f"{text}; one seed, no interval and no verdict."
    population = (
        "for other seeds and images" if contrast.over_both else "for other seeds on these images"
    )
    return (
        f"{text} (95 % interval {population} {bounds(deciding.interval)}): {contrast.verdict}"
        f" ({certainty(contrast.tested, 'contrasts')}). {_power(contrast, deciding)}"
    )


def _lost(contrast: Contrasted) -> str:
    if not contrast.lost:
        return ""
    pairs = "1 pair" if contrast.lost == 1 else f"{contrast.lost} pairs"
    return f", without {pairs} of which a training diverged or failed"


def _power(contrast: Contrasted, deciding: Over) -> str:
    """A sentence on power: the difference that gets a verdict, and the seeds that another takes."""
    seeds_for_measured, seeds_for_half_point = deciding.needed
    first_step = f" at the first step of Holm's correction (p < 0.05 / {contrast.tested.tests})"
    text = (
        f"With {contrast.seeds} seeds, a true difference of {100 * deciding.detectable:.1f} points is"
        f" significant in 80 % of studies{first_step if contrast.tested.tests > 1 else ''}; half a point"
        f" needs {_seeds(seeds_for_half_point)}"
    )
    difference = abs(contrast.difference or 0.0)
    if contrast.verdict == NO_DIFFERENCE and difference >= HALF_POINT / 10:
        text += f", and the {100 * difference:.1f} points measured here need {_seeds(seeds_for_measured)}"
    return f"{text}."


def _seeds(needed: int | None) -> str:
    return "other images, not only more seeds" if needed is None else f"{needed:,} seeds"


def _block(contrasted: list[Contrasted]) -> Block:
    note = (
        "Differences of test accuracy in points: means over seeds and over the pairs of candidates that"
        " differ in nothing else. If a contrast was declared after the results, its difference is on"
        " validation. The first interval is for other seeds on these images. The second is for other"
        " seeds and other images (crossed components of variance). Both use Student's t, with degrees"
        " of freedom equal to the number of seeds minus 1. p is for the wider claim that can be made."
    )
    note += family_note([contrast.tested for contrast in contrasted], "contrasts")
    note += (
        " The last two columns: the true difference that is significant in 80 % of studies, at the level"
        " of the first step of that correction, and the number of seeds with which half a point is."
    )
    table = Table(_COLUMNS, [_row(contrast) for contrast in contrasted])
    return Block("Contrasts", "contrasts", notes=[note], table=table)


def _row(contrast: Contrasted) -> tuple[str, ...]:
    difference = "" if contrast.difference is None else points(contrast.difference)
    if contrast.over_seeds is not None:
        difference += f" ({bounds(contrast.over_seeds.interval)})"
    detectable = needed = ""
    if contrast.certainty is not None and not contrast.tested.is_closed:
        detectable = f"{100 * contrast.certainty.detectable:.1f}"
        _, seeds_for_half_point = contrast.certainty.needed
        needed = "none is enough" if seeds_for_half_point is None else f"{seeds_for_half_point:,}"
    return (
        isolated(contrast.name),
        f"{contrast.pairs}{f' ({contrast.lost} lost)' if contrast.lost else ''}",
        str(contrast.seeds),
        percent(contrast.of_accuracy),
        percent(contrast.against_accuracy),
        difference,
        "" if contrast.over_both is None else bounds(contrast.over_both.interval),
        *p_cells(contrast.tested),
        contrast.verdict,
        detectable,
        needed,
    )


def _facts(contrast: Contrasted) -> dict[str, Any]:
    deciding = contrast.certainty
    overs = {
        name: None if over is None
        else dataclasses.asdict(over) | {"p_holm": contrast.tested.p_holm if over is deciding else None}
        for name, over in (("over_seeds", contrast.over_seeds), ("over_both", contrast.over_both))
    }  # fmt: skip
    return {"name": contrast.name} | fields(contrast, "tested") | contrast.tested.plain() | overs | {
        "verdict": contrast.verdict
    }  # fmt: skip
