"""What all plots of a report have in common: colours, axes, titles."""

from __future__ import annotations

import textwrap

import matplotlib

matplotlib.use("agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

# Okabe and Ito's colours, which colour-blind readers tell apart.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"
STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
UNITS = {"params": "parameters", "macs": "multiply-adds (MACs) of one image"}


def subplots(
    columns: int, size: tuple[float, float], sharey: bool = True
) -> tuple[Figure, np.ndarray]:
    """A figure, and its panels in a row."""
    figure, axes = plt.subplots(1, columns, figsize=size, sharey=sharey, squeeze=False)
    return figure, axes[0]


def cost_axis(axes: Axes, values: np.ndarray, unit: str) -> None:
    """Make x a cost: logarithmic where costs differ."""
    low, high = values.min(), values.max()
    if high > 1.2 * low:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        if high < 20 * low:
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        # All but the same: a narrow axis would make differences that are none.
        axes.set_xlim(low * 0.5, high * 1.5)
        axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(thousands())
    axes.set_xlabel(unit)


def depth_axis(axes: Axes, executions: np.ndarray) -> None:
    """Make x executions, on a logarithmic scale."""
    axes.set_xscale("log")
    low, high = executions.min(), executions.max()
    axes.set_xlim(low / 1.4, high * 1.4)
    subs = (1, 3) if high >= 30 * low else (1, 2, 3, 5)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(thousands())
    axes.set_xlabel("executions (unique blocks × loops)")


def percent(values: list[float | None]) -> np.ndarray:
    """Fractions in per cent; nan for what is not known."""
    return np.array([np.nan if value is None else 100 * value for value in values])


def thousands() -> FuncFormatter:
    """Numbers with k, M or G."""

    def text(value: float, _: object) -> str:
        for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= max(size, 1e4):
                return f"{value / size:g}{letter}"
        return f"{value:g}"

    return FuncFormatter(text)


def entitle(axes: Axes, text: str, footer: str) -> None:
    """Put a title above, and below, small, where the figure comes from."""
    axes.set_title(text, loc="left", fontsize=11)
    sign(axes.figure, footer)


def sign(figure: Figure | SubFigure, footer: str) -> None:
    """Put below a figure, small, where it comes from."""
    lines = "\n".join(textwrap.wrap(footer, 120))
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=7, color=GREY)


def shades(count: int) -> np.ndarray:
    """Colours from dark to light, one for each of so many depths."""
    found: np.ndarray = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, count))
    return found
