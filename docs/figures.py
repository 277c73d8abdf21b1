"""The figures of explanation.md: `python docs/figures.py` draws them into docs/figures/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

FOLDER = Path(__file__).parent / "figures"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "sret_search", "font.size": 10}


def unrolled() -> Figure:
    """One stage as it is stored and as it runs: two unique blocks, three loops."""
    figure, axes = plt.subplots(figsize=(7.4, 2.1))
    axes.set(xlim=(0, 15.2), ylim=(0, 3.6))
    axes.axis("off")
    for index, name in enumerate("AB"):
        _box(axes, 0.2, 2.1 - 1.3 * index, 1.2, name, _COLOURS[index])
    axes.text(0.8, 3.25, "stored", ha="center")
    axes.text(9, 3.25, "run: 2 unique blocks × 3 loops = 6 executions", ha="center")
    for place, name in enumerate("AAABBB"):
        x = 2.8 + 2.05 * place
        _box(axes, x, 1.5, 1.1, name, _COLOURS["AB".index(name)])
        _box(axes, x + 1.22, 1.62, 0.56, "N", "#777777")
        axes.annotate("", (x, 2.0), (x - 0.25, 2.0), arrowprops={"arrowstyle": "->", "lw": 0.8})
    axes.text(
        9, 0.55, "N: an NLL between executions, shared or of each execution its own", ha="center"
    )
    return figure


def _box(axes: plt.Axes, x: float, y: float, size: float, name: str, colour: str) -> None:
    height = min(size, 1.0)
    shape = FancyBboxPatch(
        (x, y), size, height, boxstyle="round,pad=0,rounding_size=0.1", fc=colour, ec="none"
    )
    axes.add_patch(shape)
    axes.text(x + size / 2, y + height / 2, name, color="white", ha="center", va="center")


def slices() -> Figure:
    """Which tokens of an 8×8 image attend to each other, in two loops."""
    figure, panels = plt.subplots(1, 3, figsize=(7.4, 2.5))
    for axes, groups, title in zip(
        panels,
        (1, 4, 2),
        ("1 group: all to all", "loop 1: 4 groups", "loop 2: 2 groups"),
        strict=True,
    ):
        for token in range(64):
            colour = _COLOURS[token * groups // 64] if groups > 1 else "#999999"
            axes.add_patch(Rectangle((token % 8, 7 - token // 8), 0.9, 0.9, fc=colour, ec="none"))
        axes.set(xlim=(0, 8), ylim=(-1.2, 8), aspect="equal", title=title)
        axes.text(4, -0.9, f"1/{groups} of the products" if groups > 1 else "", ha="center")
        axes.axis("off")
    return figure


def step_size() -> Figure:
    """The path of one number through ever more executions of the same function."""
    figure, panels = plt.subplots(1, 2, figsize=(7.4, 2.7), sharey=True, layout="constrained")
    for axes, power in zip(panels, (1.0, 0.5), strict=True):
        for loops, colour in zip((2, 5, 20, 100), _COLOURS, strict=True):
            x = [0.2]
            for _ in range(loops):
                x.append(x[-1] + 2.0 * loops**-power * np.sin(x[-1] + 0.5) * (1.4 - x[-1] / 3))
            axes.plot(np.linspace(0, 1, loops + 1), x, color=colour, label=f"{loops}", lw=1.4)
        kept = "p = 1: steps along one path" if power == 1 else "p = ½: another path for each depth"
        axes.set(title=kept, xlabel="part of the executions")
    panels[0].set(ylabel="x")
    panels[1].legend(title="loops", frameon=False)
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "unrolled": unrolled, "slices": slices, "step_size": step_size,
}  # fmt: skip


def main() -> None:
    """Draw all of them anew."""
    FOLDER.mkdir(exist_ok=True)
    with mpl.rc_context(_STYLE):
        for name, draw in FIGURES.items():
            figure = draw()
            figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)


if __name__ == "__main__":
    main()
