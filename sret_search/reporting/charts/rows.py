"""An axis of names, one a row, the first on top."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from sret_search.reporting.charts.chart import Axis

_WIDTH = 34


def rows(names: Sequence[str], label: str = "", written: bool = True) -> Axis:
    """Rows at 0, 1, 2 …, downwards; without their names where a panel to the left has them."""
    words = [_short(name) if written else "" for name in names]
    return Axis(
        label,
        range=(-0.6, len(names) - 0.4),
        ticks=tuple((float(place), word) for place, word in enumerate(words)),
        reverse=True,
    )


def _short(name: str) -> str:
    """A name on two lines at most."""
    lines = textwrap.wrap(name, _WIDTH, max_lines=2, placeholder=" …", break_on_hyphens=False)
    return "\n".join(lines)
