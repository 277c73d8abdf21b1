"""The learning rates that each arm tried, and how the best one moves with depth."""

from __future__ import annotations

import numpy as np

from sret_search.reporting.charts.chart import Axis, Chart, Panel, Series, percent
from sret_search.reporting.charts.colours import BLUE, GREY, shades
from sret_search.reporting.charts.cost import LABELS, cost_axis
from sret_search.reporting.learning_rates import Tuned, power_of_depth

_TICKS = 8


def by_arm(tuned: list[Tuned]) -> Chart | None:
    """What each arm reached on validation at each rate, and which it was given; None where rates
    are not chosen."""
    if not tuned:
        return None
    arms = [one for one in tuned if one.is_arm]
    depths = sorted({one.executions for one in arms})
    colours = dict(zip(depths, shades(len(depths)), strict=True))
    twins = [one for one in tuned if not one.is_arm]
    said: set[str] = set()
    series = []
    for one in (*twins, *arms):
        name = f"{one.executions:,} executions" if one.is_arm else "twins"
        colour = colours[one.executions] if one.is_arm else GREY
        series += _tried(one, name, colour, name not in said)
        said.add(name)
    rates = sorted({rate for one in tuned for rate in one.rates})
    return Chart(
        name="learning_rates",
        title="The learning rate of each arm",
        caption="Validation accuracy at each rate, of seeds that train nothing that is compared. A"
        " star is the rate at which an arm is compared; a cross one at an end, where no rate was"
        " found that has worse ones on both sides.",
        panels=(
            Panel(
                x=Axis("peak learning rate", log=True, ticks=_ticks(rates)),
                y=Axis("validation accuracy in %"),
                series=tuple(series),
            ),
        ),
    )


def by_depth(tuned: list[Tuned]) -> Chart | None:
    """The best rate of each arm against its executions; None where fewer than two depths have
    one."""
    slope = power_of_depth(tuned)
    if slope is None:
        return None
    arms = [one for one in tuned if one.is_arm]
    x = np.array([one.executions for one in arms], float)
    best = np.array([one.best for one in arms])
    rates = sorted({rate for one in arms for rate in one.rates})
    order = np.argsort(x, kind="stable")
    tried = [(one, rate, value) for one in arms
             for rate, value in zip(one.rates, one.accuracies, strict=True)]  # fmt: skip
    series = (
        Series(
            "tried", "points", [float(one.executions) for one, _, _ in tried],
            [rate for _, rate, _ in tried], colour=GREY, hollow=True, size=5,
            hover=[
                f"{one.executions:,} executions\nlearning rate {rate:g}\n"
                + ("diverged" if value is None else f"{100 * value:.1f} % on validation")
                for one, rate, value in tried
            ],
        ),
        Series(
            "best on validation", "line", x[order], best[order], colour=BLUE, marker="circle",
            hollow=[not arms[i].is_interior for i in order],
            hover=[f"{arms[i].executions:,} executions\nbest at {arms[i].best:g}" for i in order],
        ),
    )  # fmt: skip
    return Chart(
        name="rate_depth",
        title="The best learning rate against depth",
        caption=f"Over these arms the best rate goes as executions to the power {slope:+.2f}".replace("-", "−")
        + ", to the nearest step of the grid. Hollow: at an end of what was tried.",
        panels=(
            Panel(
                x=cost_axis(x, LABELS["executions"]),
                y=Axis("peak learning rate", log=True, ticks=_ticks(rates)),
                series=series,
            ),
        ),
    )  # fmt: skip


def _tried(one: Tuned, name: str, colour: str, legend: bool) -> list[Series]:
    y = percent(one.accuracies)
    hover = [
        f"{name}, {one.params:,} parameters\nlearning rate {rate:g}\n"
        + ("diverged" if np.isnan(value) else f"{value:.1f} % on validation")
        for rate, value in zip(one.rates, y, strict=True)
    ]
    best = one.rates.index(one.best)
    return [
        Series(
            name, "line", one.rates, y, colour=colour, group=name, legend=legend, hover=hover,
            dash="solid" if one.is_arm else "dot", marker="circle", size=5 if one.is_arm else 3,
            opacity=1.0 if one.is_arm else 0.7,
        ),
        Series(
            name, "points", [one.best], y[[best]], colour=colour, group=name, legend=False,
            marker="star" if one.is_interior else "cross", size=13 if one.is_arm else 8,
            hover=[f"{hover[best]}\ncompared here"],
        ),
    ]  # fmt: skip


def _ticks(rates: list[float]) -> tuple[tuple[float, str], ...]:
    some = rates[:: max(len(rates) // _TICKS, 1)]
    return tuple((rate, f"{rate:.3g}") for rate in some)
