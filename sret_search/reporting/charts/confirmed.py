"""The members of a front as they were chosen, and as fresh seeds have them."""

from __future__ import annotations

import numpy as np

from sret_search.reporting.charts.chart import Axis, Chart, Panel, Series, ends, percent
from sret_search.reporting.charts.colours import BLUE, GREY, RED
from sret_search.reporting.charts.cost import LABELS, cost_axis
from sret_search.reporting.confirmed import Confirmed


def chart(confirmed: list[Confirmed]) -> Chart | None:
    """Validation accuracy that chose each member, and test accuracy of fresh seeds; None where
    nothing was trained again."""
    if not confirmed:
        return None
    x = np.array([one.params for one in confirmed], float)
    chosen, test = (percent([getattr(one, n) for one in confirmed]) for n in ("chosen", "test"))
    low, high = ends([one.test_interval for one in confirmed])
    stays = np.array([one.on_front is True for one in confirmed])
    axis = cost_axis(x, LABELS["params"])
    assert axis.range is not None
    seeds, on = confirmed[0].seeds, confirmed[0].on
    facts = [
        f"{one.candidate}\n{one.params:,} parameters\n{one.macs:,} MACs\n{one.executions:,} executions"
        for one in confirmed
    ]
    series = (
        Series(
            "stays on the front, by validation", "points", x[stays], test[stays], colour=RED,
            hollow=True, size=11,
        ),
        Series(
            "as the search measured it, on validation", "points", x, chosen, colour=GREY, hollow=True,
            hover=[f"{fact}\n{y:.1f} % in the search" for fact, y in zip(facts, chosen, strict=True)],
        ),
        Series(
            f"{seeds} fresh seeds trained on {on}, on test", "points", x, test, low=low, high=high,
            colour=BLUE,
            hover=[
                f"{fact}\n{y:.1f} % on test ({below:.1f} to {above:.1f}), {one.seeds} seeds"
                for fact, one, y, below, above in zip(facts, confirmed, test, low, high, strict=True)
            ],
        ),
    )  # fmt: skip
    return Chart(
        name="confirmed",
        title="The front, trained again",
        caption="What is chosen among many looks better than it is: each member of the front as the"
        " search measured it, and as fresh seeds have it on test, with the 95 % interval of each alone.",
        panels=(Panel(axis, Axis("accuracy in %"), series),),
    )
