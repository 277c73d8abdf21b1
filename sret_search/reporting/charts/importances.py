"""Which axes decide whether a candidate is one of the best."""

from __future__ import annotations

import numpy as np

from sret_search.reporting.charts.chart import Axis, Chart, Panel, Series
from sret_search.reporting.charts.colours import BLUE, ORANGE
from sret_search.reporting.charts.rows import rows
from sret_search.reporting.importances import BEST, LEVEL, Importances

_ROWS = 20


def chart(importances: Importances | None) -> Chart | None:
    """The share of each axis, and what chance gives it; None where there are none."""
    if importances is None:
        return None
    axes = importances.axes[:_ROWS]
    places = np.arange(len(axes), dtype=float)
    shares = [100 * one.share for one in axes]
    chance = [100 * one.by_chance for one in axes]
    looked_at = f"{importances.looked_at:,}"
    if importances.looked_at < importances.candidates:
        looked_at += f" of {importances.candidates:,}"
    some = (
        f" (the largest {len(axes)} of {len(importances.axes)})"
        if len(axes) < len(importances.axes)
        else ""
    )
    return Chart(
        name="importances",
        title=f"Importance of each axis{some}",
        caption="How much the values of an axis among the most accurate"
        f" {100 * BEST:g} % of {looked_at} candidates differ from those among all"
        " (PED-ANOVA, as a share of the sum over axes; means over seeds). It is of each axis alone,"
        " of the values that were tried, and says nothing of the direction."
        f" {importances.standing_out} of {len(importances.axes)} axes reach beyond their marks. Where"
        f" accuracies are dealt at random, any does so in 1 study of {1 / LEVEL:.0f}; the others may be"
        " chance.",
        panels=(
            Panel(
                x=Axis("share of importance in %"),
                y=rows([one.axis for one in axes]),
                series=(
                    Series(
                        "importance", "bars", shares, places, colour=BLUE,
                        hover=[f"{one.axis}\n{share:.1f} %\nby chance up to {limit:.1f} %"
                               for one, share, limit in zip(axes, shares, chance, strict=True)],
                    ),
                    Series(
                        "by chance up to", "points", chance, places, colour=ORANGE, marker="diamond",
                        hover=[f"{one.axis}\nby chance up to {limit:.1f} %"
                               for one, limit in zip(axes, chance, strict=True)],
                    ),
                ),
            ),
        ),
        height=1.8 + 0.36 * len(axes),
    )  # fmt: skip
