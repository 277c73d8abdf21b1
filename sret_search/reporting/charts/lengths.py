"""Test accuracy against the length of the path, of arms on connectivity."""

from __future__ import annotations

from collections.abc import Sequence

from sret_search.reporting.connectivity import Lengths
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, ends, percents
from sret_search.reporting.render.colours import shades


def chart(found: list[Lengths]) -> Chart | None:
    """Each arm on grids that are joined and on grids that are not; None where there are none."""
    if not found:
        return None
    return Chart(
        name="accuracy_lengths",
        title="Accuracy against the length of the path",
        caption="Test accuracy of each arm, the mean over seeds with 95 % bands. The line is chance.",
        panels=tuple(
            Panel(
                x=Axis(label, whole=True),
                y=Axis("test accuracy in %", line=50),
                series=_series([arm for arm in found if arm.joined == joined]),
            )
            for joined, label in (
                (True, "joined: steps of the shortest path"),
                (False, "not joined: steps of the path that one wall closes"),
            )
        ),
        height=4.8,
    )


def _series(arms: Sequence[Lengths]) -> tuple[Series, ...]:
    found = []
    for arm, colour in zip(arms, shades(len(arms)), strict=True):
        name = f"{arm.name} (reference)" if arm.is_reference and len(arms) > 1 else arm.name
        y, (low, high) = percents(arm.accuracy), ends(arm.interval)
        if arm.interval[0] is not None:
            found.append(
                Series(name, "band", arm.steps, low=low, high=high, colour=colour, legend=False)
            )
        found.append(
            Series(
                name, "line", arm.steps, y, colour=colour, marker="circle", size=5,
                hover=[f"{name}\n{steps} steps\n{value:.1f} %"
                       for steps, value in zip(arm.steps, y, strict=True)],
            )
        )  # fmt: skip
    return tuple(found)
