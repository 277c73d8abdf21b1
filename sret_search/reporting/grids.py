"""Front views of the data set connectivity: its grids, and what trained models make of them.

Shapes: I test images of S pixels a side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from sret_search.job import Data
from sret_search.reporting import intervals, style
from sret_search.reporting.results import Results
from sret_search.tasks import connectivity, paths
from sret_search.tasks.connectivity import Grids

_SHOWN = 6  # grids in a row
_COLOURS = ListedColormap(("#3a3b3e", "#f1f1ee", style.BLUE))  # walls, free cells, marks


class Arm(NamedTuple):
    """What the trials of one arm took rightly, (seeds, I)."""

    name: str
    executions: int
    is_reference: bool
    right: np.ndarray


def draw(results: Results, footer: str) -> dict[str, Figure]:
    """The plots of a study on connectivity, by file name; none of any other study.

    What was wrong on the test part is shown of candidates that were declared before training.
    """
    described = {name: v for name, v in results.description["data"].items() if name != "sizes"}
    data = Data(**described)
    if data.source != "connectivity":
        return {}
    test, arms = connectivity.test_part(data), _arms(results) if results.declared else []
    with plt.rc_context(style.STYLE):
        figures = {"grids": _front_view(test, arms, results.name, footer)}
        if arms:
            figures["accuracy_lengths"] = _against_length(test, arms, results.name, footer)
    return figures


def _arms(results: Results) -> list[Arm]:
    """The arms with predictions, by depth."""
    declared = results.description["arms"]
    groups: dict[str, list[tuple[int, bool, np.ndarray]]] = {}
    for entry in results.complete:
        executions, right = entry.job.architecture.executions, results.right(entry, "test")
        name, is_reference = f"{executions:,} execution{'s' if executions > 1 else ''}", True
        if declared is not None:
            value = entry.values.get(declared["axis"])
            is_reference = value == declared["reference"]
            if not declared["axis"].endswith(".loops"):
                name = f"{declared['axis'].rpartition('.')[2]} {value}"
        if right is not None:
            groups.setdefault(name, []).append((executions, is_reference, right))
    found = [
        Arm(name, seen[0][0], seen[0][1], np.array([right for _, _, right in seen]))
        for name, seen in groups.items()
    ]
    return sorted(found, key=lambda arm: arm.executions)


def _front_view(test: Grids, arms: list[Arm], study: str, footer: str) -> Figure:
    """Pairs of the test part; below, what the reference and the deepest arm take wrongly."""
    compared = {arm.name: arm for arm in arms if arm.is_reference}
    compared |= {arm.name: arm for arm in arms[-1:]}
    rows = 2 + len(compared)
    figure: Figure = plt.figure(figsize=(11, 0.6 + 2.1 * rows), layout="constrained")
    places = figure.add_gridspec(rows, 1)
    strips = [figure.add_subfigure(places[row]) for row in range(rows)]
    by_length = np.argsort(test.lengths[::2], kind="stable")
    pairs = by_length[np.linspace(0, len(by_length) - 1, _SHOWN).astype(int)]
    _strip(strips[0], test, 2 * pairs, f"{study}: grids of the test part that are joined")
    _strip(strips[1], test, 2 * pairs + 1, "their partners, with one cell (×) closed, one opened")
    for strip, arm in zip(strips[2:], compared.values(), strict=True):
        wrong = (~arm.right).sum(0)
        worst = np.argsort(-wrong, kind="stable")[: np.count_nonzero(wrong)]
        both = [worst[test.labels[worst] == label][: _SHOWN // 2] for label in (1, 0)]
        title = f"wrong at {arm.name}, in how many of {len(arm.right)} trials"
        _strip(strip, test, np.concatenate(both), title, wrong)
    style.sign(figure, footer)
    return figure


def _strip(
    strip: SubFigure, test: Grids, shown: np.ndarray, title: str, wrong: np.ndarray | None = None
) -> None:
    """Up to so many grids in a row, and in how many trials each is wrong."""
    strip.suptitle(title, x=0.01, ha="left", fontsize=11)
    panels = strip.subplots(1, _SHOWN)
    for axes in panels[len(shown) :]:
        axes.axis("off")
    for axes, number in zip(panels, shown, strict=False):
        joined, length = test.labels[number] == 1, test.lengths[number]
        _grid(axes, test, int(number))
        words = f"{length} steps" if joined else f"not joined; {length} without ×"
        axes.set_xlabel(words if wrong is None else f"{words}\n{wrong[number]} wrong", fontsize=8)


def _grid(axes: Axes, test: Grids, number: int) -> None:
    """One grid, with its path, or with the cell that its partner's path goes through."""
    cells = test.cells[number]
    side = len(cells)
    axes.pcolormesh(cells, cmap=_COLOURS, vmin=0, vmax=2)
    if test.labels[number]:
        path = paths.shortest(cells != connectivity.WALL, *np.argwhere(cells == connectivity.MARK))
        axes.plot(path[:, 1] + 0.5, path[:, 0] + 0.5, color=style.GREEN, linewidth=1.6)
    else:
        walls = connectivity.WALL
        closed = np.argwhere((cells == walls) & (test.cells[number - 1] != walls))[0]
        axes.plot(closed[1] + 0.5, closed[0] + 0.5, "x", color=style.ORANGE, markersize=6)
    axes.set(xlim=(0, side), ylim=(side, 0), aspect="equal", xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _against_length(test: Grids, arms: list[Arm], study: str, footer: str) -> Figure:
    """Test accuracy of each arm against the steps of the path, with 95 % bands over seeds."""
    figure, panels = style.subplots(2, (11, 4.8))
    colours = style.shades(len(arms))
    every = np.unique(test.lengths)
    for axes, label in zip(panels, (1, 0), strict=True):
        chosen = [(test.labels == label) & (test.lengths == length) for length in every]
        for arm, colour in zip(arms, colours, strict=True):
            seeds = 100 * np.array(
                [arm.right[:, some].mean(1) for some in chosen]
            )  # lengths, seeds
            name = f"{arm.name} (reference)" if arm.is_reference and len(arms) > 1 else arm.name
            axes.plot(every, seeds.mean(1), "o-", color=colour, markersize=4, label=name)
            if len(arm.right) > 1:
                bounds = np.array([intervals.mean(list(values)) for values in seeds])
                low, high = bounds.clip(0, 100).T
                axes.fill_between(every, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.axhline(50, color=style.GREY, linewidth=1, linestyle=":")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_xlabel("joined: steps of the shortest path")
    panels[1].set_xlabel("not joined: steps of the path that one wall closes")
    panels[0].set_ylabel("test accuracy in %")
    panels[1].legend(loc="best", fontsize=8)
    style.entitle(panels[0], f"{study}: accuracy against the length of the path", footer)
    return figure
