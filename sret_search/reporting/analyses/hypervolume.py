"""The hypervolume of a study, and its growth with the number of complete trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sret_search import pareto
from sret_search.reporting.analyses.base import Analysis, drawn
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series
from sret_search.reporting.render.colours import BLUE, cycle
from sret_search.reporting.results import Results

_PLACES = 200


@dataclass(frozen=True)
class Growth:
    """Hypervolume of accuracy × log10 parameters after each number of complete trials.

    Each value uses the means over the seeds known at that moment, never the best observed runs. It
    falls when another seed shows that a candidate was lucky. Candidates of which a seed diverged or
    failed are left out, from the beginning.

    Attributes:
        accuracy, params: the reference point: chance, and the maximum of the budget.
    """

    trials: list[int]
    volume: list[float]
    accuracy: float
    params: float


def reference(results: Results) -> tuple[float, float] | None:
    """Accuracy and parameters of the reference point. None if the budget has no maximum."""
    study = results.study
    setting = study.file.report.hypervolume_reference
    budget = study.space.budget.params.max
    max_params = budget if isinstance(setting.params, str) else setting.params
    if max_params is None:
        return None
    chance = setting.accuracy
    classes = study.space.architecture.classes
    return (1 / classes if chance is None else chance), max_params


def growth(results: Results, point: tuple[float, float] | None = None) -> Growth | None:
    """The hypervolume after every complete trial, or after a selection if there are very many. None
    if it is not defined, or no trial is complete.

    Args:
        point: accuracy and parameters of a reference other than that of the study.
    """
    sound = set(results.sound.candidate)
    complete = [entry for entry in results.complete if entry.candidate in sound]
    point = point or reference(results)
    if point is None or not complete:
        return None
    chance, max_params = point
    costs = {entry.candidate: entry.cost["params"] for entry in complete}
    order = sorted(costs, key=lambda name: costs[name])
    place = {name: i for i, name in enumerate(order)}
    log_max_params = math.log10(max_params)
    # Candidates that cost more than the reference have no width.
    x = np.array([min(math.log10(costs[name]), log_max_params) for name in order])
    widths = np.diff(x, append=log_max_params)
    sums, counts = np.zeros(len(order)), np.zeros(len(order))
    sampled = set(np.unique(np.linspace(1, len(complete), _PLACES).astype(int)).tolist())
    trials, volume = [], []
    for number, entry in enumerate(complete, 1):
        i = place[entry.candidate]
        sums[i] += entry.result.accuracy("val")
        counts[i] += 1
        if number in sampled:
            means = np.divide(sums, counts, out=np.full(len(order), chance), where=counts > 0)
            best = np.maximum.accumulate(np.maximum(means, chance))
            trials.append(number)
            volume.append(float(((best - chance) * widths).sum()))
    return Growth(trials, volume, chance, float(max_params))


def analyse(results: Results) -> Analysis:
    """The hypervolume and its growth."""
    return Analysis(charts=drawn(chart(growth(results))), facts={"hypervolume": _facts(results)})


def _facts(results: Results) -> dict[str, float] | None:
    point = reference(results)
    if point is None or not len(results.candidates):
        return None
    chance, max_params = point
    table = results.sound
    area = pareto.hypervolume(table.val_accuracy, table.params, chance, max_params)
    return {"value": area, "accuracy": chance, "params": max_params}


def chart(growth: Growth | None) -> Chart | None:
    """Hypervolume against complete trials. None with fewer than two."""
    if growth is None:
        return None
    return overlaid({"hypervolume of running means": growth})


def overlaid(growths: Mapping[str, Growth]) -> Chart | None:
    """Hypervolume against complete trials of several studies, by their names in the legend, with
    the same reference point. None if there is nothing to draw."""
    growing = {name: growth for name, growth in growths.items() if len(growth.trials) > 1}
    if not growing:
        return None
    first_growth, colours = (
        next(iter(growing.values())),
        cycle(len(growing)) if len(growing) > 1 else [BLUE],
    )
    return Chart(
        name="hypervolume",
        title="Hypervolume over trials",
        caption="Area of accuracy × log10 parameters that the candidates dominate. The reference point is"
        f" {100 * first_growth.accuracy:g} % accuracy and {first_growth.params:,.0f} parameters. Each value"
        " uses the means over the seeds that were complete by then. It falls where another seed shows"
        " that a candidate was lucky.",
        panels=(
            Panel(
                x=Axis("complete trials, by number", whole=True),
                y=Axis("hypervolume (accuracy × decades)"),
                series=tuple(
                    Series(
                        name, "step", growth.trials, growth.volume, colour=colour,
                        hover=[f"{name}\nafter {trials:,} trials\n{volume:.4f}" for trials, volume
                               in zip(growth.trials, growth.volume, strict=True)],
                    )
                    for (name, growth), colour in zip(growing.items(), colours, strict=True)
                ),
            ),
        ),
        height=4.0,
    )  # fmt: skip
