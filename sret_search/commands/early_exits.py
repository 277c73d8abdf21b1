"""`sret-search evaluate --exit`: images that leave before the last loop."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from itertools import accumulate

from rich.table import Table

from sret_search.training.results import SCORES, EarlyExits, Score

_LISTED = 6
"""Loops whose number of images stands in a row of a table. Of more, quantiles stand there."""


def exit_rule(text: str) -> tuple[Score, tuple[float, ...]]:
    """Parse a score with its thresholds: "entropy:0.1,0.3".

    Raises:
        argparse.ArgumentTypeError: there is no such score, or a threshold is no number of at least 0.
    """
    name, _, listed = text.partition(":")
    score = next((each for each in SCORES if each == name), None)
    if score is None:
        raise argparse.ArgumentTypeError(f"unknown score {name!r}; {' or '.join(SCORES)} is needed")
    thresholds = []
    for word in listed.split(","):
        try:
            threshold = float(word)
        except ValueError:
            threshold = math.nan
        if not 0 <= threshold < math.inf:
            raise argparse.ArgumentTypeError(
                f"a threshold is a number of at least 0, but got {word!r}; {score}:0.1,0.3 would do"
            )
        thresholds.append(threshold)
    return score, tuple(sorted(set(thresholds)))


def exit_table(exits: EarlyExits) -> Table:
    """Accuracy and executions at each threshold, and where images left."""
    unit = "nats" if exits.score == "entropy" else "relative update"
    table = Table(title=f"images leave at a small {exits.score}", title_justify="left")
    table.add_column(f"at most, {unit}", justify="right")
    table.add_column("accuracy", justify="right")
    table.add_column("mean executions", justify="right")
    table.add_column("images that left, by executions")
    for each in exits.thresholds:
        error = 100 * each.accuracy_standard_error
        accuracy = f"{100 * each.accuracy:.2f} ± {error:.2f} %"
        where = _where(exits.executions, each.left)
        table.add_row(f"{each.threshold:g}", accuracy, f"{each.executions:,.1f}", where)
    return table


def _where(executions: Sequence[int], left: Sequence[int]) -> str:
    """Where images left, in words."""
    some = [(end, count) for end, count in zip(executions, left, strict=True) if count]
    if len(some) <= _LISTED:
        return ", ".join(f"{count:,} at {end:,}" for end, count in some)
    total, sums = sum(left), list(accumulate(left))
    shown = [
        f"{percent} % by {executions[next(i for i, s in enumerate(sums) if 100 * s >= percent * total)]:,}"
        for percent in (10, 50, 90, 100)
    ]
    return ", ".join(shown)
