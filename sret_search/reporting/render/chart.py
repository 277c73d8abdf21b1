"""A chart as plain data, made once and drawn twice: for papers and in the page.

Values are in the units of the axis labels: accuracies in per cent. Unknown values are NaN. A chart
has no colours of paper and ink; the renderers and the page choose them.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sret_search.reporting.statistics.intervals import Interval

Values = Sequence[float] | np.ndarray
Kind = Literal["points", "line", "step", "band", "step band", "bars"]
Dash = Literal["solid", "dash", "dot"]
Marker = Literal["circle", "square", "triangle", "diamond", "down", "cross", "star"]
_WIDTH = 34
"""The largest number of letters in a line of a row's name."""


@dataclass(frozen=True)
class Axis:
    """An axis of a panel.

    Attributes:
        label: quantity with its unit.
        log: whether the axis is logarithmic.
        range: ends of the axis. None if the values decide.
        ticks: places with their words. None if the renderer chooses. Categories are ticks at 0, 1,
            2 …
        reverse: whether the axis runs down (or to the left), as rows are read.
        whole: whether only whole numbers are ticks.
        line: place of a thin line across the panel, such as no difference, or chance.
    """

    label: str
    log: bool = False
    range: tuple[float, float] | None = None
    ticks: tuple[tuple[float, str], ...] | None = None
    reverse: bool = False
    whole: bool = False
    line: float | None = None


@dataclass(frozen=True)
class Scale:
    """Colours from dark to light (viridis) for a third value, with a bar that explains them."""

    label: str
    low: float
    high: float
    log: bool = False

    @property
    def ticks(self) -> list[float]:
        """Round values on a logarithmic scale, or its ends if it has fewer than two round
        values."""
        ratio = self.high / self.low
        subs = (1, 2, 3, 5) if ratio < 10 else (1, 2, 5) if ratio < 50 else (1, 3)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        round_ones = [sub * 10.0**power for power in powers for sub in subs]
        inside = [tick for tick in round_ones if self.low <= tick <= self.high]
        return inside if len(inside) > 1 else [self.low, self.high]


@dataclass(frozen=True)
class Series:
    """A series of points, lines, bands or bars, with an entry in the legend.

    Attributes:
        kind: "points"; "line", through the points in the given order; "step", which holds each y
            until the next x, as a front does; "band" or "step band", from low to high; "bars",
            horizontal, from 0 to each x at height y.
        y: heights. Empty for bands.
        low, high: ends of an interval of each y, in the units of y.
        left, right: ends of an interval of each x.
        colour: colour of the series, as "#rrggbb".
        shades: values that colour each point by the panel's scale instead.
        marker: shape of the points, also on a line if it has any.
        hollow: whether markers are outlines only, for all points or for each.
        size: size of markers, in points.
        hover: a text for each point, with lines separated by newlines.
        legend: whether the series has an entry in the legend.
        group: name of a group. Its series are shown and hidden together, by the entry in the
            legend.
    """

    name: str
    kind: Kind
    x: Values
    y: Values = ()
    low: Values | None = None
    high: Values | None = None
    left: Values | None = None
    right: Values | None = None
    colour: str = "#666666"
    shades: Values | None = None
    dash: Dash = "solid"
    width: float = 1.5
    marker: Marker | None = None
    hollow: bool | Sequence[bool] = False
    size: float = 7.0
    opacity: float = 1.0
    hover: Sequence[str] | None = None
    legend: bool = True
    group: str | None = None

    def __post_init__(self) -> None:
        band = self.kind in ("band", "step band")
        assert not band or (self.low is not None and self.high is not None), self.name
        several = (self.low, self.high, self.left, self.right, self.shades, self.hover)
        lengths = {len(values) for values in several if values is not None}
        assert lengths | ({len(self.y)} if not band else set()) <= {len(self.x)}, self.name


@dataclass(frozen=True)
class Panel:
    """A pair of axes with their series, the last on top. Panels of a chart that have a scale share
    it, and its bar is drawn once."""

    x: Axis
    y: Axis
    series: tuple[Series, ...]
    title: str = ""
    scale: Scale | None = None


@dataclass(frozen=True)
class Chart:
    """Panels in a row.

    Attributes:
        name: name of the files, without ending.
        title: content of the chart, with the number that is drawn if not all are drawn.
        caption: a sentence or two on how to read the chart.
        height: height of the whole figure, in inches.
        bars: a sentence that explains bars and bands, if they are not 95 % intervals over seeds.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    height: float = 4.6
    bars: str | None = None

    @property
    def has_bars(self) -> bool:
        """Whether any of its series has intervals."""
        all_series = [series for panel in self.panels for series in panel.series]
        return any(series.low is not None or series.left is not None for series in all_series)


def percents(values: Sequence[float | None]) -> np.ndarray:
    """Fractions in per cent. NaN for None."""
    return np.array([np.nan if value is None else 100 * value for value in values], float)


def ends(intervals: Sequence[Interval | None]) -> tuple[np.ndarray, np.ndarray]:
    """The lower and upper ends of intervals of fractions, in per cent. NaN for None."""
    low = percents([None if interval is None else interval[0] for interval in intervals])
    return low, percents([None if interval is None else interval[1] for interval in intervals])


def stairs(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a step line that holds each y until the next x."""
    return np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]


def rows(names: Sequence[str], written: bool = True) -> Axis:
    """An axis with rows at 0, 1, 2 …, downwards. Without names if a panel to the left has them."""
    words = [_short(name) if written else "" for name in names]
    return Axis(
        "",
        range=(-0.6, len(names) - 0.4),
        ticks=tuple((float(place), word) for place, word in enumerate(words)),
        reverse=True,
    )


def _short(name: str) -> str:
    """A name on two lines at most."""
    lines = textwrap.wrap(name, _WIDTH, max_lines=2, placeholder=" …", break_on_hyphens=False)
    return "\n".join(lines)
