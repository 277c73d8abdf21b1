"""Arms that differ in anything but loops, beside the reference."""

from __future__ import annotations

import numpy as np

from sret_search.reporting.arms import Arm
from sret_search.reporting.charts.chart import Axis, Chart, Panel, Series, ends, percent
from sret_search.reporting.charts.colours import BLUE, GREEN, ORANGE
from sret_search.reporting.charts.rows import rows


def chart(arms: list[Arm]) -> Chart | None:
    """Test accuracy of each arm, and its difference to the reference's, paired by seed; None
    where there are not two arms."""
    if len(arms) < 2:
        return None
    places = np.arange(len(arms), dtype=float)
    shown = [(place, arm) for place, arm in enumerate(arms) if arm.test is not None]
    low, high = ends([arm.test_interval for _, arm in shown])
    test, val = percent([arm.test for _, arm in shown]), percent([arm.val for arm in arms])
    names = [f"{arm.name}{' (reference)' if arm.is_reference else ''}" for arm in arms]
    accuracy = Panel(
        x=Axis("accuracy in %"),
        y=rows(names),
        series=(
            Series(
                "validation", "points", val, places + 0.18, colour=ORANGE, marker="square",
                hollow=True, hover=[f"{n}\n{v:.1f} % on validation" for n, v in zip(names, val, strict=True)],
            ),
            Series(
                "test, with 95 % interval", "points", test, [float(place) for place, _ in shown],
                left=low, right=high, colour=BLUE,
                hover=[
                    f"{names[place]}\n{arm.seeds} seed{'s' if arm.seeds != 1 else ''}, {arm.train_macs:.3g} MACs of training\n"
                    f"{y:.1f} % on test ({below:.1f} to {above:.1f})"
                    for (place, arm), y, below, above in zip(shown, test, low, high, strict=True)
                ],
            ),
        ),
    )  # fmt: skip
    compared = [(place, arm) for place, arm in shown if arm.difference.difference is not None]
    panels = [accuracy]
    if compared:
        gains = percent([arm.difference.difference for _, arm in compared])
        left, right = ends([arm.difference.interval for _, arm in compared])
        panels.append(
            Panel(
                x=Axis("test accuracy less that of the reference, points", line=0),
                y=rows(names, written=False),
                series=(
                    Series(
                        "difference, paired by seed, with 95 % interval", "points", gains,
                        [float(place) for place, _ in compared], left=left, right=right,
                        colour=GREEN, marker="diamond",
                        hover=[
                            f"{arm.name}\n{gain:+.2f} points ({below:+.2f} to {above:+.2f}): {arm.difference.verdict}"
                            for (_, arm), gain, below, above
                            in zip(compared, gains, left, right, strict=True)
                        ],
                    ),
                ),
            )
        )  # fmt: skip
    return Chart(
        name="arms",
        title="Arms beside the reference",
        caption="Means over seeds. The intervals of differences are at 95 %, of each alone; whether an"
        " arm differs from the reference, the corrected p-values of the table say.",
        panels=tuple(panels),
        height=2.2 + 0.45 * len(arms),
    )
