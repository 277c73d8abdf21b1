"""The hypervolume as trials came in."""

from __future__ import annotations

from sret_search.reporting.charts.chart import Axis, Chart, Panel, Series
from sret_search.reporting.charts.colours import BLUE
from sret_search.reporting.hypervolume import Growth


def chart(growth: Growth | None) -> Chart | None:
    """Hypervolume against complete trials; None of fewer than two."""
    if growth is None or len(growth.trials) < 2:
        return None
    return Chart(
        name="hypervolume",
        title="Hypervolume over trials",
        caption="Area of accuracy × log10 parameters that the candidates dominate, from"
        f" {100 * growth.accuracy:g} % accuracy and {growth.params:,.0f} parameters on, of their means"
        " over the seeds that were there by then. It falls where another seed says that a"
        " candidate was lucky.",
        panels=(
            Panel(
                x=Axis("complete trials, by number", whole=True),
                y=Axis("hypervolume (accuracy × decades)"),
                series=(
                    Series(
                        "hypervolume of running means", "step", growth.trials, growth.volume,
                        colour=BLUE,
                        hover=[f"after {trials:,} trials\n{volume:.4f}" for trials, volume
                               in zip(growth.trials, growth.volume, strict=True)],
                    ),
                ),
            ),
        ),
        height=4.0,
    )  # fmt: skip
