"""The plots of a report, as Matplotlib figures."""

from __future__ import annotations

import matplotlib

matplotlib.use("agg")

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from sret_search.reporting import beside, intervals
from sret_search.reporting.compared import Compared
from sret_search.reporting.depth import Depth
from sret_search.reporting.elastic import Elastic
from sret_search.reporting.results import Results
from sret_search.reporting.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    STYLE,
    UNITS,
    cost_axis,
    depth_axis,
    entitle,
    percent,
    sign,
    subplots,
    thousands,
)
from sret_search.reporting.words import PARTS
from sret_search.search import front

_DRAWN = 1000
"""Candidates that are drawn, besides the front, where there are more: the eye tells no more apart,
and a page stays one that can be opened."""


def draw(results: Results, compared: Compared, footer: str) -> dict[str, Figure]:
    """Every plot that the results allow, by file name."""
    depths, elastics = compared.depths, compared.elastics
    with plt.rc_context(STYLE):
        figures = {}
        if len(results.candidates):
            figures["accuracy_executions"] = (
                against_depth(depths, results, footer)
                if depths
                else against_executions(results, footer)
            )
        if elastics:
            figures["accuracy_elastic"] = elastic_depths(elastics, results, footer)
        if compared.confirmed:
            figures["confirmed"] = beside.confirmed_front(compared.confirmed, results, footer)
        if compared.pairs:
            figures["twins"] = beside.twins(compared.pairs, results, footer)
        if compared.tuned:
            figures["learning_rates"] = beside.learning_rates(compared.tuned, results, footer)
        return figures


def against_cost(results: Results, cost: str, footer: str) -> Figure:
    """Validation accuracy of each candidate against a cost, with the Pareto front drawn."""
    figure, (axes,) = subplots(1, (7, 4.6))
    every = results.candidates.sort_values([cost, "executions"])
    on_front = front.pareto(every.val_accuracy, every[cost])
    table, on_front = _thinned(every, on_front)
    low, high = _whiskers(results, table)
    x = _side_by_side(table[cost].to_numpy(float))
    axes.errorbar(
        x, 100 * table.val_accuracy, [100 * low, 100 * high],
        fmt="none", ecolor=GREY, elinewidth=1, alpha=0.5, zorder=1,
    )  # fmt: skip
    colours = axes.scatter(
        x, 100 * table.val_accuracy, c=table.executions, s=45, zorder=3,
        cmap="viridis", norm=_executions_norm(table.executions), edgecolors="white", linewidths=0.6,
    )  # fmt: skip
    best = 100 * table[on_front].val_accuracy
    axes.step(x[on_front], best, where="post", color=RED, linewidth=1.4, zorder=2)
    axes.scatter(
        x[on_front], best, s=130, facecolors="none", edgecolors=RED,
        linewidths=1.4, zorder=4, label="Pareto front",
    )  # fmt: skip
    if table.executions.nunique() > 1:
        bar = figure.colorbar(colours, ax=axes, label="executions", format=thousands())
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    ended = results.searched[results.searched.state != "running"]
    cost_axis(axes, ended[cost].to_numpy(float), UNITS[cost])
    if not np.array_equal(x, table[cost]):
        axes.set_xlabel(f"{UNITS[cost]} (points of equal {cost} stand side by side, by depth)")
    _mark_diverged(axes, results, cost)
    axes.set_ylabel("validation accuracy in %")
    axes.legend(loc="best")
    text = f"{results.name}: accuracy against {UNITS[cost].split(' (')[0]}"
    entitle(axes, text + _how_many(table, every), footer)
    return figure


def against_executions(results: Results, footer: str) -> Figure:
    """Validation accuracy of each candidate against its executions."""
    figure, (axes,) = subplots(1, (7, 4.6))
    every = results.candidates.sort_values("executions")
    table, _ = _thinned(every, front.pareto(every.val_accuracy, every.executions))
    low, high = _whiskers(results, table)
    axes.errorbar(
        table.executions, 100 * table.val_accuracy, [100 * low, 100 * high],
        fmt="o", color=BLUE, ecolor=GREY, elinewidth=1, alpha=0.8,
    )  # fmt: skip
    _mark_diverged(axes, results, "executions")
    depth_axis(axes, results.searched.executions.to_numpy(float))
    axes.set_ylabel("validation accuracy in %")
    text = f"{results.name}: accuracy against executions"
    entitle(axes, text + _how_many(table, every), footer)
    return figure


