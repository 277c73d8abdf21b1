"""Candidates as charts show them: axes of costs, which are drawn, intervals, what hovering tells."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sret_search.pareto import pareto
from sret_search.reporting.render.chart import Axis, Scale, Series
from sret_search.reporting.render.colours import RED
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import intervals

LABELS = {
    "params": "parameters",
    "macs": "multiply-adds (MACs) of one image",
    "train_macs": "multiply-adds (MACs) of one training",
    "executions": "executions (unique blocks × loops)",
}
"""What a cost counts."""
WITH_BARS = 150
"""Candidates whose intervals are drawn; those of more hide one another."""
DRAWN = 1000
"""Candidates that are drawn, besides the front, where there are more: the eye tells no more apart,
and a page stays one that can be opened."""
_LOST = 200


def thinned(table: pd.DataFrame, on_front: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """The front and an even part of all others, and which of them are the front."""
    others = np.flatnonzero(~on_front)
    if len(others) <= DRAWN:
        return table, on_front
    drawn = on_front.copy()
    drawn[others[np.linspace(0, len(others) - 1, DRAWN).astype(int)]] = True
    return table[drawn], on_front[drawn]


def on_front(results: Results, table: pd.DataFrame, cost: str) -> np.ndarray:
    """Which rows of a table of candidates are on the front of validation and a cost: sound ones
    that no other sound one beats."""
    is_sound = table.candidate.isin(results.sound.candidate).to_numpy()
    found = np.zeros(len(table), bool)
    scores, costs = results.scores(table)[is_sound], table[cost].to_numpy(float)[is_sound]
    found[np.flatnonzero(is_sound)[pareto(list(scores), list(costs))]] = True
    return found


def how_many(drawn: int, every: int, what: str = "candidates") -> str:
    """For a title, where not all are drawn."""
    return "" if drawn == every else f" ({drawn:,} of {every:,} {what} are drawn)"


def whiskers(results: Results, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval of each candidate's mean, in fractions; they hold the mean."""
    images = results.images("val")
    means, seeds = table.val_accuracy.to_numpy(float), table.seeds.to_numpy(float)
    low, high = results.spreads["val"].intervals(means, np.maximum(seeds, 2), table.candidate)
    for i in np.flatnonzero(seeds == 1):
        low[i], high[i] = intervals.proportion(means[i], images)
    return np.minimum(low, means), np.maximum(high, means)


def hover(results: Results, table: pd.DataFrame, low: np.ndarray, high: np.ndarray) -> list[str]:
    """What each candidate is: its name, its axes' values, its costs and its accuracy."""
    axes = list(results.study.space.axes)
    found = []
    for row, below, above in zip(table.to_dict("records"), low, high, strict=True):
        values = [f"{axis}: {row[axis]}" for axis in axes if not pd.isna(row[axis])]
        seeds = int(row["seeds"])
        found.append("\n".join([
            str(row["candidate"]),
            *values,
            f"{int(row['params']):,} parameters",
            f"{int(row['macs']):,} MACs, {row['train_macs']:.3g} of training",
            f"{int(row['executions']):,} executions",
            f"{100 * row['val_accuracy']:.1f} % ({100 * below:.1f} to {100 * above:.1f}),"
            f" {seeds} seed{'s' if seeds != 1 else ''}",
        ]))  # fmt: skip
    return found


def lost(results: Results, cost: str, y: float) -> tuple[Series, ...]:
    """Crosses at this place, below what has an accuracy, for trials that have none; nothing where
    there are none."""
    rows = results.searched[results.searched.state.isin(["diverged", "failed"])]
    if not len(rows):
        return ()
    drawn = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _LOST)).astype(int))]
    return (
        Series(
            name="diverged or failed: no accuracy" + how_many(len(drawn), len(rows), "of them"),
            kind="points",
            x=drawn[cost].to_numpy(float),
            y=np.full(len(drawn), y),
            colour=RED,
            marker="cross",
            hover=[f"trial {trial}: {state}" for trial, state in zip(drawn.trial, drawn.state, strict=True)],
        ),
    )  # fmt: skip


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
