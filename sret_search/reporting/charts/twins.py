"""Candidates beside their twins of equal parameters or compute."""

from __future__ import annotations

import numpy as np

from sret_search.config.controls import CONTROLS
from sret_search.reporting.charts.chart import Axis, Chart, Marker, Panel, Series, ends, percent
from sret_search.reporting.charts.colours import BLUE, GREEN, ORANGE, PURPLE, SKY
from sret_search.reporting.charts.rows import rows
from sret_search.reporting.formatting import PARTS
from sret_search.reporting.twins import Pair

_LOOKS: tuple[tuple[str, Marker], ...] = (
    (BLUE, "circle"), (ORANGE, "square"), (GREEN, "triangle"), (SKY, "diamond"), (PURPLE, "down"),
)  # fmt: skip
TWINS = [name for name, control in CONTROLS.items() if control.trains]
LOOKS = dict(zip(TWINS, _LOOKS, strict=True))
"""The colour and marker of each kind of twin."""
_ROWS = 12


def chart(pairs: list[Pair]) -> Chart | None:
    """How much better each candidate is than each of its twins, of the most accurate ones; None
    where there are no twins."""
    by_candidate: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_candidate.setdefault(pair.candidate, []).append(pair)
    best = sorted(by_candidate.values(), key=lambda own: -own[0].accuracy)[:_ROWS]
    drawn = sorted(best, key=lambda own: own[0].candidate_executions)
    kinds = [kind for kind in LOOKS if any(pair.control == kind for pair in pairs)]
    series = [
        _series(kind, drawn, (place - (len(kinds) - 1) / 2) / (len(kinds) + 1))
        for place, kind in enumerate(kinds)
    ]
    shown = tuple(one for one in series if len(one.x))
    if not shown:
        return None
    left_out = len(by_candidate) - len(drawn)
    some = f" (the best {len(drawn)} of {len(by_candidate)})" if left_out else ""
    hollow = (
        ""
        if all(pair.is_matched for pair in pairs)
        else " Hollow: its cost is off by more than 2 %."
    )
    names = [f"{own[0].candidate_executions:,} executions ({own[0].candidate})" for own in drawn]
    return Chart(
        name="twins",
        title=f"Candidates beside their twins{some}",
        caption="Accuracy of a candidate less that of its twin, which runs no weights twice, paired"
        " by seed, with 95 % intervals of each alone. Right of 0 the candidate is ahead; whether it is"
        f" better, the corrected p-values of the table say.{hollow}",
        panels=(
            Panel(
                x=Axis(
                    f"{' or '.join(sorted({PARTS[pair.part] for pair in pairs}))} accuracy less that of its twin, points",
                    line=0,
                ),
                y=rows(names),
                series=shown,
            ),
        ),
        height=2.2 + 0.2 * len(drawn) * (len(kinds) + 1),
    )


def _series(kind: str, drawn: list[list[Pair]], offset: float) -> Series:
    """All twins of a kind, so far beside the middles of their candidates' rows."""
    found = [
        (place + offset, pair)
        for place, own in enumerate(drawn)
        for pair in own
        if pair.control == kind and pair.difference.difference is not None
    ]
    colour, marker = LOOKS[kind]
    gains = percent([pair.difference.difference for _, pair in found])
    left, right = ends([pair.difference.interval for _, pair in found])
    known = not np.isnan(left).all()
    return Series(
        f"{kind}: {CONTROLS[kind].label}", "points", gains, [place for place, _ in found],
        left=left if known else None, right=right if known else None,
        colour=colour, marker=marker, hollow=[not pair.is_matched for _, pair in found],
        hover=[
            f"{pair.candidate}\n{kind} twin: {pair.twin}\n{pair.params:,} parameters, {pair.macs:,} MACs,"
            f" {pair.train_macs:.3g} of training\n"
            f"{100 * pair.accuracy:.1f} % less {100 * pair.twin_accuracy:.1f} %: {gain:+.2f} points"
            + (f" ({below:+.2f} to {above:+.2f})" if np.isfinite(below) else "")
            + f", {pair.seeds} seed{'s' if pair.seeds != 1 else ''}: {pair.verdict}"
            for (_, pair), gain, below, above in zip(found, gains, left, right, strict=True)
        ],
    )  # fmt: skip
