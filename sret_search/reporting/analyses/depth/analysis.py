"""Depths in a report: the gain of training at each depth over reruns of the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sret_search.reporting.analyses import candidates
from sret_search.reporting.analyses.base import (
    P_COLUMNS,
    Analysis,
    Block,
    Column,
    Table,
    difference_cell,
    drawn,
    family_note,
    fields,
    p_cells,
)
from sret_search.reporting.analyses.candidates import LABELS, cost_axis
from sret_search.reporting.analyses.depth import matrix
from sret_search.reporting.analyses.depth.numbers import BOUND, Depth, depths
from sret_search.reporting.formatting import (
    bounds,
    executions,
    in_percent,
    listed,
    percent,
    points,
)
from sret_search.reporting.render.chart import (
    Axis,
    Chart,
    Dash,
    Marker,
    Panel,
    Series,
    ends,
    percents,
)
from sret_search.reporting.render.colours import BLUE, GREEN, ORANGE
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.standard_error import LEVEL

_PARTS = {"val": "validation", "test": "test, of arms declared before training"}
_COLUMNS = (
    Column("executions"), Column("seeds"), Column("trained, validation"), Column("trained, test"),
    Column("rerun, test"), Column("back, test"), Column("minus rerun, points"), *P_COLUMNS,
    Column("minus reference, points"), *P_COLUMNS, Column("finding", "wrap"),
    Column("gains less than 1 point", "word"),
)  # fmt: skip


def analyse(results: Results) -> Analysis:
    """The depths that arms were trained at."""
    trained = results.once(depths)
    seeds = len({entry.seed for entry in results.complete})
    rows = results.once(matrix.matrix)
    return Analysis(
        sentences=[*sentences(trained, seeds), *unused_sentences(trained)],
        charts=drawn(chart(trained, results), matrix.chart(rows, results)),
        blocks=[_block(trained), *matrix.block(rows)] if trained else [],
        facts={"depths": [_facts(depth) for depth in trained], **matrix.facts(rows)},
        compares=bool(trained),
    )


def chart(trained: list[Depth], results: Results) -> Chart | None:
    """Accuracy of each arm on validation and on test, with the reference's weights at the arm's
    depth and the arm's weights at the reference's depth. None if arms are not depths."""
    if not trained:
        return None
    _, *images = results.study.sizes
    return Chart(
        name="accuracy_executions",
        title="What depth brings",
        caption="Each arm as it was trained, with its 95 % band, and two controls without training:"
        " the reference's weights run at the depth of the arm, and the arm's weights run at the depth"
        " of the reference.",
        panels=tuple(
            _panel(open_depths, results, part, count)
            for part, count in zip(_PARTS, images, strict=True)
            if (open_depths := [depth for depth in trained if getattr(depth, part) is not None])
        ),
        height=4.8,
    )


def _panel(depths: list[Depth], results: Results, part: str, images: int) -> Panel:
    """A panel with the depths whose accuracy on this part may be shown."""
    x = np.array([depth.executions for depth in depths], float)
    low, high = ends([getattr(depth, f"{part}_interval") for depth in depths])
    trained = percents([getattr(depth, part) for depth in depths])
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
        rerun = percents([getattr(depth, f"rerun_{part}") for depth in depths])
        back = percents([getattr(depth, f"back_{part}") for depth in depths])
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
        heights = np.concatenate([np.asarray(s.y if len(s.y) else s.low, float) for s in series])
        lowest, highest = np.nanmin(heights), np.nanmax(heights)
        place = float(lowest - 0.05 * max(highest - lowest, 1.0))
        series += candidates.lost(results, "executions", place)
    return Panel(
        x=cost_axis(results.searched.executions.to_numpy(float), LABELS["executions"]),
        y=Axis("accuracy in %"),
        series=tuple(series),
        title=f"{_PARTS[part]} ({images:,} images)",
    )


def sentences(trained: list[Depth], seeds: int) -> list[str]:
    """Sentences that compare training at each depth with a rerun of the reference there, and each
    depth with the reference."""
    compared = [depth for depth in trained if depth.gain.difference is not None]
    reference = next((depth for depth in trained if depth.is_reference), None)
    if not compared or reference is None:
        return []
    return [
        *_gain_sentences(compared, reference),
        *_difference_sentences(compared, reference),
        *_deepest_sentences(compared[-1], reference),
        *_ground_sentences(compared[-1], seeds),
    ]


def _gain_sentences(compared: list[Depth], reference: Depth) -> Iterator[str]:
    groups: dict[int, list[Depth]] = {}
    for depth in compared:
        if depth.gain.sign is not None and not (depth.gain.sign == 0 and depth.is_unused):
            groups.setdefault(depth.gain.sign, []).append(depth)
    for sign, group in groups.items():
        text = (
            f"At {_executions(group)} executions, {group[0].verdict}, compared with the weights trained"
            f" at {executions(reference.executions)} and run there without training"
        )
        if sign == 0:
            largest_gain = max(depth.gain.interval[1] for depth in group if depth.gain.interval)
            text += f"; it may gain up to {points(largest_gain)} points (95 % interval)"
        yield f"{text}."


def _difference_sentences(compared: list[Depth], reference: Depth) -> Iterator[str]:
    groups: dict[int, list[Depth]] = {}
    for depth in compared:
        if depth.difference.sign is not None:
            groups.setdefault(depth.difference.sign, []).append(depth)
    for sign, group in groups.items():
        relation = {1: "better than", 0: "not measurably different from", -1: "worse than"}[sign]
        text = f"Each run at the depth of its training, {_executions(group)} executions are {relation} {reference.executions}"
        if sign == 0:
            intervals = [depth.difference.interval for depth in group if depth.difference.interval]
            low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
            text += f" (95 % intervals from {points(low)} to {points(high)} points)"
        yield f"{text}."


def _deepest_sentences(deepest: Depth, reference: Depth) -> Iterator[str]:
    gain, difference = deepest.gain, deepest.difference
    assert gain.difference is not None
    yield (
        f"The deepest arm, trained at {executions(deepest.executions)}, has {in_percent(deepest.test)} on"
        f" test; weights trained at {reference.executions} and run at {deepest.executions:,} have"
        f" {in_percent(deepest.rerun_test)}, a difference of {points(gain.difference)} points"
        f"{'' if gain.interval is None else f' (95 % interval {bounds(gain.interval)})'}."
    )
    if difference.difference is not None:
        yield (
            f"Compared with the reference, trained and run at {executions(reference.executions)}"
            f" ({in_percent(reference.test)}), the difference is {points(difference.difference)} points"
            f"{'' if difference.interval is None else f' ({bounds(difference.interval)})'}, for"
            f" {deepest.executions / reference.executions:.0f} times the executions."
        )


def _ground_sentences(deepest: Depth, seeds: int) -> Iterator[str]:
    """Sentences on the certainty of the verdicts on depths."""
    if seeds < 2:
        yield (
            "Exploratory: one seed, so no verdict. Intervals are over images, not over seeds:"
            " with another seed the same differences may vanish or change their sign."
        )
    elif deepest.gain.tests > 1:
        yield (
            f"Verdicts on depths hold after Holm's correction over {deepest.gain.tests} tests; the"
            " intervals are of each difference alone."
        )


def _executions(depths: list[Depth]) -> str:
    return listed([f"{depth.executions:,}" for depth in depths])


def unused_sentences(trained: list[Depth]) -> list[str]:
    """Sentences on depths where training gains less than a point over weights trained at another
    depth."""
    unused = [depth for depth in trained if depth.is_unused]
    if not unused:
        return []
    reference = next(depth for depth in trained if depth.is_reference)
    return [
        f"Depth not used at {listed([f'{depth.executions:,}' for depth in unused])} executions: training"
        f" there gains less than {100 * BOUND:g} point over weights trained at {reference.executions:,}"
        " and run there without training (one-sided t tests over seeds, after Holm's correction over"
        " all depths)."
    ]


def _block(trained: list[Depth]) -> Block:
    note = (
        "Test accuracy in %. “Rerun” runs the reference's weights at this depth, “back” runs this arm's"
        " weights at the reference's depth, both without training. Two differences are given, with 95 %"
        " intervals: this arm as it was trained minus the rerun, and minus the reference as it was"
        " trained. The finding is on the difference to the rerun."
    )
    note += family_note([depth.difference for depth in trained], "tests, of both differences")
    note += (
        " A depth counts as not used where a one-sided test over seeds, with Holm's correction over"
        " the depths, shows that training at it gains less than 1 point over the rerun."
    )
    table = Table(_COLUMNS, [_row(depth) for depth in trained])
    return Block("Depth, compared with rerun controls", "depths", notes=[note], table=table)


def _row(depth: Depth) -> tuple[str, ...]:
    return (
        f"{depth.executions:,}",
        str(depth.seeds),
        percent(depth.val),
        percent(depth.test),
        percent(depth.rerun_test),
        percent(depth.back_test),
        difference_cell(depth.gain),
        *p_cells(depth.gain),
        difference_cell(depth.difference),
        *p_cells(depth.difference),
        depth.verdict,
        _small(depth.below_p),
    )


def _small(p: float | None) -> str:
    """The text of a cell: whether the gain is below `BOUND`, with the p-value."""
    return "" if p is None else f"{'yes' if p < LEVEL else 'not shown'} (p {p:.2g})"


def _facts(depth: Depth) -> dict[str, Any]:
    return (
        fields(depth, "gain", "difference")
        | depth.gain.plain("gain_", "gain")
        | depth.difference.plain("difference_")
        | {"tests": max(depth.gain.tests, depth.difference.tests)}
        | {"is_unused": depth.is_unused, "bound": BOUND, "verdict": depth.verdict}
    )
