"""The learning rates that each arm tried, and the rate at which it is compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from sret_search.reporting.analyses.base import Analysis, Block, Column, Table, drawn
from sret_search.reporting.analyses.candidates import LABELS, cost_axis
from sret_search.reporting.formatting import executions, listed, percent
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, percents
from sret_search.reporting.render.colours import BLUE, GREY, shades
from sret_search.reporting.results import Results
from sret_search.search.learning_rates import Tried

_TICKS = 8
_COLUMNS = (
    Column("what", "word"), Column("executions"), Column("parameters"), Column("tried", "word"),
    Column("compared at"), Column("finding", "word"),
)  # fmt: skip


@dataclass(frozen=True)
class Tuned:
    """An arm, or a twin of an arm. Accuracies are on validation, means over the seeds that chose
    the rate, as fractions. None if a training diverged.

    Attributes:
        is_interior: whether the best rate has worse rates on both sides.
    """

    executions: int
    params: int
    is_arm: bool
    rates: list[float]
    accuracies: list[float | None]
    best: float
    is_interior: bool


def power_of_depth(competitors: list[Tuned]) -> float | None:
    """The exponent of the power of executions that the best rates of the arms follow, by least
    squares. None if fewer than two depths have a best rate."""
    arms = [competitor for competitor in competitors if competitor.is_arm]
    if len({competitor.executions for competitor in arms}) < 2:
        return None
    x = np.log([competitor.executions for competitor in arms])
    return float(np.polyfit(x, np.log([competitor.best for competitor in arms]), 1)[0])


def tuned(results: Results) -> list[Tuned]:
    """Every arm and twin whose rate is chosen, arms first, sorted by executions."""
    arms = results.study.file.arms
    if arms is None or arms.lr is None:
        return []
    tried = Tried(results.study, results.entries)
    arm_names = {arm.name for arm in results.study.grid}
    competitors = [
        Tuned(
            executions=competitor.cost.executions,
            params=competitor.cost.params,
            is_arm=competitor.name in arm_names,
            rates=choice.rates,
            accuracies=[tried.accuracy(competitor, lr) for lr in choice.rates],
            best=choice.best,
            is_interior=choice.is_interior,
        )
        for competitor in tried.competitors
        if (choice := tried.choices.get(competitor.name)) is not None
    ]
    return sorted(
        competitors,
        key=lambda competitor: (not competitor.is_arm, competitor.executions, competitor.params),
    )


def analyse(results: Results) -> Analysis:
    """The rates that were tried, and the trend of the best rate with depth."""
    competitors = results.once(tuned)
    return Analysis(
        sentences=sentences(results, competitors),
        charts=drawn(by_arm(competitors), by_depth(competitors)),
        blocks=[_block(competitors)] if competitors else [],
        facts={
            "rate_power_of_depth": power_of_depth(competitors),
            "rates": [asdict(competitor) for competitor in competitors],
        },
    )


def _block(competitors: list[Tuned]) -> Block:
    return Block(
        heading="Learning rates",
        name="rates",
        notes=[
            "Validation accuracy in % at each rate. Its seeds are not used in comparisons. If the best"
            " rate is at an end of the grid, the grid is extended there."
        ],
        table=Table(_COLUMNS, [_row(competitor) for competitor in competitors]),
    )


def _row(competitor: Tuned) -> tuple[str, ...]:
    tried = ", ".join(
        f"{rate:g}: {percent(accuracy) or 'diverged'}"
        for rate, accuracy in zip(competitor.rates, competitor.accuracies, strict=True)
    )
    return (
        "arm" if competitor.is_arm else "twin",
        f"{competitor.executions:,}",
        f"{competitor.params:,}",
        tried,
        f"{competitor.best:g}",
        "worse on both sides" if competitor.is_interior else "best at an end",
    )


def sentences(results: Results, competitors: list[Tuned]) -> list[str]:
    """Sentences with the learning rate of all arms, or of each arm."""
    study = results.study
    if study.file.arms is None:
        return []
    if study.file.arms.lr is None:
        if "recipe.lr" in study.space.axes:
            return []
        return [
            f"All arms were trained at one learning rate, {study.file.recipe.lr:g}: if it suits some arms better than others,"
            " that is part of their difference."
        ]
    if not competitors:
        return []
    text = (
        "Each arm was trained at the learning rate that is best for it on validation: "
        + ", ".join(
            f"{competitor.best:g} at {executions(competitor.executions)}"
            for competitor in competitors
            if competitor.is_arm
        )
    )
    ends = [
        f"{competitor.executions:,}" for competitor in competitors if not competitor.is_interior
    ]
    if ends:
        text += (
            f"; at {listed(ends)} executions the best rate does not have worse rates on both sides"
        )
    return [f"{text}."]


def by_arm(competitors: list[Tuned]) -> Chart | None:
    """Validation accuracy of each arm at each rate, and the rate that was chosen. None if rates are
    not chosen."""
    if not competitors:
        return None
    arms = [competitor for competitor in competitors if competitor.is_arm]
    depths = sorted({competitor.executions for competitor in arms})
    colours = dict(zip(depths, shades(len(depths)), strict=True))
    twins = [competitor for competitor in competitors if not competitor.is_arm]
    named: set[str] = set()
    series = []
    for competitor in (*twins, *arms):
        name = executions(competitor.executions) if competitor.is_arm else "twins"
        colour = colours[competitor.executions] if competitor.is_arm else GREY
        series += _tried(competitor, name, colour, name not in named)
        named.add(name)
    rates = sorted({rate for competitor in competitors for rate in competitor.rates})
    return Chart(
        name="learning_rates",
        title="The learning rate of each arm",
        caption="Validation accuracy at each rate. Its seeds are not used in comparisons. A star is the"
        " rate at which an arm is compared. A cross is such a rate without worse rates on both sides.",
        panels=(
            Panel(
                x=Axis("peak learning rate", log=True, ticks=_ticks(rates)),
                y=Axis("validation accuracy in %"),
                series=tuple(series),
            ),
        ),
    )


def by_depth(competitors: list[Tuned]) -> Chart | None:
    """The best rate of each arm against its executions. None if fewer than two depths have a best
    rate."""
    slope = power_of_depth(competitors)
    if slope is None:
        return None
    arms = [competitor for competitor in competitors if competitor.is_arm]
    x = np.array([competitor.executions for competitor in arms], float)
    best = np.array([competitor.best for competitor in arms])
    rates = sorted({rate for competitor in arms for rate in competitor.rates})
    order = np.argsort(x, kind="stable")
    tried = [(competitor, rate, value) for competitor in arms
             for rate, value in zip(competitor.rates, competitor.accuracies, strict=True)]  # fmt: skip
    series = (
        Series(
            "tried", "points", [float(competitor.executions) for competitor, _, _ in tried],
            [rate for _, rate, _ in tried], colour=GREY, hollow=True, size=5,
            hover=[
                f"{competitor.executions:,} executions\nlearning rate {rate:g}\n"
                + ("diverged" if value is None else f"{100 * value:.1f} % on validation")
                for competitor, rate, value in tried
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
        caption=f"Over these arms the best rate follows executions to the power {slope:+.2f}".replace("-", "−")
        + ", to the nearest step of the grid. Hollow: without worse rates on both sides.",
        panels=(
            Panel(
                x=cost_axis(x, LABELS["executions"]),
                y=Axis("peak learning rate", log=True, ticks=_ticks(rates)),
                series=series,
            ),
        ),
    )  # fmt: skip


def _tried(competitor: Tuned, name: str, colour: str, legend: bool) -> list[Series]:
    y = percents(competitor.accuracies)
    hover = [
        f"{name}, {competitor.params:,} parameters\nlearning rate {rate:g}\n"
        + ("diverged" if np.isnan(value) else f"{value:.1f} % on validation")
        for rate, value in zip(competitor.rates, y, strict=True)
    ]
    best = competitor.rates.index(competitor.best)
    return [
        Series(
            name, "line", competitor.rates, y, colour=colour, group=name, legend=legend, hover=hover,
            dash="solid" if competitor.is_arm else "dot", marker="circle", size=5 if competitor.is_arm else 3,
            opacity=1.0 if competitor.is_arm else 0.7,
        ),
        Series(
            name, "points", [competitor.best], y[[best]], colour=colour, group=name, legend=False,
            marker="star" if competitor.is_interior else "cross", size=13 if competitor.is_arm else 8,
            hover=[f"{hover[best]}\ncompared here"],
        ),
    ]  # fmt: skip


def _ticks(rates: list[float]) -> tuple[tuple[float, str], ...]:
    selected = rates[:: max(len(rates) // _TICKS, 1)]
    return tuple((rate, f"{rate:.3g}") for rate in selected)
