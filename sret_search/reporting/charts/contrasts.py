"""The contrasts of a study, one a row, with their intervals."""

from __future__ import annotations

from sret_search.reporting.charts.chart import Axis, Chart, Panel, Series
from sret_search.reporting.charts.colours import BLUE, ORANGE
from sret_search.reporting.charts.rows import rows
from sret_search.reporting.contrasts import Contrasted


def chart(contrasts: list[Contrasted]) -> Chart | None:
    """The difference of each contrast that has an interval; None where none has one."""
    shown = [one for one in contrasts if one.certainty is not None and not one.tested.is_closed]
    if not shown:
        return None
    series = (
        _series(shown, "over_seeds", "other seeds, these images", BLUE, -0.12),
        _series(shown, "over_both", "other seeds and images", ORANGE, 0.12),
    )
    return Chart(
        name="contrasts",
        title="Contrasts that the study declares",
        caption="Test accuracy of the first value less that of the second, a mean over seeds and over"
        " the pairs of candidates that differ in nothing else, with 95 % intervals of each alone, not"
        " corrected for the number of contrasts.",
        bars="Bars: 95 % intervals over what the legend says.",
        panels=(
            Panel(
                x=Axis("difference of test accuracy, points", line=0),
                y=rows([one.name for one in shown]),
                series=tuple(one for one in series if one is not None),
            ),
        ),
        height=2.2 + 0.5 * len(shown),
    )


def _series(
    shown: list[Contrasted], name: str, label: str, colour: str, offset: float
) -> Series | None:
    """One kind of interval; None where no contrast has it."""
    found = [(i, one, getattr(one, name)) for i, one in enumerate(shown)]
    found = [(i, one, over) for i, one, over in found if over is not None]
    if not found:
        return None
    return Series(
        name=f"for {label}",
        kind="points",
        x=[100 * (one.difference or 0.0) for _, one, _ in found],
        y=[i + offset for i, _, _ in found],
        left=[100 * over.interval[0] for *_, over in found],
        right=[100 * over.interval[1] for *_, over in found],
        colour=colour,
        hover=[
            f"{one.name}\n{100 * (one.difference or 0.0):+.2f} points"
            f" ({100 * over.interval[0]:+.2f} to {100 * over.interval[1]:+.2f})\n"
            f"{one.seeds} seeds, {one.pairs} pair{'s' if one.pairs > 1 else ''};"
            f" p = {over.p:.2g}\n{one.verdict} (p = {one.tested.p_holm:.2g} after Holm)"
            for _, one, over in found
        ],
    )
