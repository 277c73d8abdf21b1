"""Front views of the data set connectivity: its grids, and what trained models make of them.

Pictures of the task itself, and the only ones of a report that are no charts.
"""

from __future__ import annotations

from sret_search.reporting.render.style import styled  # before any other import of Matplotlib

# isort: split
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure, SubFigure

from sret_search.reporting.connectivity import Taken, Tested
from sret_search.reporting.render.colours import BLUE, GREEN, ORANGE
from sret_search.reporting.render.matplotlib import sign
from sret_search.tasks import connectivity, paths
from sret_search.tasks.connectivity import Grids

_SHOWN = 6  # grids in a row
_WIDTH = 11.0
_COLOURS = ListedColormap(("#3a3b3e", "#f1f1ee", BLUE))  # walls, free cells, marks


def draw(tested: Tested | None, footer: str) -> Figure | None:
    """Pairs of the test part; below, what the reference and the deepest arm take wrongly. None of
    a study on other data.

    What was wrong on the test part is shown of candidates that were declared before training.
    """
    if tested is None:
        return None
    with styled():
        return _front_view(tested.grids, tested.arms, footer)


def _front_view(test: Grids, arms: list[Taken], footer: str) -> Figure:
    """Pairs of the test part; below, what the reference and the deepest arm take wrongly."""
    compared = {arm.name: arm for arm in arms if arm.is_reference}
    compared |= {arm.name: arm for arm in arms[-1:]}
    rows = 2 + len(compared)
    figure = Figure(figsize=(_WIDTH, 0.6 + 2.1 * rows), layout="constrained")
    places = figure.add_gridspec(rows, 1)
    strips = [figure.add_subfigure(places[row]) for row in range(rows)]
    by_length = np.argsort(test.lengths[::2], kind="stable")
    pairs = by_length[np.linspace(0, len(by_length) - 1, _SHOWN).astype(int)]
    _strip(strips[0], test, 2 * pairs, "grids of the test part that are joined")
    _strip(strips[1], test, 2 * pairs + 1, "their partners, with one cell (×) closed, one opened")
    for strip, arm in zip(strips[2:], compared.values(), strict=True):
        wrong = (~arm.right).sum(0)
        worst = np.argsort(-wrong, kind="stable")[: np.count_nonzero(wrong)]
        both = [worst[test.labels[worst] == label][: _SHOWN // 2] for label in (1, 0)]
        title = f"wrong at {arm.name}, in how many of {len(arm.right)} trials"
        _strip(strip, test, np.concatenate(both), title, wrong)
    sign(figure, footer, _WIDTH)
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
        axes.plot(path[:, 1] + 0.5, path[:, 0] + 0.5, color=GREEN, linewidth=1.6)
    else:
        walls = connectivity.WALL
        closed = np.argwhere((cells == walls) & (test.cells[number - 1] != walls))[0]
        axes.plot(closed[1] + 0.5, closed[0] + 0.5, "x", color=ORANGE, markersize=6)
    axes.set(xlim=(0, side), ylim=(side, 0), aspect="equal", xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
