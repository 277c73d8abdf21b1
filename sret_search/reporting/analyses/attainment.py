"""The median front over several seeds, and its confidence band, in charts and captions."""

from __future__ import annotations

import numpy as np

from sret_search.reporting.render.chart import Series
from sret_search.reporting.render.colours import PURPLE
from sret_search.reporting.statistics.attainment import Attained, Stairs


def series(attained: Attained | None, end: float) -> list[Series]:
    """The band and the median, drawn up to the cost `end`. Empty if there are too few seeds."""
    if attained is None:
        return []
    fronts = (attained.low, attained.median, attained.high)
    x = np.unique(np.append(np.concatenate([costs for costs, _ in fronts]), end))
    low, middle, high = (100 * _height_at(front, x) for front in fronts)
    name = f"median front of {attained.seeds} seeds"
    words = f"{100 * attained.covered:.0f} % band of the median front"
    return [
        Series(words, "step band", x, low=low, high=high, colour=PURPLE, group=name),
        Series(
            name, "step", x, middle, colour=PURPLE, dash="dash", group=name,
            hover=[
                f"{name}\nfrom {cost:,.0f} on: {y:.1f} % ({below:.1f} to {above:.1f})"
                for cost, y, below, above in zip(x, middle, low, high, strict=True)
            ],
        ),
    ]  # fmt: skip


def caption(attained: Attained | None) -> str:
    """An explanation of the band, to follow other sentences."""
    if attained is None:
        return ""
    sample = f"{attained.candidates:,} candidates" if attained.candidates > 1 else "candidate"
    return (
        f" The median front is the accuracy that half of {attained.seeds} seeds attain, with the"
        f" {sample} that all of them trained. At each cost, the band contains the median front of all"
        f" possible seeds in {100 * attained.covered:.0f} % of studies. The median front takes the best"
        " of single trainings, so it is higher than the front of means."
    )


def bars(attained: Attained | None) -> str | None:
    """A sentence that explains bars and band. None if there is no band."""
    if attained is None:
        return None
    level = f"{100 * attained.covered:.0f} %"
    return f"Bars: 95 % intervals over seeds; band: {level}, of the median front of {attained.seeds} seeds."


def _height_at(stairs: Stairs, x: np.ndarray) -> np.ndarray:
    """The height of a front at the costs `x`. NaN before its first corner."""
    costs, accuracies = stairs
    place = np.searchsorted(costs, x, side="right") - 1
    heights: np.ndarray = np.where(place >= 0, accuracies[place.clip(0)], np.nan)
    return heights
