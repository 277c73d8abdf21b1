"""Charts drawn by Matplotlib, for papers, with the same style for all."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from sret_search.reporting.render.style import styled  # before any other import of Matplotlib

# isort: split
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from sret_search.reporting.render.chart import Axis, Chart, Panel, Scale, Series
from sret_search.reporting.render.colours import GREY

_MARKERS = {
    "circle": "o", "square": "s", "triangle": "^", "diamond": "D", "down": "v", "cross": "x",
    "star": "*",
}  # fmt: skip
_DASHES = {"solid": "-", "dash": "--", "dot": ":"}
_WIDTHS = {1: 7.0, 2: 11.0}
_INSIDE = 4
"""The largest number of legend entries that fit between the drawn series."""
_LETTERS = 90
"""The number of letters of a legend that fit in the width of a panel."""


def figure(chart: Chart, footer: str) -> Figure:
    """The chart with its title above, and its origin below in small letters."""
    with styled():
        count = len(chart.panels)
        size = (_WIDTHS.get(count, 4.5 * count), chart.height)
        drawn = Figure(figsize=size)
        places = drawn.subplots(1, count, squeeze=False)
        for axes, panel in zip(places[0], chart.panels, strict=True):
            _draw(axes, panel)
        scale = chart.panels[-1].scale
        if scale is not None:
            _bar(places[0, -1], scale)
        _legends(places[0], chart.panels)
        drawn.suptitle(
            "\n".join(textwrap.wrap(chart.title, 14 * round(size[0]))),
            x=0.01,
            ha="left",
            fontsize=11,
        )
        sign(drawn, footer, size[0])
        return drawn


def sign(drawn: Figure, footer: str, width: float) -> None:
    """Write the origin in small letters below a figure that is `width` inches wide."""
    lines = "\n".join(textwrap.wrap(footer, 17 * round(width)))
    drawn.supxlabel(lines, x=0.01, ha="left", fontsize=7, color=GREY)


def _draw(axes: Axes, panel: Panel) -> None:
    for place, series in enumerate(panel.series):
        _DRAW[series.kind](axes, series, panel.scale, 2 + place)
    _axis(axes, "x", panel.x)
    _axis(axes, "y", panel.y)
    if panel.title:
        axes.set_title(panel.title, fontsize=10, loc="left")


def _points(axes: Axes, series: Series, scale: Scale | None, order: float) -> None:
    x, y = np.asarray(series.x, float), np.asarray(series.y, float)
    line = series.kind != "points"
    if line:
        axes.plot(
            x, y, _DASHES[series.dash], color=series.colour, linewidth=series.width,
            alpha=series.opacity, zorder=order,
            drawstyle="steps-post" if series.kind == "step" else "default",
        )  # fmt: skip
    _whiskers(axes, series, order)
    marker = series.marker or (None if line else "circle")
    if marker is None:
        return
    look: dict[str, Any] = {
        "s": series.size**2,
        "marker": _MARKERS[marker],
        "alpha": series.opacity,
    }
    hollow = np.broadcast_to(np.asarray(series.hollow, bool), x.shape)
    for outline in (False, True):
        selected = hollow == outline
        if not selected.any():
            continue
        if series.shades is not None and scale is not None:
            shades = np.asarray(series.shades, float)[selected]
            colours: Any = colormaps["viridis"](_norm(scale)(shades))
        else:
            colours = series.colour
        if marker == "cross":
            look |= {"color": colours, "linewidths": 2}
        elif outline:
            look |= {
                "facecolors": "white" if line else "none",
                "edgecolors": colours,
                "linewidths": 1.4,
            }
        else:
            look |= {"facecolors": colours, "edgecolors": "white", "linewidths": 0.5}
        axes.scatter(x[selected], y[selected], zorder=order, clip_on=marker != "cross", **look)


def _whiskers(axes: Axes, series: Series, order: float) -> None:
    x, y = np.asarray(series.x, float), np.asarray(series.y, float)
    colour = GREY if series.shades is not None else series.colour
    look: dict[str, Any] = {
        "color": colour,
        "linewidth": 1,
        "alpha": 0.6 * series.opacity,
        "zorder": order - 0.5,
    }
    if series.low is not None and series.high is not None:
        axes.vlines(x, np.asarray(series.low, float), np.asarray(series.high, float), **look)
    if series.left is not None and series.right is not None:
        axes.hlines(y, np.asarray(series.left, float), np.asarray(series.right, float), **look)


def _band(axes: Axes, series: Series, scale: Scale | None, order: float) -> None:
    assert series.low is not None
    assert series.high is not None
    axes.fill_between(
        np.asarray(series.x, float), np.asarray(series.low, float), np.asarray(series.high, float),
        color=series.colour, alpha=0.15 * series.opacity, linewidth=0, zorder=1,
        step="post" if series.kind == "step band" else None,
    )  # fmt: skip


def _bars(axes: Axes, series: Series, scale: Scale | None, order: float) -> None:
    axes.barh(series.y, series.x, 0.6, color=series.colour, alpha=series.opacity, zorder=order)
    _whiskers(axes, series, order + 1)


_DRAW = {
    "points": _points, "line": _points, "step": _points, "band": _band, "step band": _band,
    "bars": _bars,
}  # fmt: skip


def _norm(scale: Scale) -> Normalize:
    return LogNorm(scale.low, scale.high) if scale.log else Normalize(scale.low, scale.high)


def _bar(axes: Axes, scale: Scale) -> None:
    colours = ScalarMappable(_norm(scale), "viridis")
    ticks = scale.ticks if scale.log else None
    bar = axes.figure.colorbar(colours, ax=axes, label=scale.label, ticks=ticks, format=thousands())
    bar.ax.yaxis.set_minor_locator(NullLocator())


def _axis(axes: Axes, name: str, axis: Axis) -> None:
    place = getattr(axes, f"{name}axis")
    if axis.log:
        getattr(axes, f"set_{name}scale")("log")
        low, high = axis.range or getattr(axes, f"get_{name}lim")()
        subs = (1, 2, 3, 5) if high < 30 * low else (1, 3) if high < 1000 * low else (1,)
        place.set_major_locator(LogLocator(subs=subs))
        place.set_minor_formatter(NullFormatter())
        place.set_major_formatter(thousands())
    elif axis.ticks is None:
        place.set_major_locator(MaxNLocator(7, integer=axis.whole))
        place.set_major_formatter(thousands())
    if axis.ticks is not None:
        place.set_minor_locator(NullLocator())
        place.set_ticks([tick for tick, _ in axis.ticks], labels=[word for _, word in axis.ticks])
    if axis.range is not None:
        getattr(axes, f"set_{name}lim")(*axis.range)
    if axis.reverse:
        place.set_inverted(True)
    if axis.line is not None:
        rule = axes.axvline if name == "x" else axes.axhline
        rule(axis.line, color=GREY, linewidth=1, zorder=1)
    getattr(axes, f"set_{name}label")(axis.label)


def _legends(places: np.ndarray, panels: tuple[Panel, ...]) -> None:
    """Draw the legend of each panel, without entries that an earlier panel has. It stands above the
    panel if there is little room."""
    named: set[str] = set()
    for axes, panel in zip(places, panels, strict=True):
        entries = [s for s in panel.series if s.legend and s.name not in named]
        named |= {series.name for series in entries}
        if not entries or (len(entries) == 1 and len(panel.series) == 1):
            continue
        look: dict[str, Any] = {"loc": "best"}
        if panel.y.ticks is not None or len(entries) > _INSIDE:
            widest = max(len(series.name) for series in entries)
            columns = max(min(_LETTERS // (widest + 6), 3), 1)
            look = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": columns}
        handles = [_handle(series, panel.scale) for series in entries]
        axes.legend(handles=handles, fontsize=8, **look)


def _handle(series: Series, scale: Scale | None) -> Line2D | Patch:
    if series.kind in ("band", "step band", "bars"):
        opacity = series.opacity * (1 if series.kind == "bars" else 0.3)
        return Patch(color=series.colour, alpha=opacity, label=series.name, linewidth=0)
    colour = series.colour if series.shades is None else colormaps["viridis"](0.5)
    line = series.kind != "points"
    marker = series.marker or (None if line else "circle")
    return Line2D(
        [], [], color=colour, alpha=series.opacity, linewidth=series.width, label=series.name,
        linestyle=_DASHES[series.dash] if line else "none",
        marker=_MARKERS[marker] if marker else None, markersize=min(series.size, 8),
        markerfacecolor="none" if series.hollow is True else colour,
    )  # fmt: skip


def thousands() -> FuncFormatter:
    """A formatter of numbers with k, M, G, T or P."""

    def text(value: float, _: object) -> str:
        for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= max(size, 1e4):
                return f"{value / size:g}{letter}"
        return f"{value:g}".replace("-", "−")

    return FuncFormatter(text)
