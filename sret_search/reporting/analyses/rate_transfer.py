"""The best learning rate at each depth, where a grid crosses learning rates with loops."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sret_search.reporting.analyses.base import Analysis, Block, Column, Table
from sret_search.reporting.formatting import listed
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series
from sret_search.reporting.render.colours import shades
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import intervals
from sret_search.reporting.statistics.intervals import Interval
from sret_search.trials.trial import TrialRecord

_RATE = "recipe.lr"
_FEWEST = 3
"""Fewest rates among which a best rate may lie."""

Losses = dict[int, dict[int, dict[float, float]]]
"""Validation loss by executions, seed and rate. A training that diverged has an infinite loss."""


@dataclass(frozen=True)
class BestRate:
    """The learning rate of the lowest validation loss at a depth.

    Attributes:
        rate: geometric mean over the seeds. The rate of a seed is at the lowest point of the
            parabola, in the logarithm of the rate, through its best rate and both neighbours.
        interval: at 95 % over seeds; None with one seed.
        at_end: seeds whose best rate is the lowest or the highest that was tried.
        rates, losses: mean loss over the seeds at each rate; infinite if a seed diverged.
    """

    executions: int
    rate: float
    interval: Interval | None
    at_end: int
    rates: list[float]
    losses: list[float]


@dataclass(frozen=True)
class Transfer:
    """The best rates of candidates that differ in loops only.

    Attributes:
        group: values of the other axes.
        power: exponent of executions that the best rate follows, by least squares; the mean over
            seeds.
        interval: interval of `power` at 95 % over seeds; None with one seed.
    """

    group: dict[str, Any]
    seeds: int
    best: list[BestRate]
    power: float
    interval: Interval | None


def analyse(results: Results) -> Analysis:
    """Whether a rate that is best at one depth is best at another."""
    transfers = results.once(transferred)
    if not transfers:
        return Analysis()
    return Analysis(
        sentences=[_sentence(transfer) for transfer in transfers],
        charts=[_chart(transfers)],
        blocks=[_block(transfers)],
        facts={"rate_transfer": [asdict(transfer) for transfer in transfers]},
    )


def transferred(results: Results) -> list[Transfer]:
    """The best rates at each depth, for each group of candidates that differ in loops and rate
    only. Empty unless the study's grid crosses at least three rates with at least two depths, and
    has ended."""
    study = results.study
    axis = study.space.axes.get(_RATE)
    if axis is None or axis.choices is None or len(axis.choices) < _FEWEST:
        return []
    if not study.file.search.entry.exhaustive or study.file.arms is not None:
        return []
    groups: dict[str, list[TrialRecord]] = defaultdict(list)
    for entry in results.comparable:
        if entry.state in ("complete", "diverged"):
            groups[json.dumps(_group(entry.values), sort_keys=True)].append(entry)
    if sum(map(len, groups.values())) < study.trials:
        return []
    transfers = [_transfer(json.loads(group), entries) for group, entries in groups.items()]
    return [transfer for transfer in transfers if transfer is not None]


def _group(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial without its rate and its loops."""
    return {
        path: value
        for path, value in values.items()
        if path != _RATE and not path.endswith(".loops")
    }


def _transfer(group: dict[str, Any], entries: list[TrialRecord]) -> Transfer | None:
    """The best rates of a group. None unless all seeds have all rates at two or more depths."""
    losses: Losses = defaultdict(lambda: defaultdict(dict))
    for entry in entries:
        loss = entry.result.val_loss
        known = entry.state == "complete" and loss is not None and math.isfinite(loss)
        by_rate = losses[int(entry.cost["executions"])][entry.seed]
        by_rate[float(entry.values[_RATE])] = float(loss) if known and loss else math.inf
    seeds = sorted({seed for by_seed in losses.values() for seed in by_seed})
    rates = sorted({rate for by_seed in losses.values() for by in by_seed.values() for rate in by})
    complete = all(
        set(by_seed.get(s, ())) == set(rates) for by_seed in losses.values() for s in seeds
    )
    if len(losses) < 2 or len(rates) < _FEWEST or not complete:
        return None
    depths = sorted(losses)
    # Rows are seeds, columns are depths.
    chosen = np.array([[_lowest(losses[depth][seed]) for depth in depths] for seed in seeds])
    best = []
    for depth, column in zip(depths, chosen.T, strict=True):
        low, high = math.log(rates[0]), math.log(rates[-1])
        best.append(
            BestRate(
                executions=depth,
                rate=math.exp(float(column.mean())),
                interval=_interval(column, _step(rates), math.exp),
                at_end=int(np.sum((column <= low) | (column >= high))),
                rates=rates,
                losses=[float(np.mean([losses[depth][s][rate] for s in seeds])) for rate in rates],
            )
        )
    powers = np.polyfit(np.log(depths), chosen.T, 1)[0]
    least = _step(rates) / math.log(depths[-1] / depths[0])
    return Transfer(group, len(seeds), best, float(powers.mean()), _interval(powers, least))


