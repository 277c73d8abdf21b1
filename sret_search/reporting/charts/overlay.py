"""Accuracy against a cost, of several studies, each in a colour of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sret_search.reporting.charts import candidates
from sret_search.reporting.charts.chart import Axis, Chart, Marker, Panel, Series
from sret_search.reporting.charts.colours import cycle
from sret_search.reporting.charts.cost import LABELS, WITH_BARS, accuracy_range, cost_axis
from sret_search.reporting.results import Results

_MARKERS: tuple[Marker, ...] = ("circle", "square", "triangle", "diamond", "down", "star")


def chart(every: Sequence[Results], cost: str) -> Chart | None:
    """The candidates of each study and its front; None where nothing is complete."""
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
        series += _of(results, some, on_front, cost, colour, number, is_crowded)
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


def _of(
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
