"""Plots of what stands beside a study's candidates: twins, learning rates, confirmation."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from sret_search.reporting.confirmed import Confirmed
from sret_search.reporting.results import Results
from sret_search.reporting.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    cost_axis,
    entitle,
    percent,
    shades,
    subplots,
)
from sret_search.reporting.tuned import Tuned
from sret_search.reporting.twins import Pair
from sret_search.reporting.words import PARTS

_PURPLE = "#CC79A7"
_CONTROLS = {
    "unshared": (BLUE, "o", "unshared: a block of its own for each execution"),
    "shallow": (ORANGE, "s", "shallow: each block run once"),
    "iso_params": (GREEN, "^", "iso_params: shallow, as wide as gives the parameters"),
    "iso_macs": (RED, "D", "iso_macs: shallow, as wide as gives the multiply-adds"),
    "iso_train_macs": (_PURPLE, "v", "iso_train_macs: shallow, trained as many multiply-adds"),
}
_ROWS = 12
"""Candidates that are drawn beside their twins: the most accurate ones."""


def twins(pairs: list[Pair], results: Results, footer: str) -> Figure:
    """How much better each candidate is than each of its twins."""
    by_candidate: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_candidate.setdefault(pair.candidate, []).append(pair)
    best = sorted(by_candidate.values(), key=lambda own: -own[0].accuracy)[:_ROWS]
    rows = sorted(best, key=lambda own: own[0].candidate_executions)
    kinds = [kind for kind in _CONTROLS if any(pair.control == kind for pair in pairs)]
    figure, (axes,) = subplots(1, (9, 1.8 + 0.17 * len(kinds) + 0.2 * len(rows) * (len(kinds) + 1)))
    for place, own in enumerate(rows):
        for pair in own:
            if pair.difference is None:
                continue
            colour, marker, _ = _CONTROLS[pair.control]
            offset = (kinds.index(pair.control) - (len(kinds) - 1) / 2) / (len(kinds) + 1)
            gain, y = 100 * pair.difference, place + offset
            if pair.interval is not None:
                axes.plot([100 * end for end in pair.interval], [y, y], color=colour, linewidth=1.3)
            filled = colour if pair.is_matched else "white"
            axes.plot(gain, y, marker, color=colour, markerfacecolor=filled, markersize=6)
    for kind in kinds:
        colour, marker, label = _CONTROLS[kind]
        axes.plot([], [], marker, color=colour, label=label)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(rows)), [_name(own[0]) for own in rows])
    axes.set_ylim(len(rows) - 0.45, -0.55)
    part = PARTS[pairs[0].part]
    axes.set_xlabel(f"{part} accuracy of the candidate less that of its twin, points")
    figure.legend(loc="outside upper left", fontsize=8, ncols=2)
    hollow = "" if all(p.is_matched for p in pairs) else "; hollow: cost off by more than 2 %"
    entitle(axes, f"{results.name}: candidates beside their twins{hollow}", footer)
    return figure


def learning_rates(tuned: list[Tuned], results: Results, footer: str) -> Figure:
    """What each arm reached on validation at each learning rate, and which it was given."""
    figure, (axes,) = subplots(1, (7, 4.6))
    depths = sorted({one.executions for one in tuned if one.is_arm})
    colours = dict(zip(depths, shades(len(depths)), strict=True))
    for one in tuned:
        y = percent(one.accuracies)
        best = y[one.rates.index(one.best)]
        if not one.is_arm:
            axes.plot(one.rates, y, ":", color=GREY, linewidth=1, alpha=0.7, zorder=1)
            axes.plot(one.best, best, "*", color=GREY, markersize=8, zorder=2)
            continue
        colour = colours[one.executions]
        axes.plot(
            one.rates, y, "o-", color=colour, markersize=4, label=f"{one.executions:,}", zorder=3
        )
        axes.plot(
            one.best, best, "*" if one.is_interior else "X", color=colour, markersize=14,
            markeredgecolor="white", zorder=4,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    rates = sorted({rate for one in tuned for rate in one.rates})
    axes.set_xticks(rates[:: max(len(rates) // 8, 1)])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("peak learning rate")
    axes.set_ylabel("validation accuracy in %, of the seeds that choose")
    if any(not one.is_arm for one in tuned):
        axes.plot([], [], ":", color=GREY, label="twins")
    axes.legend(title="executions", loc="best", fontsize=8)
    entitle(axes, f"{results.name}: each arm at each rate; a star is where it is compared", footer)
    return figure


def confirmed_front(confirmed: list[Confirmed], results: Results, footer: str) -> Figure:
    """The members of the front as they were chosen, and as fresh seeds have them on test."""
    figure, (axes,) = subplots(1, (7, 4.6))
    x = np.array([one.params for one in confirmed], float)
    axes.plot(
        x, percent([one.chosen for one in confirmed]), "o", color=GREY, markerfacecolor="white",
        label="as chosen, on validation",
    )  # fmt: skip
    test = percent([one.test for one in confirmed])
    ends = 100 * np.array([one.test_interval for one in confirmed]).T
    seeds, on = confirmed[0].seeds, confirmed[0].on
    axes.errorbar(
        x, test, abs(ends - test), fmt="o", color=BLUE, elinewidth=1, capsize=3,
        label=f"{seeds} fresh seeds trained on {on}, on test",
    )  # fmt: skip
    stays = np.array([one.on_front for one in confirmed])
    axes.step(x[stays], test[stays], where="post", color=RED, linewidth=1.4, label="front of those")
    cost_axis(axes, x, "parameters")
    axes.set_ylabel("accuracy in %")
    axes.legend(loc="best", fontsize=9)
    entitle(axes, f"{results.name}: the front, trained again", footer)
    return figure


def _name(pair: Pair) -> str:
    return f"{pair.candidate_executions:,} executions\n({pair.candidate})"