def _lowest(losses: Mapping[float, float]) -> float:
    """Logarithm of the rate at which the loss is lowest, by a parabola through three rates."""
    rates = sorted(losses)
    place = min(range(len(rates)), key=lambda i: losses[rates[i]])
    x = np.log(rates)
    around = [losses[rates[i]] for i in (place - 1, place, place + 1) if 0 <= i < len(rates)]
    if len(around) < _FEWEST or not np.isfinite(around).all():
        return float(x[place])
    bend, slope, _ = np.polyfit(x[place - 1 : place + 2] - x[place], around, 2)
    return float(x[place] - slope / (2 * bend)) if bend > 0 else float(x[place])


def _step(rates: list[float]) -> float:
    """A quarter of the step between two rates, in logarithms: the least deviation over seeds. A
    few seeds with the same best rate would otherwise seem certain."""
    return math.log(rates[-1] / rates[0]) / (len(rates) - 1) / 4


def _interval(values: np.ndarray, least: float, scale: Any = float) -> Interval | None:
    if len(values) < 2:
        return None
    low, high = intervals.mean(list(values), least)
    return scale(low), scale(high)


def _name(transfer: Transfer) -> str:
    values = [str(value) for value in transfer.group.values() if value is not None]
    return ", ".join(values) or "all candidates"


def _power(transfer: Transfer) -> str:
    text = f"{transfer.power:+.2f}"
    if transfer.interval is not None:
        low, high = transfer.interval
        text += f" (95 % interval {low:+.2f} to {high:+.2f} over {transfer.seeds} seeds)"
    return text.replace("-", "−")


def _sentence(transfer: Transfer) -> str:
    text = (
        f"The learning rate of the lowest validation loss ({_name(transfer)}) is "
        + listed([f"{best.rate:.2g} at {best.executions:,}" for best in transfer.best])
        + f" executions. It follows executions to the power {_power(transfer)}"
    )
    if transfer.interval is None:
        return f"{text}; one seed gives no interval."
    low, high = transfer.interval
    if low <= 0 <= high:
        text += ": no change with depth was measured"
    else:
        text += f": a deeper candidate needs a {'lower' if high < 0 else 'higher'} rate"
    ends = [f"{best.executions:,}" for best in transfer.best if best.at_end]
    if ends:
        text += (
            f". At {listed(ends)} executions some seeds have their best rate at an end of the grid"
        )
    return f"{text}."


def _block(transfers: list[Transfer]) -> Block:
    columns = (
        Column("candidates", "wrap"), Column("executions"), Column("best rate"),
        Column("95 % interval"), Column("at an end, seeds"),
    )  # fmt: skip
    rows = [
        (
            _name(transfer) if i == 0 else "",
            f"{best.executions:,}",
            f"{best.rate:.2g}",
            "" if best.interval is None else "{:.2g} to {:.2g}".format(*best.interval),
            str(best.at_end),
        )
        for transfer in transfers
        for i, best in enumerate(transfer.best)
    ]
    return Block(
        heading="The best learning rate at each depth",
        name="rate_transfer",
        notes=[
            "The rate of the lowest validation loss: of each seed the lowest point of a parabola through"
            " its best rate and both neighbours; then the geometric mean over the seeds."
        ],
        table=Table(columns, rows),
    )


def _chart(transfers: list[Transfer]) -> Chart:
    depths = sorted({best.executions for transfer in transfers for best in transfer.best})
    colours = dict(zip(depths, shades(len(depths)), strict=True))
    panels = []
    for transfer in transfers:
        series = []
        for best in transfer.best:
            name = f"{best.executions:,} execution{'s' if best.executions > 1 else ''}"
            loss = [value if math.isfinite(value) else math.nan for value in best.losses]
            nearest = float(np.interp(math.log(best.rate), np.log(best.rates), loss))
            colour = colours[best.executions]
            series += [
                Series(
                    name, "line", best.rates, loss, colour=colour, marker="circle", size=4,
                    group=name, legend=transfer is transfers[0],
                    hover=[f"{name}\nlearning rate {rate:g}\nloss {value:.3g}"
                           for rate, value in zip(best.rates, best.losses, strict=True)],
                ),
                Series(
                    name, "points", [best.rate], [nearest], colour=colour, marker="star", size=12,
                    left=None if best.interval is None else [best.interval[0]],
                    right=None if best.interval is None else [best.interval[1]],
                    group=name, legend=False, hover=[f"{name}\nlowest at {best.rate:.2g}"],
                ),
            ]  # fmt: skip
        ticks = tuple((rate, f"{rate:.3g}") for rate in transfer.best[0].rates)
        panels.append(
            Panel(
                x=Axis("peak learning rate", log=True, ticks=ticks),
                y=Axis("validation loss", log=True),
                series=tuple(series),
                title=_name(transfer),
            )
        )
    powers = "; ".join(f"{_name(transfer)} {_power(transfer)}" for transfer in transfers)
    return Chart(
        name="rate_transfer",
        title="The best learning rate at each depth",
        caption="Mean validation loss over seeds at each rate. A star is the lowest point, with its 95 %"
        f" interval over seeds. No point: a seed diverged at this rate. Power of executions that the best rate follows: {powers}.",
        panels=tuple(panels),
    )
