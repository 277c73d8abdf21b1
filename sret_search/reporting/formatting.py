"""Text forms of numbers and lists."""

from __future__ import annotations

import math

from sret_search.reporting.statistics.intervals import Interval

PARTS = {"test": "test", "val": "validation"}
"""Names of the parts of the data in texts."""


def points(difference: float) -> str:
    """A difference of fractions in points, with its sign, but without a minus before zero."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def percent(fraction: float | None) -> str:
    """A fraction in per cent, without the sign %. Empty for None and NaN."""
    return "" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.1f}"


def in_percent(fraction: float | None) -> str:
    """A fraction in per cent, with the sign %. "unknown" for None."""
    return f"{percent(fraction)} %" if fraction is not None else "unknown"


def bounds(interval: Interval) -> str:
    """An interval of differences in points."""
    return f"{points(interval[0])} to {points(interval[1])}"


def executions(count: int) -> str:
    """A number of executions in words."""
    return f"{count:,} execution{'s' if count != 1 else ''}"


def listed(names: list[str]) -> str:
    """Names joined for a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
