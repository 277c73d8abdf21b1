"""What depth buys: trained depths beside rerun controls."""

from __future__ import annotations

import numpy as np

from sret_search.reporting.charts import candidates
from sret_search.reporting.charts.chart import (
    Axis,
    Chart,
    Dash,
    Marker,
    Panel,
    Series,
    ends,
    percent,
)
from sret_search.reporting.charts.colours import BLUE, GREEN, ORANGE
from sret_search.reporting.charts.cost import LABELS, cost_axis
from sret_search.reporting.depth import Depth
from sret_search.reporting.results import Results

_PARTS = {"val": "validation", "test": "test, of arms declared before training"}


def chart(depths: list[Depth], results: Results) -> Chart | None:
    """Accuracy of each arm on validation and on test, beside the reference's weights at its depth
    and its own at the reference's; None where arms are not depths."""
    if not depths:
        return None
    _, *images = results.description["data"]["sizes"]
    return Chart(
        name="accuracy_executions",
        title="What depth buys",
        caption="Each arm as it was trained, with 95 % bands, beside controls without training:"
        " the reference's weights run at its depth, and its own run at the reference's.",
        panels=tuple(
            _panel(shown, results, part, count)
            for part, count in zip(_PARTS, images, strict=True)
            if (shown := [depth for depth in depths if getattr(depth, part) is not None])
        ),
        height=4.8,
    )


def _panel(depths: list[Depth], results: Results, part: str, images: int) -> Panel:
    """The depths of which this part may be shown."""
    x = np.array([depth.executions for depth in depths], float)
    low, high = ends([getattr(depth, f"{part}_interval") for depth in depths])
    trained = percent([getattr(depth, part) for depth in depths])
    name = "trained at this depth"
    series = [
        Series("95 % interval", "band", x, low=low, high=high, colour=BLUE, group=name, legend=False),
        Series(
            name, "line", x, trained, colour=BLUE, marker="circle",
            hover=[
                f"{depth.executions:,} executions, trained\n{y:.1f} % ({below:.1f} to {above:.1f}),"
                f" {depth.seeds} seed{'s' if depth.seeds != 1 else ''}"
                for depth, y, below, above in zip(depths, trained, low, high, strict=True)
            ],
        ),
    ]  # fmt: skip
    reference = next((depth.executions for depth in depths if depth.is_reference), None)
    if reference is not None:
        rerun = percent([getattr(depth, f"rerun_{part}") for depth in depths])
        back = percent([getattr(depth, f"back_{part}") for depth in depths])
        controls: tuple[tuple[str, np.ndarray, str, Marker, Dash], ...] = (
            (f"trained at {reference:,}, rerun at this depth", rerun, ORANGE, "square", "dash"),
            (f"trained at this depth, rerun at {reference:,}", back, GREEN, "triangle", "dot"),
        )
        for label, y, colour, marker, dash in controls:
            if np.isnan(y).all():
                continue
            series.append(
                Series(
                    label, "line", x, y, colour=colour, marker=marker, hollow=True, dash=dash,
                    hover=[f"{label}\n{depth.executions:,} executions\n{value:.1f} %"
                           for depth, value in zip(depths, y, strict=True)],
                )
            )  # fmt: skip
    if part == "val":
        known = np.concatenate([np.asarray(s.y if len(s.y) else s.low, float) for s in series])
        lowest, highest = np.nanmin(known), np.nanmax(known)
        place = float(lowest - 0.05 * max(highest - lowest, 1.0))
        series += candidates.lost(results, "executions", place)
    return Panel(
        x=cost_axis(results.searched.executions.to_numpy(float), LABELS["executions"]),
        y=Axis("accuracy in %"),
        series=tuple(series),
        title=f"{_PARTS[part]} ({images:,} images)",
    )
