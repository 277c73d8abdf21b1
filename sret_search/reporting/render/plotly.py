"""Charts as data that Plotly.js draws in the page, ready for JSON.

The page is light or dark, and chooses the colours of text, grid and background. Every text is
escaped, since Plotly interprets some HTML in texts.
"""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np

from sret_search.reporting.render.chart import Axis, Chart, Panel, Scale, Series, Values, stairs
from sret_search.reporting.render.colours import GREY

_SYMBOLS = {
    "circle": "circle", "square": "square", "triangle": "triangle-up", "diamond": "diamond",
    "down": "triangle-down", "cross": "x", "star": "star",
}  # fmt: skip
_PIXELS = 96
"""Pixels in the page for an inch of a chart's height."""


def figure(chart: Chart) -> dict[str, Any]:
    """The chart as `{"data": traces, "layout": layout}` for `Plotly.newPlot`.

    Panels are in `layout.grid`. A narrow page sets as many rows as there are columns.
    """
    count = len(chart.panels)
    is_titled = any(panel.title for panel in chart.panels)
    layout: dict[str, Any] = {
        "height": round(_PIXELS * chart.height),
        "grid": {"rows": 1, "columns": count, "pattern": "independent"},
        "hovermode": "closest",
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.08 if is_titled else 1.02,
            "yanchor": "bottom",
        },
        "margin": {"l": 60, "r": 20, "t": 30, "b": 50},
        "annotations": [],
        "shapes": [],
    }
    data: list[dict[str, Any]] = []
    named: set[str] = set()
    has_bar = False
    for number, panel in enumerate(chart.panels, 1):
        end = "" if number == 1 else str(number)
        layout[f"xaxis{end}"] = _axis(panel.x)
        layout[f"yaxis{end}"] = _axis(panel.y)
        for name, axis in (("x", panel.x), ("y", panel.y)):
            if axis.line is not None:
                layout["shapes"].append(_rule(name, end, axis.line))
        if panel.title:
            layout["annotations"].append(_title(panel, end))
        for series in panel.series:
            bar = series.shades is not None and not has_bar
            has_bar = has_bar or bar
            trace = _trace(series, panel.scale, bar)
            is_shown = series.legend and series.name not in named
            named |= {series.name} if is_shown else set()
            group = html.escape(series.group or series.name, quote=False)
            data.append(
                trace | {"name": _text(series.name), "showlegend": is_shown, "legendgroup": group,
                "xaxis": f"x{end}", "yaxis": f"y{end}"}
            )  # fmt: skip
    return {"data": data, "layout": layout}


def _trace(series: Series, scale: Scale | None, bar: bool) -> dict[str, Any]:
    if series.kind in ("band", "step band"):
        return _band(series)
    trace: dict[str, Any] = {
        "x": _plain(series.x), "y": _plain(series.y), "opacity": series.opacity,
    }  # fmt: skip
    if series.hover is not None:
        trace["hovertext"] = [_text(text) for text in series.hover]
        trace["hovertemplate"] = "%{hovertext}<extra></extra>"
    colour = GREY if series.shades is not None else series.colour
    for axis, values, low, high in (
        ("x", series.x, series.left, series.right),
        ("y", series.y, series.low, series.high),
    ):
        if low is not None and high is not None:
            middle = np.asarray(values, float)
            trace[f"error_{axis}"] = {
                "type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": colour,
                "array": _plain(np.asarray(high, float) - middle),
                "arrayminus": _plain(middle - np.asarray(low, float)),
            }  # fmt: skip
    if series.kind == "bars":
        return trace | {
            "type": "bar", "orientation": "h", "width": 0.6, "marker": {"color": series.colour},
        }  # fmt: skip
    line = series.kind != "points"
    marker = series.marker or (None if line else "circle")
    trace["type"] = "scatter"
    trace["mode"] = "+".join(["lines"] * line + ["markers"] * (marker is not None))
    if line:
        shape = "hv" if series.kind == "step" else "linear"
        trace["line"] = {
            "color": series.colour, "width": series.width, "dash": series.dash, "shape": shape,
        }  # fmt: skip
    if marker is not None:
        trace["marker"] = _marker(series, _SYMBOLS[marker], scale, bar)
    return trace


