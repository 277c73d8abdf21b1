"""The hypervolume as trials came in, of one study or of several."""

from __future__ import annotations

from collections.abc import Mapping

from sret_search.reporting.charts.chart import Axis, Chart, Panel, Series
from sret_search.reporting.charts.colours import BLUE, cycle
from sret_search.reporting.hypervolume import Growth


def chart(growth: Growth | None) -> Chart | None:
    """Hypervolume against complete trials; None of fewer than two."""
    if growth is None:
        return None
    return overlaid({"hypervolume of running means": growth})


def overlaid(growths: Mapping[str, Growth]) -> Chart | None:
    """The same of each study, by what the legend is to call it, against one reference point."""
    shown = {name: growth for name, growth in growths.items() if len(growth.trials) > 1}
    if not shown:
        return None
    first, colours = next(iter(shown.values())), cycle(len(shown)) if len(shown) > 1 else [BLUE]
    return Chart(
        name="hypervolume",
        title="Hypervolume over trials",
        caption="Area of accuracy × log10 parameters that the candidates dominate, from"
        f" {100 * first.accuracy:g} % accuracy and {first.params:,.0f} parameters on, of their means"
        " over the seeds that were there by then. It falls where another seed says that a"
        " candidate was lucky.",
        panels=(
            Panel(
                x=Axis("complete trials, by number", whole=True),
                y=Axis("hypervolume (accuracy × decades)"),
                series=tuple(
                    Series(
                        name, "step", growth.trials, growth.volume, colour=colour,
                        hover=[f"{name}\nafter {trials:,} trials\n{volume:.4f}" for trials, volume
                               in zip(growth.trials, growth.volume, strict=True)],
                    )
                    for (name, growth), colour in zip(shown.items(), colours, strict=True)
                ),
            ),
        ),
        height=4.0,
    )  # fmt: skip
