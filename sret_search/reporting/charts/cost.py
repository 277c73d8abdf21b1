"""Accuracy against a cost: each candidate with its interval, the Pareto front, and what stands
beside them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sret_search.reporting.charts import attainment, candidates
from sret_search.reporting.charts.chart import Axis, Chart, Panel, Scale, Series, percent
from sret_search.reporting.charts.colours import BLUE, ORANGE, RED
from sret_search.reporting.charts.twins import LOOKS
from sret_search.reporting.comparisons import Compared
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.attainment import attained

LABELS = {
    "params": "parameters",
    "macs": "multiply-adds (MACs) of one image",
    "train_macs": "multiply-adds (MACs) of one training",
    "executions": "executions (unique blocks × loops)",
}
"""What a cost counts."""
WITH_BARS = 150
"""Candidates whose intervals are drawn; those of more hide one another."""


def chart(results: Results, compared: Compared, cost: str) -> Chart | None:
    """Validation accuracy of each candidate against a cost, with the Pareto front; None where
    nothing is complete."""
    if not len(results.candidates):
        return None
    every = results.candidates.sort_values([cost, "executions", "params"])
    table, on_front = candidates.thinned(every, candidates.on_front(results, every, cost))
    low, high = candidates.whiskers(results, table)
    costs, y = table[cost].to_numpy(float), 100 * table.val_accuracy.to_numpy(float)
    x = _side_by_side(costs)
    hover, colours = candidates.hover(results, table, low, high), scale(table.executions)
    is_crowded = len(table) > WITH_BARS
    size = 5.0 if is_crowded else 7.0
    points = Series(
        name="candidate", kind="points", x=x, y=y, colour=BLUE, size=size,
        low=None if is_crowded else 100 * low, high=None if is_crowded else 100 * high,
        shades=table.executions.to_numpy(float) if colours else None, hover=hover,
    )  # fmt: skip
    members = np.flatnonzero(on_front)
    rings = Series(
        name="on the front", kind="points", x=x[members], y=y[members], colour=RED, hollow=True,
        low=100 * low[members], high=100 * high[members], size=size + 4, legend=False,
        group="front", hover=[hover[i] for i in members],
    )  # fmt: skip
    beside = [
        *_twins(results, compared, cost),
        *_reruns(compared, cost, dict(zip(table.executions, x, strict=True))),
    ]
    heights = np.concatenate([y, *(np.asarray(series.y, float) for series in beside)])
    barred = on_front if is_crowded and on_front.any() else slice(None)
    span = accuracy_range(heights, 100 * low[barred], 100 * high[barred])
    lost = candidates.lost(results, cost, span[0])
    ends = [costs, *(np.asarray(series.x, float) for series in (*beside, *lost))]
    axis = cost_axis(np.concatenate(ends), LABELS[cost])
    is_cut = 100 * low[barred].min() < span[0] or 100 * high[barred].max() > span[1]
    which = "; bars are drawn of the front alone" if is_crowded else ""
    cut = "; some reach beyond the edge" if is_cut else ""
    assert axis.range is not None
    of_seeds = attained(results, cost)
    is_drawn = len(members) > 0 and results.measure == "accuracy"
    fronts = [
        *attainment.series(of_seeds, axis.range[1]),
        *([_steps(x[members], y[members], axis.range[1])] if is_drawn else []),
    ]
    moved = " Points of equal cost stand side by side, by their depth, around that cost"
    moved += "." if of_seeds is None else ", where the median front and its band have them."
    note = "" if np.array_equal(x, costs) else moved
    drawn = candidates.how_many(len(table), len(every))
    return Chart(
        name=f"accuracy_{cost}",
        title=f"Accuracy against {LABELS[cost].split(' (')[0]}{_of(cost)}{drawn}",
        caption="Validation accuracy of each candidate, the mean over its seeds, with its 95 %"
        f" interval{which}{cut}. The front is that of mean validation {results.measure}, without"
        f" candidates that lost a seed.{attainment.caption(of_seeds)}{note}",
        panels=(
            Panel(
                x=axis,
                y=Axis("validation accuracy in %", range=span),
                series=(*fronts, *beside, points, rings, *lost),
                scale=colours,
            ),
        ),
        bars=attainment.bars(of_seeds),
    )


def cost_axis(values: np.ndarray, label: str) -> Axis:
    """An axis for costs: logarithmic where they differ."""
    low, high = float(values.min()), float(values.max())
    if high > 1.2 * low:
        edge = (high / low) ** 0.06
        return Axis(label, log=True, range=(low / edge, high * edge))
    # All but the same: a narrow axis would make differences that are none.
    return Axis(label, range=(low * 0.5, high * 1.5))


def accuracy_range(y: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """The ends of an axis of accuracies: all of them are on it, and of their intervals as much as
    leaves them room, since those of two seeds may be ten times as long as all that is of interest."""
    room = max(float(y.max() - y.min()), 1.0)
    bottom, top = max(low.min(), y.min() - room), min(high.max(), y.max() + room)
    margin = 0.05 * max(top - bottom, 1.0)
    return float(min(bottom, y.min()) - margin), float(max(top, y.max()) + margin)


def scale(executions: pd.Series) -> Scale | None:
    """Colours for executions; None where all are equal."""
    low, high = float(executions.min()), float(executions.max())
    return None if low == high else Scale("executions", low, high, log=True)


def _of(cost: str) -> str:
    return {"macs": " of one image", "train_macs": " of one training"}.get(cost, "")


def _steps(x: np.ndarray, y: np.ndarray, end: float) -> Series:
    """The front as far as this cost: what is dearer need not be worse."""
    return Series(
        name="Pareto front of the means", kind="step", colour=RED, group="front",
        x=np.append(x, end), y=np.append(y, y[-1]),
    )  # fmt: skip


def _twins(results: Results, compared: Compared, cost: str) -> list[Series]:
    """The twins of each kind, each once, by their own costs."""
    trained = results.having("twin")
    found = []
    for control, (colour, marker) in LOOKS.items():
        pairs = {pair.twin: pair for pair in compared.pairs if pair.control == control}
        own = [pair for name, pair in pairs.items() if name in trained]
        own = own[:: len(own) // candidates.DRAWN + 1]
        if not own:
            continue
        y = [
            float(np.mean([entry.result["val_accuracy"] for entry in trained[pair.twin]]))
            for pair in own
        ]
        found.append(
            Series(
                name=f"twin: {control}",
                kind="points",
                x=[float(getattr(pair, cost)) for pair in own],
                y=percent(y),
                colour=colour,
                marker=marker,
                hollow=True,
                size=6,
                hover=[
                    f"{pair.twin}\n{control} twin of {pair.candidate}\n{pair.params:,} parameters\n"
                    f"{pair.macs:,} MACs, {pair.train_macs:.3g} of training\n"
                    f"{pair.executions:,} executions\n{100 * accuracy:.1f} %"
                    for pair, accuracy in zip(own, y, strict=True)
                ],
            )
        )
    return found


def _reruns(compared: Compared, cost: str, places: dict[int, float]) -> list[Series]:
    """The reference's weights at the depth of each arm, where this cost is the same for both."""
    reference = next((depth for depth in compared.depths if depth.is_reference), None)
    if reference is None:
        return []
    own = [d for d in compared.depths if d.rerun_val is not None and d.executions in places]
    if not own:
        return []
    # Weights are trained once for all depths that they are run at.
    x = [places[reference.executions if cost == "train_macs" else d.executions] for d in own]
    y = percent([depth.rerun_val for depth in own])
    return [
        Series(
            name=f"rerun control (trained at {reference.executions:,})",
            kind="points",
            x=x,
            y=y,
            colour=ORANGE,
            marker="square",
            hollow=True,
            hover=[
                f"trained at {reference.executions:,} executions\nrerun at {depth.executions:,}\n{value:.1f} %"
                for depth, value in zip(own, y, strict=True)
            ],
        )
    ]


def _side_by_side(costs: np.ndarray) -> np.ndarray:
    """Places for points in ascending order of cost, where equal costs would hide each other."""
    x = costs.copy()
    for value in np.unique(costs):
        same = np.flatnonzero(costs == value)
        step = min(0.03, 0.12 / len(same))
        x[same] = value * (1 + step * (np.arange(len(same)) - (len(same) - 1) / 2))
    return x