def _marker(series: Series, symbol: str, scale: Scale | None, bar: bool) -> dict[str, Any]:
    hollow = np.broadcast_to(np.asarray(series.hollow, bool), len(series.x))
    symbols: Any = [f"{symbol}-open" if outline else symbol for outline in hollow]
    if len(set(symbols)) == 1:
        symbols = symbols[0]
    marker: dict[str, Any] = {"symbol": symbols, "size": series.size, "color": series.colour}
    if series.shades is None or scale is None:
        return marker
    # Plotly's colour bar is linear. So it gets logarithms, with ticks that show the values.
    shades = np.asarray(series.shades, float)
    marker |= {
        "color": _plain(np.log10(shades) if scale.log else shades),
        "cmin": math.log10(scale.low) if scale.log else scale.low,
        "cmax": math.log10(scale.high) if scale.log else scale.high,
        "colorscale": "Viridis",
        "line": {"width": 0.5, "color": GREY},
        "showscale": bar,
    }
    if bar:
        marker["colorbar"] = {
            "title": {"text": _text(scale.label), "side": "right"},
            "thickness": 12,
        }
        if scale.log:
            marker["colorbar"] |= {
                "tickvals": [math.log10(tick) for tick in scale.ticks],
                "ticktext": [f"{tick:,g}" for tick in scale.ticks],
            }
    return marker


def _band(series: Series) -> dict[str, Any]:
    x, low, high = (np.asarray(v, float) for v in (series.x, series.low, series.high))
    is_known = ~(np.isnan(low) | np.isnan(high))
    x, low, high = x[is_known], low[is_known], high[is_known]
    if series.kind == "step band":
        (corners, low), (_, high) = stairs(x, low), stairs(x, high)
        x = corners
    return {
        "type": "scatter",
        "mode": "lines",
        "x": _plain(np.concatenate([x, x[::-1]])),
        "y": _plain(np.concatenate([high, low[::-1]])),
        "fill": "toself",
        "fillcolor": _faint(series.colour, 0.18 * series.opacity),
        "line": {"width": 0, "color": series.colour},
        "hoverinfo": "skip",
    }


def _axis(axis: Axis) -> dict[str, Any]:
    plain: dict[str, Any] = {"title": {"text": _text(axis.label)}, "automargin": True}
    if axis.log:
        # Three, since Plotly uses all of 1, 2 … 9 as ticks if it has room for one more.
        plain |= {"type": "log", "tickformat": "~s", "nticks": 3}
    if axis.ticks is not None:
        plain |= {
            "tickvals": [tick for tick, _ in axis.ticks],
            "ticktext": [_text(word) for _, word in axis.ticks],
        }
    if axis.whole:
        plain |= {"tickformat": "d"} if not axis.log else {}
    if axis.range is not None:
        ends = [math.log10(end) if axis.log else end for end in axis.range]
        plain["range"] = ends[::-1] if axis.reverse else ends
    elif axis.reverse:
        plain["autorange"] = "reversed"
    return plain


def _rule(name: str, end: str, value: float) -> dict[str, Any]:
    other = "y" if name == "x" else "x"
    return {
        "type": "line", "layer": "below", "line": {"width": 1, "color": GREY},
        f"{name}ref": f"{name}{end}", f"{name}0": value, f"{name}1": value,
        f"{other}ref": f"{other}{end} domain", f"{other}0": 0, f"{other}1": 1,
    }  # fmt: skip


def _title(panel: Panel, end: str) -> dict[str, Any]:
    return {
        "text": _text(panel.title), "showarrow": False, "align": "left",
        "xref": f"x{end} domain", "x": 0, "xanchor": "left",
        "yref": f"y{end} domain", "y": 1.0, "yanchor": "bottom",
    }  # fmt: skip


def _plain(values: Values) -> list[float | None]:
    """Numbers with at most six digits, more than the eye can see. None for values that are not
    finite."""
    return [
        float(f"{value:.6g}") if math.isfinite(value) else None
        for value in np.asarray(values, float).tolist()
    ]


def _faint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:.2f})"


def _text(text: str) -> str:
    """A text for Plotly, with HTML escaped."""
    return html.escape(text, quote=False).replace("\n", "<br>")
