"""Colours that colour-blind readers can distinguish, on white and on black."""

from __future__ import annotations

import math

import numpy as np

from sret_search.reporting.render.chart import Scale

# Okabe and Ito (2008), without the yellow, which is faint on white, and without the black.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY = "#CC79A7", "#56B4E9"
GREY = "#7f7f7f"
_DARK, _LIGHT = 0.2, 0.88
"""The range of viridis in which a line is visible on black and on white."""
CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
"""Colours for series without an order."""


def cycle(count: int) -> list[str]:
    """Colours for `count` series without an order. They repeat if there are many."""
    return [CYCLE[i % len(CYCLE)] for i in range(count)]


def shades(count: int) -> list[str]:
    """Colours from dark to light, for `count` steps of depth."""
    return [_viridis(place) for place in np.linspace(_DARK, _LIGHT, count)]


def shade(value: float, scale: Scale) -> str:
    """The colour of a line that represents a value on a scale."""
    low, high, position = scale.low, scale.high, value
    if scale.log:
        low, high, position = math.log(low), math.log(high), math.log(position)
    return _viridis((position - low) / (high - low))


def _viridis(place: float) -> str:
    """The colour at a place of viridis between 0 and 1."""
    # Imported here, since importing Matplotlib is slow and readers of numbers do not need it.
    from sret_search.reporting.render import style  # noqa: F401  before any other import of it

    # isort: split
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["viridis"](place))
