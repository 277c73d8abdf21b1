"""Accuracy against a cost: each candidate with its interval, and the Pareto front."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sret_search.reporting.charts import candidates
from sret_search.reporting.charts.chart import Axis, Chart, Panel, Scale, Series
from sret_search.reporting.charts.colours import RED
from sret_search.reporting.results import Results
from sret_search.search import front

LABELS = {
    "params": "parameters",
    "macs": "multiply-adds (MACs) of one image",
    "train_macs": "multiply-adds (MACs) of one training",
    "executions": "executions (unique blocks × loops)",
}
"""What a cost counts."""


def chart(results: Results, cost: str) -> Chart | None:
    """Validation accuracy of each candidate against a cost, with the Pareto front; None where
    nothing is complete."""
    if not len(results.candidates):
        return None
    every = results.candidates.sort_values([cost, "executions"])
    table, on_front = candidates.thinned(every, front.pareto(every.val_accuracy, every[cost]))
    low, high = candidates.whiskers(results, table)
    costs, y = table[cost].to_numpy(float), 100 * table.val_accuracy.to_numpy(float)
    x = _side_by_side(costs)
    ended = results.searched[results.searched.state != "running"][cost].to_numpy(float)
    axis = cost_axis(ended, LABELS[cost])
    label = axis.label
    if not np.array_equal(x, costs):
        label += " (equal ones stand side by side)"
    hover = candidates.hover(results, table, low, high)
    bottom = _below(100 * low, 100 * high)
    points = Series(
        name="candidate", kind="points", x=x, y=y, low=100 * low, high=100 * high,
        shades=table.executions.to_numpy(float), hover=hover,
    )  # fmt: skip
    member = np.flatnonzero(on_front)
    reached = np.maximum.accumulate(y[member])
    steps = Series(
        name="Pareto front of the means", kind="step", colour=RED, group="front",
        x=np.append(x[member], max(x.max(), x[member][-1])), y=np.append(reached, reached[-1]),
    )  # fmt: skip
    rings = Series(
        name="on the front", kind="points", x=x[member], y=y[member], colour=RED, hollow=True,
        size=11, legend=False, group="front", hover=[hover[i] for i in member],
    )  # fmt: skip
    what = LABELS[cost].split(" (")[0]
    drawn = candidates.how_many(len(table), len(every))
    return Chart(
        name=f"accuracy_{cost}",
        title=f"{results.name}: accuracy against {what}{drawn}",
        caption=f"Validation accuracy of each candidate, the mean over its seeds, with its 95 % interval;"
        f" the front is of means{drawn}.",
        panels=(
            Panel(
                x=Axis(label, log=axis.log, range=axis.range),
                y=Axis("validation accuracy in %"),
                series=(steps, points, rings, *candidates.lost(results, cost, bottom)),
                scale=scale(table.executions),
            ),
        ),
    )


def cost_axis(values: np.ndarray, label: str) -> Axis:
    """An axis for costs: logarithmic where they differ."""
    low, high = float(values.min()), float(values.max())
    if high > 1.2 * low:
        edge = (high / low) ** 0.06
        return Axis(label, log=True, range=(low / edge, high * edge))
    # All but the same: a narrow axis would make differences that are none.
    return Axis(label, range=(low * 0.5, high * 1.5))


def scale(executions: pd.Series) -> Scale:
    """Colours for executions."""
    low, high = float(executions.min()), float(executions.max())
    if low == high:
        return Scale("executions", low - 1, high + 1)
    return Scale("executions", low, high, log=True)


def _below(low: np.ndarray, high: np.ndarray) -> float:
    """A place below all intervals."""
    return float(low.min() - 0.05 * max(high.max() - low.min(), 1.0))


def _side_by_side(costs: np.ndarray) -> np.ndarray:
    """Places for points in ascending order of cost, where equal costs would hide each other."""
    x = costs.copy()
    for value in np.unique(costs):
        same = np.flatnonzero(costs == value)
        step = min(0.03, 0.3 / len(same))
        x[same] = value * (1 + step * (np.arange(len(same)) - (len(same) - 1) / 2))
    return x
