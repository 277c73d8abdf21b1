"""Both renderers draw every series of a chart, with the values that it has."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from sret_search.reporting.render import matplotlib, plotly
from sret_search.reporting.render.chart import Axis, Chart, Panel, Scale, Series, rows
from sret_search.reporting.render.files import pictures

NAN = math.nan
EVERY = Chart(
    name="every",
    title="Every kind of series",
    caption="",
    panels=(
        Panel(
            x=Axis("parameters", log=True, range=(100, 10_000)),
            y=Axis("accuracy in %", line=50),
            series=(
                Series("band", "band", [200, 400, 800], low=[40, NAN, 50], high=[60, NAN, 70]),
                Series("stairs", "step band", [200, 800], low=[40, 45], high=[50, 55]),
                Series("front", "step", [200, 400, 9000], [50, 60, 60], colour="#D55E00"),
                Series("trained", "line", [200, 400, 800], [50, NAN, 70], marker="circle", hollow=True, dash="dash"),
                Series(
                    "candidate", "points", [200, 400, 800], [51, 61, 71], low=[50, 60, 70],
                    high=[53, 63, 73], shades=[1, 10, 100], hover=["a\nb", "c", "<b>d</b>"],
                ),
                Series("lost", "points", [300], [40], marker="cross"),
            ),
            title="left",
            scale=Scale("executions", 1, 100, log=True),
        ),
        Panel(
            x=Axis("number of trials", whole=True),
            y=rows(["diverged", "out of memory"]),
            series=(
                Series("trials", "bars", [3, 1], [0, 1], left=[2, 1], right=[4, 1]),
                Series("candidate", "points", [2], [1], shades=[10]),
            ),
            scale=Scale("executions", 1, 100, log=True),
        ),
    ),
)  # fmt: skip
SERIES = [series for panel in EVERY.panels for series in panel.series]


def test_matplotlib_draws_every_series_where_its_values_are() -> None:
    figure = matplotlib.figure(EVERY, "where it comes from")
    left, right = figure.axes[:2]
    lines = [line.get_xydata() for line in left.lines if len(line.get_xdata()) > 2]
    np.testing.assert_array_equal(lines[0], [[200, 50], [400, 60], [9000, 60]])
    np.testing.assert_array_equal(lines[1], [[200, 50], [400, NAN], [800, 70]])
    assert left.lines[0].get_drawstyle() == "steps-post"
    points = [c.get_offsets().tolist() for c in left.collections if len(c.get_offsets())]
    assert [[200, 51], [400, 61], [800, 71]] in points
    assert [[300, 40]] in points
    assert [bar.get_width() for bar in right.patches] == [3, 1]
    assert right.yaxis_inverted()
    assert [tick.get_text() for tick in right.get_yticklabels()] == ["diverged", "out of memory"]
    assert (left.get_xscale(), left.get_xlim()) == ("log", (100, 10_000))
    assert figure.axes[2].get_ylabel() == "executions"
    assert len(figure.axes) == 3  # one bar of colours for both panels
    names = [text.get_text() for axes in (left, right) for text in axes.get_legend().get_texts()]
    assert sorted(names) == sorted({series.name for series in SERIES})


def test_plotly_is_given_every_series_as_json() -> None:
    made = plotly.figure(EVERY)
    json.dumps(made, allow_nan=False)
    traces = made["data"]
    assert [trace["name"] for trace in traces] == [series.name for series in SERIES]
    by_name = {trace["name"]: trace for trace in reversed(traces)}
    assert by_name["band"]["x"] == [200, 800, 800, 200]
    assert by_name["band"]["y"] == [60, 70, 50, 40]
    assert by_name["stairs"]["x"] == [200, 800, 800, 800, 800, 200]
    assert by_name["stairs"]["y"] == [50, 50, 55, 45, 40, 40]
    assert by_name["front"]["line"]["shape"] == "hv"
    assert by_name["trained"]["y"] == [50, None, 70]
    assert by_name["trained"]["marker"]["symbol"] == "circle-open"
    candidate = by_name["candidate"]
    assert (candidate["error_y"]["array"], candidate["error_y"]["arrayminus"]) == (
        [2, 2, 2],
        [1, 1, 1],
    )
    assert candidate["marker"]["color"] == [0, 1, 2]
    assert candidate["hovertext"] == ["a<br>b", "c", "&lt;b&gt;d&lt;/b&gt;"]
    assert (by_name["trials"]["orientation"], by_name["trials"]["x"]) == ("h", [3, 1])
    assert [trace["xaxis"] for trace in traces] == ["x"] * 6 + ["x2"] * 2
    in_legend = [trace["name"] for trace in traces if trace["showlegend"]]
    assert len(in_legend) == len(set(in_legend))
    assert sum(trace.get("marker", {}).get("showscale", False) for trace in traces) == 1
    layout = made["layout"]
    assert layout["xaxis"]["range"] == [2, 4]
    assert layout["yaxis2"]["range"] == [1.6, -0.6]
    assert layout["yaxis2"]["ticktext"] == ["diverged", "out of memory"]
    assert layout["shapes"][0]["y0"] == 50
    assert "color" not in layout.get("font", {})


def test_names_do_no_harm_whatever_letters_they_have() -> None:
    hostile = "$\\frac{1$ <img src=x onerror=alert(1)> & שלום \N{GRINNING FACE}"
    panel = Panel(
        Axis(hostile), rows([hostile]), (Series(hostile, "bars", [1], [0], hover=[hostile]),)
    )
    chart = Chart("hostile", hostile, hostile, (panel,), height=2)
    figure = matplotlib.figure(chart, hostile)
    made = pictures(figure)
    assert made["png"].startswith(b"\x89PNG")
    assert b"<img" not in made["svg"]
    assert "<img" not in json.dumps(plotly.figure(chart))


def test_a_bitmap_of_many_candidates_is_small_and_the_same_every_time() -> None:
    rng = np.random.default_rng(0)
    x, y = 10 ** rng.uniform(3, 6, 1000), rng.uniform(20, 95, 1000)
    points = Series("candidate", "points", x, y, low=y - 9, high=y + 9, shades=x)
    chart = replace(EVERY, panels=(replace(EVERY.panels[0], series=(points,)),))
    first, second = (matplotlib.figure(chart, "footer") for _ in range(2))
    made = pictures(first)
    assert len(made["png"]) < 300_000
    assert pictures(second) == made


@pytest.mark.parametrize("height", [3.0, 4.6])
def test_words_do_not_collide(height: float) -> None:
    figure = matplotlib.figure(replace(EVERY, height=height), "footer " * 30)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    place = canvas.get_renderer()
    unseen = set()  # ticks outside of an axis are not drawn, and lie anywhere
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
            unseen |= {label for tick, label in ticks if not low <= tick <= high}
    words = {
        text.get_text(): text.get_window_extent(place)
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible() and text not in unseen
    }
    assert len(words) > 20
    for name, box in words.items():
        assert figure.bbox.x0 - 1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, name
        overlapping = [o for o in words if o != name and box.shrunk(0.9, 0.8).overlaps(words[o])]
        assert overlapping == [], name


@pytest.mark.parametrize(("low", "high"), [(1, 3), (4, 64), (1, 1000), (1.2, 1.3)])
def test_a_scale_has_ticks_within_its_ends(low: float, high: float) -> None:
    ticks = Scale("executions", low, high, log=True).ticks
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)
