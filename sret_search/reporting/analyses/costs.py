"""Accuracy against a cost: candidates with intervals, the Pareto front, twins and reruns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sret_search.reporting.analyses import attainment, candidates
from sret_search.reporting.analyses.base import Analysis, drawn
from sret_search.reporting.analyses.candidates import (
    LABELS,
    WITH_BARS,
    accuracy_range,
    cost_axis,
    scale,
)
from sret_search.reporting.analyses.depth.numbers import Depth, depths
from sret_search.reporting.analyses.twins import LOOKS, Pair, pairs
from sret_search.reporting.published.points import published, with_published
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, percents
from sret_search.reporting.render.colours import BLUE, ORANGE, RED
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.attainment import Attained, attained

_WITH_FRONTS = ("params", "macs", "train_macs")
"""Costs for which `summary.json` has the front over seeds."""


def analyse(results: Results) -> Analysis:
    """Charts of accuracy against each cost. Executions are a cost only if no chart of depths shows
    them."""
    twins, trained = results.once(pairs), results.once(depths)
    fronts = {cost: attained(results, cost) for cost in _WITH_FRONTS}
    costs = list(_WITH_FRONTS)
    if not trained:
        costs.append("executions")
        fronts["executions"] = attained(results, "executions")
    charts = drawn(*(chart(results, cost, fronts[cost], twins, trained) for cost in costs))
    models = results.once(published)
    medians = None
    if len(results.candidates):
        medians = {cost: _front_of_seeds(fronts[cost]) for cost in _WITH_FRONTS}
    return Analysis(
        charts=[with_published(plot, models) for plot in charts], facts={"median_front": medians}
    )


def _front_of_seeds(of_seeds: Attained | None) -> dict[str, Any] | None:
    """The median front over seeds and its band, each as costs and accuracies."""
    if of_seeds is None:
        return None
    stairs = {name: getattr(of_seeds, name) for name in ("median", "low", "high")}
    return {name: {"cost": x.tolist(), "accuracy": y.tolist()} for name, (x, y) in stairs.items()} | {
        "seeds": of_seeds.seeds, "covered": of_seeds.covered,
    }  # fmt: skip


def chart(
    results: Results,
    cost: str,
    of_seeds: Attained | None = None,
    twins: Sequence[Pair] = (),
    trained: Sequence[Depth] = (),
) -> Chart | None:
    """Validation accuracy of each candidate against a cost, with the Pareto front. None if nothing
    is complete.

    Args:
        of_seeds: the median front over seeds for this cost.
        twins, trained: twins and reruns to draw with the candidates.
    """
    if not len(results.candidates):
        return None
    all_candidates = results.candidates.sort_values([cost, "executions", "params"])
    table, on_front = candidates.thinned(
        all_candidates, candidates.on_front(results, all_candidates, cost)
    )
    low, high = candidates.whiskers(results, table)
    costs, y = table[cost].to_numpy(float), 100 * table.val_accuracy.to_numpy(float)
    x = _side_by_side(costs)
    hover, colours = candidates.hover(results, table, low, high), scale(table.executions)
    is_crowded = len(table) > WITH_BARS
    size = 5.0 if is_crowded else 7.0
    points = Series(
        name="candidate", kind="points", x=x, y=y, colour=BLUE, size=size,
        low=None if is_crowded else 100 * low, high=None if is_crowded else 100 * high,
        shades=table.executions.to_numpy(float) if colours else None, hover=hover,
    )  # fmt: skip
    members = np.flatnonzero(on_front)
    rings = Series(
        name="on the front", kind="points", x=x[members], y=y[members], colour=RED, hollow=True,
        low=100 * low[members], high=100 * high[members], size=size + 4, legend=False,
        group="front", hover=[hover[i] for i in members],
    )  # fmt: skip
    controls = [
        *_twins(results, twins, cost),
        *_reruns(trained, cost, dict(zip(table.executions, x, strict=True))),
    ]
    heights = np.concatenate([y, *(np.asarray(series.y, float) for series in controls)])
    barred = on_front if is_crowded and on_front.any() else slice(None)
    span = accuracy_range(heights, 100 * low[barred], 100 * high[barred])
    lost = candidates.lost(results, cost, span[0])
    ends = [costs, *(np.asarray(series.x, float) for series in (*controls, *lost))]
    axis = cost_axis(np.concatenate(ends), LABELS[cost])
    is_cut = 100 * low[barred].min() < span[0] or 100 * high[barred].max() > span[1]
    bars_note = "; only candidates on the front have bars" if is_crowded else ""
    cut = "; some bars reach beyond the chart" if is_cut else ""
    assert axis.range is not None
    is_drawn = len(members) > 0 and results.measure == "accuracy"
    fronts = [
        *attainment.series(of_seeds, axis.range[1]),
        *([_steps(x[members], y[members], axis.range[1])] if is_drawn else []),
    ]
    moved = " Points of equal cost stand side by side around that cost, in order of depth."
    if of_seeds is not None:
        moved += " The median front and its band are drawn at the cost itself."
    note = "" if np.array_equal(x, costs) else moved
    drawn = candidates.drawn_note(len(table), len(all_candidates))
    return Chart(
        name=f"accuracy_{cost}",
        title=f"Accuracy against {LABELS[cost].split(' (')[0]}{_unit_text(cost)}{drawn}",
        caption="Validation accuracy of each candidate, the mean over its seeds, with its 95 %"
        f" interval{bars_note}{cut}. The front is that of mean validation {results.measure}, without"
        f" candidates of which a seed diverged or failed.{attainment.caption(of_seeds)}{note}",
        panels=(
            Panel(
                x=axis,
                y=Axis("validation accuracy in %", range=span),
                series=(*fronts, *controls, points, rings, *lost),
                scale=colours,
            ),
        ),
        bars=attainment.bars(of_seeds),
    )


def _unit_text(cost: str) -> str:
    return {"macs": " of one image", "train_macs": " of one training"}.get(cost, "")


def _steps(x: np.ndarray, y: np.ndarray, end: float) -> Series:
    """The front up to the cost `end`: candidates that cost more need not be worse."""
    return Series(
        name="Pareto front of the means", kind="step", colour=RED, group="front",
        x=np.append(x, end), y=np.append(y, y[-1]),
    )  # fmt: skip


def _twins(results: Results, twins: Sequence[Pair], cost: str) -> list[Series]:
    """The twins of each kind, each drawn once, at their own costs."""
    complete = results.having("twin")
    kinds_drawn = []
    for control, (colour, marker) in LOOKS.items():
        of_kind = {pair.twin: pair for pair in twins if pair.control == control}
        complete_pairs = [pair for name, pair in of_kind.items() if name in complete]
        complete_pairs = complete_pairs[:: len(complete_pairs) // candidates.DRAWN + 1]
        if not complete_pairs:
            continue
        y = [
            float(np.mean([entry.result.accuracy("val") for entry in complete[pair.twin]]))
            for pair in complete_pairs
        ]
        kinds_drawn.append(
            Series(
                name=f"twin: {control}",
                kind="points",
                x=[float(getattr(pair, cost)) for pair in complete_pairs],
                y=percents(y),
                colour=colour,
                marker=marker,
                hollow=True,
                size=6,
                hover=[
                    f"{pair.twin}\n{control} twin of {pair.candidate}\n{pair.params:,} parameters\n"
                    f"{pair.macs:,} MACs, {pair.train_macs:.3g} of training\n"
                    f"{pair.executions:,} executions\n{100 * accuracy:.1f} %"
                    for pair, accuracy in zip(complete_pairs, y, strict=True)
                ],
            )
        )
    return kinds_drawn


def _reruns(trained: Sequence[Depth], cost: str, places: dict[int, float]) -> list[Series]:
    """The reference's weights at the depth of each arm, if this cost is the same for both."""
    reference = next((depth for depth in trained if depth.is_reference), None)
    if reference is None:
        return []
    rerun = [d for d in trained if d.rerun_val is not None and d.executions in places]
    if not rerun:
        return []
    # One training serves all depths at which its weights run.
    x = [places[reference.executions if cost == "train_macs" else d.executions] for d in rerun]
    y = percents([depth.rerun_val for depth in rerun])
    return [
        Series(
            name=f"rerun control (trained at {reference.executions:,})",
            kind="points",
            x=x,
            y=y,
            colour=ORANGE,
            marker="square",
            hollow=True,
            hover=[
                f"trained at {reference.executions:,} executions\nrerun at {depth.executions:,}\n{value:.1f} %"
                for depth, value in zip(rerun, y, strict=True)
            ],
        )
    ]


def _side_by_side(costs: np.ndarray) -> np.ndarray:
    """Places for points in ascending order of cost. Points of equal cost, which would hide each
    other, stand side by side."""
    x = costs.copy()
    for value in np.unique(costs):
        equal = np.flatnonzero(costs == value)
        step = min(0.03, 0.12 / len(equal))
        x[equal] = value * (1 + step * (np.arange(len(equal)) - (len(equal) - 1) / 2))
    return x
