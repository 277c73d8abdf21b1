"""Every trained depth run at every depth of the study: `rerun: all`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sret_search.reporting.analyses.base import Block, Column, Table, fields
from sret_search.reporting.analyses.depth.numbers import arms_by_depth, run_at
from sret_search.reporting.formatting import PARTS, percent
from sret_search.reporting.render.chart import Axis, Chart, Panel, Scale, Series
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired

_SIDE = 220.0
"""Points that all squares of a row take together."""


@dataclass(frozen=True)
class TrainedDepth:
    """Weights trained at one depth, run at each depth of the study without further training.

    Attributes:
        trained: executions in training.
        run: executions of each run, ascending. The trained depth is among them.
        val, test: mean accuracy over seeds of each run, as fractions. None for runs that are
            missing, and for test accuracies of an arm that was declared after the results.
        best: the run with the highest validation accuracy; of equals the fewest executions.
    """

    trained: int
    seeds: int
    run: list[int]
    val: list[float | None]
    test: list[float | None]
    best: int


def matrix(results: Results) -> list[TrainedDepth]:
    """A row for each trained depth, ascending. Empty without `rerun: all`."""
    if results.study.file.rerun != "all":
        return []
    arms = arms_by_depth(results)
    rows = []
    for trained, arm in sorted(arms.items()):
        by_part: dict[str, list[float | None]] = {}
        for part in PARTS:
            runs = [[run_at(entry, depth) for entry in arm] for depth in sorted(arms)]
            hidden = part == "test" and paired.is_closed(results, arm)
            by_part[part] = [
                None
                if hidden or None in each
                else float(np.mean([r.accuracy(part) for r in each if r]))
                for each in runs
            ]
        val = [-1.0 if accuracy is None else accuracy for accuracy in by_part["val"]]
        rows.append(
            TrainedDepth(
                trained=trained,
                seeds=len({entry.seed for entry in arm}),
                run=sorted(arms),
                val=by_part["val"],
                test=by_part["test"],
                best=sorted(arms)[int(np.argmax(val))],
            )
        )
    return rows


def facts(rows: list[TrainedDepth]) -> dict[str, Any]:
    """Entries of `summary.json`. Empty without `rerun: all`."""
    return {"rerun_matrix": [fields(row) for row in rows]} if rows else {}


def chart(rows: list[TrainedDepth], results: Results) -> Chart | None:
    """Squares with the accuracy of each trained depth at each depth that it is run at, on
    validation and on test. None without `rerun: all`."""
    if not rows:
        return None
    _, *images = results.study.sizes
    shown = [
        accuracy
        for row in rows
        for accuracy in (*row.val, *row.test)
        if accuracy is not None and np.isfinite(accuracy)
    ]
    scale = Scale("accuracy in %", 100 * min(shown), 100 * max(shown) + 1e-9)
    panels = [
        _panel(rows, part, f"{PARTS[part]} ({count:,} images)", scale)
        for part, count in zip(("val", "test"), images, strict=True)
        if any(accuracy is not None for row in rows for accuracy in getattr(row, part))
    ]
    return Chart(
        name="rerun_matrix",
        title="Every trained depth, run at every depth",
        caption="Each row has the weights that were trained at one depth. Each column runs them at one"
        " depth without further training. Squares on the diagonal run as they were trained. The colour"
        " is the mean accuracy over seeds.",
        panels=tuple(panels),
        height=4.8,
    )


def _panel(rows: list[TrainedDepth], part: str, title: str, scale: Scale) -> Panel:
    x, y, shades, hover = [], [], [], []
    for place, row in enumerate(rows):
        for column, accuracy in enumerate(getattr(row, part)):
            if accuracy is None:
                continue
            x.append(float(column))
            y.append(float(place))
            shades.append(100 * accuracy)
            hover.append(
                f"trained at {row.trained:,}, run at {row.run[column]:,} executions\n"
                f"{100 * accuracy:.1f} %, {row.seeds} seed{'s' if row.seeds != 1 else ''}"
            )
    squares = Series(
        "accuracy", "points", x, y, shades=shades, marker="square", size=_SIDE / len(rows),
        hover=hover, legend=False,
    )  # fmt: skip
    ticks = tuple((float(i), f"{depth:,}") for i, depth in enumerate(rows[0].run))
    ends = (-0.6, len(ticks) - 0.4)
    return Panel(
        Axis("executions that the weights run", ticks=ticks, range=ends),
        Axis("executions in training", ticks=ticks, range=ends),
        (squares,),
        title=title,
        scale=scale,
    )


def block(rows: list[TrainedDepth]) -> list[Block]:
    """A table with a row for each trained depth. Empty without `rerun: all`."""
    if not rows:
        return []
    open_test = all(accuracy is not None for row in rows for accuracy in row.test)
    part = "test" if open_test else "val"
    columns = (
        Column("trained at"), Column("seeds"), *(Column(f"run at {depth:,}") for depth in rows[0].run),
        Column("best at, on validation"),
    )  # fmt: skip
    cells = [
        (
            f"{row.trained:,}",
            str(row.seeds),
            *(percent(accuracy) for accuracy in getattr(row, part)),
            f"{row.best:,}",
        )
        for row in rows
    ]
    note = (
        f"Mean {PARTS[part]} accuracy in % of the weights trained at each depth, run at every depth of"
        " the study without further training. Nothing in this table is tested: the verdicts on depths"
        " are in the section before."
    )
    return [
        Block(
            "Every depth at every depth", "rerun_matrix", notes=[note], table=Table(columns, cells)
        )
    ]
