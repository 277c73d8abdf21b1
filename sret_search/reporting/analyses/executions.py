"""What each execution does in monitored trials: updates, angles, distances, and the head by loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sret_search.reporting.analyses.base import Analysis, Block, Column, Table, drawn, fields
from sret_search.reporting.analyses.candidates import spaced
from sret_search.reporting.formatting import percent
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series
from sret_search.reporting.render.colours import BLUE, shades
from sret_search.reporting.results import Results
from sret_search.training.results import DepthMetrics
from sret_search.trials.trial import TrialRecord

_MOST = 6
"""Largest number of trials that are drawn."""
_LOG = 32
"""Executions above which their axis is logarithmic."""
_MARKED = 40
"""Largest number of points on a line with markers."""
_CLOSE = 0.01
"""Difference to the last accuracy, one point, up to which the head counts as ready."""


@dataclass(frozen=True)
class Profile:
    """The executions of a trial after its last epoch.

    Attributes:
        executions: of a forward pass.
        last_update: size of the last execution's update, relative to its input.
        median_angle: median angle between successive updates, in degrees; None if unknown.
        ready: executions from which on the head is at most a point below its last reading; None if
            it was not read after each loop.
        accuracy: of the head after the last loop, as a fraction; None if it was not read.
    """

    trial: int
    candidate: str
    seed: int
    executions: int
    epoch: int
    last_update: float
    median_angle: float | None
    ready: int | None
    accuracy: float | None
    record: DepthMetrics


def profiles(results: Results) -> list[Profile]:
    """The best monitored trial of each depth on validation, at most six, by depth."""

    def score(entry: TrialRecord) -> float:
        result = entry.result
        return -result.loss if results.measure == "loss" else result.accuracy("val")

    by_depth: dict[int, list[TrialRecord]] = {}
    for entry in sorted(results.complete, key=score, reverse=True):
        if entry.plain.get("monitor"):
            by_depth.setdefault(entry.cost["executions"], []).append(entry)
    depths = sorted(by_depth)
    chosen = []
    for i in spaced(len(depths), _MOST) if depths else ():
        trials = ((entry, results.depths.last(entry.number)) for entry in by_depth[depths[i]])
        found = next(((entry, record) for entry, record in trials if record is not None), None)
        if found is not None:
            chosen.append(_profile(*found))
    return chosen


def _profile(entry: TrialRecord, record: DepthMetrics) -> Profile:
    angles = [angle for angle in record.angles if angle is not None]
    below = [record.accuracies[-1] - accuracy > _CLOSE for accuracy in record.accuracies]
    first = len(below) - next((i for i, low in enumerate(reversed(below)) if low), len(below))
    return Profile(
        trial=entry.number,
        candidate=entry.candidate,
        seed=entry.seed,
        executions=entry.cost["executions"],
        epoch=record.epoch,
        last_update=record.updates[-1],
        median_angle=float(np.median(angles)) if angles else None,
        ready=record.read_after[first] if below else None,
        accuracy=record.accuracies[-1] if below else None,
        record=record,
    )


def analyse(results: Results) -> Analysis:
    """Charts and a table of what each execution does. Empty if no trial was monitored."""
    found = results.once(profiles)
    if not found:
        return Analysis()
    return Analysis(
        charts=drawn(updates_chart(found), head_chart(found)),
        blocks=[_block(found)],
        facts={"executions": [fields(profile, "record") for profile in found]},
    )


_WHO = "One trial of each depth, the best on validation, after its last epoch."


def updates_chart(found: Sequence[Profile]) -> Chart | None:
    """Size of each update, its angle to the update before, and the distance to the last state."""
    panels = [
        _panel(found, lambda r: r.updates, "size of the update, relative to its input", log=True),
        _panel(found, lambda r: r.angles, "angle to the update before, degrees"),
        _panel(found, lambda r: r.distances, "distance to the last state, relative", log=True),
    ]
    return _chart(
        "executions",
        "What each execution does",
        f"{_WHO} Measured on up to 32 validation images together. Updates that point the same way have"
        " an angle of 0 degrees, and updates that undo each other one of 180. Each stage has its own"
        " last state, at a distance of 0, which is not drawn.",
        panels,
    )


def head_chart(found: Sequence[Profile]) -> Chart | None:
    """Accuracy of the head after each loop, and share of each execution in the gradient."""
    panels = [
        _panel(
            found,
            lambda r: [100 * value for value in r.accuracies],
            "accuracy of the head in %",
            places=lambda r: r.read_after,
        ),
        _panel(found, lambda r: r.gradient_shares, "share in the gradient of the loss", log=True),
    ]
    return _chart(
        "head_by_loop",
        "The head after each loop, and the gradient of each execution",
        f"{_WHO} On the left the head reads the state after each loop of the block that runs last, on up"
        " to 1,000 validation images. It was trained to read the last state, unless the recipe"
        " supervised every loop. On the right, shares of all executions add up to 1.",
        panels,
    )


def _chart(name: str, title: str, caption: str, panels: Sequence[Panel | None]) -> Chart | None:
    there = tuple(panel for panel in panels if panel is not None)
    return Chart(name, title, caption, there) if there else None


def _panel(
    found: Sequence[Profile],
    values: Callable[[DepthMetrics], Sequence[float | None]],
    label: str,
    *,
    places: Callable[[DepthMetrics], Sequence[int]] | None = None,
    log: bool = False,
) -> Panel | None:
    """A line for each trial; None if no trial has these values.

    Args:
        places: executions of the values; None is each execution.
    """
    colours = shades(len(found)) if len(found) > 1 else [BLUE]
    series = []
    for profile, colour in zip(found, colours, strict=True):
        y = np.array([np.nan if v is None else v for v in values(profile.record)], float)
        x = np.arange(1, len(y) + 1) if places is None else np.array(places(profile.record))
        if log:
            y[y <= 0] = np.nan
        if np.isnan(y).all():
            continue
        name = f"{profile.executions:,} executions"
        series.append(
            Series(
                name, "line", x, y, colour=colour, size=4,
                marker="circle" if len(y) <= _MARKED else None,
                hover=[
                    f"{name}, trial {profile.trial}\nafter execution {execution:,}: {value:.3g}"
                    for execution, value in zip(x, y, strict=True)
                ],
            )
        )  # fmt: skip
    if not series:
        return None
    most = max(profile.executions for profile in found)
    x_axis = Axis("execution", log=True) if most > _LOG else Axis("execution", whole=True)
    return Panel(x_axis, Axis(label, log=log), tuple(series))


_COLUMNS = (
    Column("executions"), Column("trial"), Column("candidate", "word"), Column("seed"),
    Column("epoch"), Column("last update, %"), Column("median angle, degrees"),
    Column("head, validation"), Column("ready after"),
)  # fmt: skip


def _block(found: Sequence[Profile]) -> Block:
    rows = [
        (
            f"{p.executions:,}",
            str(p.trial),
            p.candidate,
            str(p.seed),
            str(p.epoch),
            f"{100 * p.last_update:.2g}",
            "" if p.median_angle is None else f"{p.median_angle:.0f}",
            percent(p.accuracy),
            "" if p.ready is None else f"{p.ready:,}",
        )
        for p in found
    ]
    note = (
        f"{_WHO} The last update is the size of the last execution's change of the tokens, relative to"
        " its input. The head is ready after the number of executions from which on its accuracy is at"
        " most 1 point below that after the last loop. This describes single trials: nothing is tested."
    )
    return Block(
        "What each execution does", "executions", notes=[note], table=Table(_COLUMNS, rows)
    )
