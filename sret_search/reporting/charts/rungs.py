"""Trials at the rungs of a scheduler: which it stopped, and which it let go on."""

from __future__ import annotations

import numpy as np

from sret_search.reporting.charts.candidates import DRAWN, how_many
from sret_search.reporting.charts.chart import Axis, Chart, Panel, Series
from sret_search.reporting.charts.colours import BLUE, ORANGE
from sret_search.reporting.rung_results import AtRung


def chart(found: list[AtRung]) -> Chart | None:
    """Validation accuracy at each rung, stopped ones beside the others; None where nothing was
    stopped."""
    if not any(one.is_stopped for one in found):
        return None
    some = found
    if len(found) > DRAWN:
        some = [found[i] for i in np.linspace(0, len(found) - 1, DRAWN).astype(int)]
    rungs = sorted({one.epoch for one in found})
    series = []
    for name, is_stopped, colour, side in (
        ("went on", False, BLUE, 0.12),
        ("stopped here", True, ORANGE, -0.12),
    ):
        own = [one for one in some if one.is_stopped == is_stopped]
        if not own:
            continue
        series.append(
            Series(
                name, "points", [rungs.index(one.epoch) + side for one in own],
                [100 * one.accuracy for one in own], colour=colour, opacity=0.6, size=6,
                marker="cross" if is_stopped else "circle",
                hover=[f"{one.candidate}\ntrial {one.trial}, {one.executions:,} executions\n"
                       f"{100 * one.accuracy:.1f} % after {one.epoch} epochs: {name}" for one in own],
            )
        )  # fmt: skip
    return Chart(
        name="stopped",
        title=f"Trials at the rungs of the scheduler{how_many(len(some), len(found), 'of them')}",
        caption="Validation accuracy of each trial when the scheduler decided on it. What it"
        " stopped is on no front and in no mean.",
        panels=(
            Panel(
                x=Axis(
                    "epochs trained",
                    range=(-0.6, len(rungs) - 0.4),
                    ticks=tuple((float(place), f"{epoch}") for place, epoch in enumerate(rungs)),
                ),
                y=Axis("validation accuracy in %"),
                series=tuple(series),
            ),
        ),
    )
