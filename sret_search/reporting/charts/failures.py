"""Failures by cause."""

from __future__ import annotations

from sret_search.reporting.charts.chart import Axis, Chart, Panel, Series
from sret_search.reporting.charts.colours import RED, SKY
from sret_search.reporting.charts.rows import rows
from sret_search.reporting.failures import Failure


def chart(failures: list[Failure]) -> Chart | None:
    """How often each cause ended a trial, or an attempt that was made again; None where none
    did."""
    if not failures:
        return None
    series = []
    for name, is_lost, colour in (
        ("trials that are lost", True, RED),
        ("attempts that were made again", False, SKY),
    ):
        own = [(place, f) for place, f in enumerate(failures) if f.is_lost == is_lost]
        if own:
            series.append(
                Series(
                    name, "bars", [float(f.count) for _, f in own], [float(p) for p, _ in own],
                    colour=colour, hover=[f"{f.cause}\n{f.count:,} {name}" for _, f in own],
                )
            )  # fmt: skip
    return Chart(
        name="failures",
        title="What went wrong, by cause",
        caption="A training whose loss is no longer finite, or that failed, is lost, and a result."
        " An attempt that a machine ended is made again, from its last checkpoint.",
        panels=(
            Panel(
                x=Axis("number of trials or attempts", whole=True),
                y=rows([failure.cause for failure in failures]),
                series=tuple(series),
            ),
        ),
        height=1.8 + 0.36 * len(failures),
    )