def against_depth(depths: list[Depth], results: Results, footer: str) -> Figure:
    """Accuracy of trained depths beside rerun controls, on validation and on test."""
    figure, panels = subplots(2, (11, 4.8))
    x = np.array([depth.executions for depth in depths], float)
    reference = next((d.executions for d in depths if d.is_reference), None)
    _, val_images, test_images = results.description["data"]["sizes"]
    for axes, part, images in zip(panels, ("val", "test"), (val_images, test_images), strict=True):
        trained = 100 * np.array([getattr(depth, part) for depth in depths])
        bounds = 100 * np.array([getattr(depth, f"{part}_interval") for depth in depths])
        axes.fill_between(x, bounds[:, 0], bounds[:, 1], color=BLUE, alpha=0.13, linewidth=0)
        axes.plot(x, trained, "o-", color=BLUE, label="trained at this depth", zorder=3)
        if reference is not None:
            axes.plot(
                x, percent([getattr(d, f"rerun_{part}") for d in depths]), "s--", color=ORANGE,
                markerfacecolor="white", label=f"trained at {reference}, rerun at this depth",
            )  # fmt: skip
            axes.plot(
                x, percent([getattr(d, f"back_{part}") for d in depths]), "^:", color=GREEN,
                markerfacecolor="white", label=f"trained at this depth, rerun at {reference}",
            )  # fmt: skip
        depth_axis(axes, results.searched.executions.to_numpy(float))
        name = {"val": "validation", "test": "test, of arms declared before training"}[part]
        axes.set_title(f"{name} ({images} images)", fontsize=10, loc="left")
    _mark_diverged(panels[0], results, "executions")
    panels[0].set_ylabel("accuracy in %")
    panels[1].legend(loc="best", fontsize=9)
    figure.suptitle(f"{results.name}: what depth buys", x=0.01, ha="left", fontsize=11)
    sign(figure, footer)
    return figure


def elastic_depths(elastics: list[Elastic], results: Results, footer: str) -> Figure:
    """Each elastic candidate at its depths, beside weights trained for one depth alone."""
    compared = any(rung.gap_interval for elastic in elastics for rung in elastic.rungs)
    figure, panels = subplots(1 + compared, (7 + 4 * compared, 4.6), sharey=False)
    accuracy, gaps = panels[0], panels[-1]
    for elastic, colour in zip(elastics, (BLUE, GREEN, RED), strict=False):
        x = np.array([rung.executions for rung in elastic.rungs], float)
        y = percent([rung.accuracy for rung in elastic.rungs])
        accuracy.plot(x, y, "o-", color=colour, zorder=3, label=f"one model ({elastic.mode})")
        alone = percent([rung.alone for rung in elastic.rungs])
        if not np.isnan(alone).all():
            accuracy.plot(
                x, alone, "s--", color=ORANGE, markerfacecolor="white",
                label="a model for each depth alone",
            )  # fmt: skip
        both = [rung for rung in elastic.rungs if rung.gap_interval]
        if both:
            middle = percent([rung.gap for rung in both])
            ends = 100 * np.array([rung.gap_interval for rung in both]).T
            gaps.errorbar(
                [rung.executions for rung in both], middle, abs(ends - middle), fmt="o",
                color=colour, elinewidth=1, capsize=3,
            )  # fmt: skip
    part = PARTS[elastics[0].part]
    for panel in panels:
        depth_axis(panel, np.array([r.executions for each in elastics for r in each.rungs]))
    accuracy.set_ylabel(f"{part} accuracy in %")
    accuracy.legend(loc="best")
    if compared:
        gaps.axhline(0, color=GREY, linewidth=1)
        gaps.set_ylabel("one model less a model alone, points")
        gaps.set_title("gap, paired by seed", fontsize=10, loc="left")
    entitle(accuracy, f"{results.name}: one set of weights at every depth", footer)
    return figure


def _thinned(table: pd.DataFrame, on_front: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """The front and an even part of all others, and which of them are the front."""
    others = np.flatnonzero(~on_front)
    if len(others) <= _DRAWN:
        return table, on_front
    drawn = on_front.copy()
    drawn[others[np.linspace(0, len(others) - 1, _DRAWN).astype(int)]] = True
    return table[drawn], on_front[drawn]


def _how_many(drawn: pd.DataFrame, every: pd.DataFrame) -> str:
    """For the title, where not all are drawn."""
    if len(drawn) == len(every):
        return ""
    return f" ({len(drawn):,} of {len(every):,} candidates are drawn, all of the front)"


def _whiskers(results: Results, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Distances from each candidate's mean to the ends of its interval."""
    images = results.description["data"]["sizes"][1]
    values = results.compared.groupby("candidate").val_accuracy.agg(list)
    bounds = [intervals.accuracy(values[candidate], images) for candidate in table.candidate]
    low, high = np.array(bounds).T
    accuracies = table.val_accuracy.to_numpy(float)
    return np.maximum(accuracies - low, 0), np.maximum(high - accuracies, 0)


def _side_by_side(costs: np.ndarray) -> np.ndarray:
    """Places for points in ascending order of cost, where equal costs would hide each other."""
    x = costs.copy()
    for value in np.unique(costs):
        same = np.flatnonzero(costs == value)
        x[same] = value * (1 + 0.03 * (np.arange(len(same)) - (len(same) - 1) / 2))
    return x


def _executions_norm(executions: pd.Series) -> matplotlib.colors.Normalize:
    low, high = float(executions.min()), float(executions.max())
    if low == high:
        return matplotlib.colors.Normalize(low - 1, high + 1)
    return matplotlib.colors.LogNorm(low, high)


def _mark_diverged(axes: Axes, results: Results, cost: str) -> None:
    """Crosses on the lower edge, where an accuracy would be, had there been one."""
    lost = results.searched[results.searched.state.isin(["diverged", "failed"])]
    if len(lost):
        axes.plot(
            lost[cost], [0.02] * len(lost), "x", color=RED, markersize=9, markeredgewidth=2,
            transform=axes.get_xaxis_transform(), clip_on=False, label="diverged or failed",
        )  # fmt: skip
        axes.legend(loc="best")
