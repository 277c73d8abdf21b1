"""One set of weights at every depth that it was evaluated at."""

from __future__ import annotations

import numpy as np

from sret_search.reporting.charts.chart import Axis, Chart, Panel, Series, ends, percent
from sret_search.reporting.charts.colours import ORANGE, cycle
from sret_search.reporting.charts.cost import LABELS, cost_axis
from sret_search.reporting.elastic import Elastic
from sret_search.reporting.formatting import PARTS

_DRAWN = 5


def chart(elastics: list[Elastic]) -> Chart | None:
    """Each elastic candidate at its depths, beside weights trained for one depth alone; None
    where there is none."""
    if not elastics:
        return None
    shown = elastics[:_DRAWN]
    depths = np.array([rung.executions for elastic in shown for rung in elastic.rungs], float)
    colours = [colour for colour in cycle(_DRAWN + 1) if colour != ORANGE]
    both = [_series(one, colour) for one, colour in zip(shown, colours, strict=False)]
    panels = [
        Panel(
            x=cost_axis(depths, LABELS["executions"]),
            y=Axis(f"{PARTS[shown[0].part]} accuracy in %"),
            series=tuple(series for accuracy, _ in both for series in accuracy),
        )
    ]
    gaps = tuple(gap for _, gap in both if gap is not None)
    if gaps:
        panels.append(
            Panel(
                x=cost_axis(depths, LABELS["executions"]),
                y=Axis("one model less a model alone, points", line=0),
                series=gaps,
                title="gap, paired by seed, with 95 % intervals of each alone",
            )
        )
    left_out = f" ({len(shown)} of {len(elastics)} are drawn)" if len(shown) < len(elastics) else ""
    return Chart(
        name="accuracy_elastic",
        title=f"One set of weights at every depth{left_out}",
        caption="An elastic model at each depth that it was evaluated at, hollow where it was not trained"
        " at it, beside models that were trained for that depth alone, as long.",
        panels=tuple(panels),
    )


def _series(elastic: Elastic, colour: str) -> tuple[list[Series], Series | None]:
    """Its accuracies, and its gaps where there are intervals of them."""
    name = f"one model ({elastic.mode})"
    x = np.array([rung.executions for rung in elastic.rungs], float)
    y = percent([rung.accuracy for rung in elastic.rungs])
    low, high = ends([rung.interval for rung in elastic.rungs])
    known = elastic.rungs[0].interval is not None
    found = [
        Series(
            name, "line", x, y, low=low if known else None, high=high if known else None,
            colour=colour, marker="circle", group=name,
            hollow=[not rung.is_trained for rung in elastic.rungs],
            hover=[f"{elastic.candidate}\n{elastic.mode}, at {int(at):,} executions\n{value:.1f} %"
                   for at, value in zip(x, y, strict=True)],
        )
    ]  # fmt: skip
    alone = percent([rung.alone for rung in elastic.rungs])
    if not np.isnan(alone).all():
        label = "a model for each depth alone"
        found.append(
            Series(
                label, "line", x, alone, colour=ORANGE, marker="square", hollow=True, dash="dash",
                hover=[f"trained for {int(at):,} executions alone\n{value:.1f} %"
                       for at, value in zip(x, alone, strict=True)],
            )
        )  # fmt: skip
    rungs = [rung for rung in elastic.rungs if rung.gap.interval is not None]
    if not rungs:
        return found, None
    gaps = percent([rung.gap.difference for rung in rungs])
    low, high = ends([rung.gap.interval for rung in rungs])
    return found, Series(
        name, "points", [float(rung.executions) for rung in rungs], gaps, low=low, high=high,
        colour=colour, group=name,
        hover=[f"{rung.executions:,} executions\n{gap:+.2f} points ({below:+.2f} to {above:+.2f}):"
               f" {rung.gap.verdict}"
               for rung, gap, below, above in zip(rungs, gaps, low, high, strict=True)],
    )  # fmt: skip
