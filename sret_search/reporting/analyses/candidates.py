"""Candidates in charts: axes of costs, the selection that is drawn, intervals, hover texts."""

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
"""Axis labels: the quantity that each cost counts."""
WITH_BARS = 150
"""The largest number of candidates that are drawn with intervals. More intervals hide each
other."""
DRAWN = 1000
"""The largest number of candidates that are drawn besides the front. The eye cannot separate more,
and a larger page opens slowly."""
_LOST = 200


def thinned(table: pd.DataFrame, on_front: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """The front and an even selection of the others, and the mask of the front among these rows."""
    drawn, dominated = on_front.copy(), np.flatnonzero(~on_front)
    drawn[dominated[spaced(len(dominated), DRAWN)]] = True
    return table[drawn], on_front[drawn]


def spaced(count: int, most: int) -> np.ndarray:
    """At most `most` places among `count`, evenly spaced from the first to the last."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)


def on_front(results: Results, table: pd.DataFrame, cost: str) -> np.ndarray:
    """The mask of the rows of a table of candidates that are on the front of validation and a cost:
    the sound candidates that no other sound candidate dominates."""
    is_sound = table.candidate.isin(results.sound.candidate).to_numpy()
    mask = np.zeros(len(table), bool)
    scores, costs = results.scores(table)[is_sound], table[cost].to_numpy(float)[is_sound]
    mask[np.flatnonzero(is_sound)[pareto(list(scores), list(costs))]] = True
    return mask


def drawn_note(drawn: int, total: int, noun: str = "candidates") -> str:
    """A note for a title, such as " (100 of 500 candidates are drawn)". Empty if all are drawn."""
    return "" if drawn == total else f" ({drawn:,} of {total:,} {noun} are drawn)"


def whiskers(results: Results, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval of each candidate's mean, as fractions. The interval contains the
    mean."""
    images = results.images("val")
    means, seeds = table.val_accuracy.to_numpy(float), table.seeds.to_numpy(float)
    low, high = results.spreads["val"].intervals(means, np.maximum(seeds, 2), table.candidate)
    for i in np.flatnonzero(seeds == 1):
        low[i], high[i] = intervals.proportion(means[i], images)
    return np.minimum(low, means), np.maximum(high, means)


def hover(results: Results, table: pd.DataFrame, low: np.ndarray, high: np.ndarray) -> list[str]:
    """The hover text of each candidate: name, values of the axes, costs and accuracy."""
    axes = list(results.study.space.axes)
    texts = []
    for row, below, above in zip(table.to_dict("records"), low, high, strict=True):
        values = [f"{axis}: {row[axis]}" for axis in axes if not pd.isna(row[axis])]
        seeds = int(row["seeds"])
        texts.append("\n".join([
            str(row["candidate"]),
            *values,
            f"{int(row['params']):,} parameters",
            f"{int(row['macs']):,} MACs, {row['train_macs']:.3g} of training",
            f"{int(row['executions']):,} executions",
            f"{100 * row['val_accuracy']:.1f} % ({100 * below:.1f} to {100 * above:.1f}),"
            f" {seeds} seed{'s' if seeds != 1 else ''}",
        ]))  # fmt: skip
    return texts


def lost(results: Results, cost: str, y: float) -> tuple[Series, ...]:
    """Crosses at height `y`, below all accuracies, for trials that diverged or failed. Empty if
    there are none."""
    rows = results.searched[results.searched.state.isin(["diverged", "failed"])]
    if not len(rows):
        return ()
    drawn = rows.iloc[spaced(len(rows), _LOST)]
    return (
        Series(
            name="diverged or failed: no accuracy" + drawn_note(len(drawn), len(rows), "of them"),
            kind="points",
            x=drawn[cost].to_numpy(float),
            y=np.full(len(drawn), y),
            colour=RED,
            marker="cross",
            hover=[f"trial {trial}: {state}" for trial, state in zip(drawn.trial, drawn.state, strict=True)],
        ),
    )  # fmt: skip


def cost_axis(values: np.ndarray, label: str) -> Axis:
    """An axis for costs, logarithmic if they differ."""
    low, high = float(values.min()), float(values.max())
    if high > 1.2 * low:
        margin = (high / low) ** 0.06
        return Axis(label, log=True, range=(low / margin, high * margin))
    # Costs are almost equal: a narrow axis would exaggerate differences that do not matter.
    return Axis(label, range=(low * 0.5, high * 1.5))


def accuracy_range(y: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """The ends of an axis of accuracies. All accuracies are on it. Intervals are cut off where they
    would take most of the axis, since those of two seeds may be ten times as long as the range of
    interest."""
    room = max(float(y.max() - y.min()), 1.0)
    bottom, top = max(low.min(), y.min() - room), min(high.max(), y.max() + room)
    margin = 0.05 * max(top - bottom, 1.0)
    return float(min(bottom, y.min()) - margin), float(max(top, y.max()) + margin)


def scale(executions: pd.Series) -> Scale | None:
    """Colours for executions. None if all are equal."""
    low, high = float(executions.min()), float(executions.max())
    return None if low == high else Scale("executions", low, high, log=True)
