"""Arms of any axis but loops, compared with the reference, paired by seed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

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
    isolated,
    p_cells,
    ranged,
)
from sret_search.reporting.formatting import in_percent, percent, points
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, ends, percents, rows
from sret_search.reporting.render.colours import BLUE, GREEN, ORANGE
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.verdict import (
    NO_DIFFERENCE,
    Comparison,
    certainty_note,
    family,
)
from sret_search.trials.trial import TrialRecord

_COLUMNS = (
    Column("arm", "word"), Column("seeds"), Column("validation"), Column("test"),
    Column("training MACs"), Column("minus reference, points"), *P_COLUMNS,
    Column("the arm is", "wrap"),
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """A value of the axis of the arms. Accuracies are means over seeds, as fractions. Test accuracy
    is None if the arm was declared after the results.

    Attributes:
        train_macs: multiply-adds of one training.
        difference: test accuracy minus that of the reference.
    """

    name: str
    seeds: int
    is_reference: bool
    val: float
    test: float | None
    test_interval: Interval | None
    train_macs: int
    difference: Comparison = field(default_factory=Comparison)


def arms(results: Results) -> list[Arm]:
    """Every arm with a complete trial. Empty if arms are loops, or have several candidates."""
    declared = results.study.file.arms
    if declared is None or declared.axis.endswith(".loops"):
        return []
    groups: dict[str, list[TrialRecord]] = {}
    for entry in results.complete:
        groups.setdefault(json.dumps(entry.values.get(declared.axis)), []).append(entry)
    if any(len({entry.candidate for entry in group}) > 1 for group in groups.values()):
        return []
    reference = groups.get(json.dumps(declared.reference), [])
    compared = [_arm(results, name, group, reference) for name, group in groups.items()]
    compared_places = [i for i, arm in enumerate(compared) if not arm.is_reference]
    tests = family(
        [compared[i].difference for i in compared_places], planned(results) - len(compared)
    )
    for i, difference in zip(compared_places, tests, strict=True):
        compared[i] = replace(compared[i], difference=difference)
    return compared


def planned(results: Results) -> int:
    """The number of arms that a study asks for, trained or not."""
    declared = results.study.file.arms
    if declared is None:
        return 0
    values = (candidate.values.get(declared.axis) for candidate in results.study.grid)
    return len({json.dumps(value) for value in values})


def _arm(results: Results, name: str, arm: list[TrialRecord], reference: list[TrialRecord]) -> Arm:
    val = [entry.result.accuracy("val") for entry in arm]
    test, test_interval = paired.accuracy_on_test(results, arm)
    is_reference = arm is reference
    return Arm(
        name=_words(json.loads(name)),
        seeds=len({entry.seed for entry in arm}),
        is_reference=is_reference,
        val=float(np.mean(val)),
        test=test,
        test_interval=test_interval,
        train_macs=arm[0].train_macs,
        difference=Comparison()
        if is_reference
        else paired.compared(results, arm, reference, "test"),
    )


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)


def analyse(results: Results) -> Analysis:
    """The arms with their differences from the reference."""
    trained_arms = results.once(arms)
    return Analysis(
        sentences=sentences(trained_arms),
        charts=drawn(chart(trained_arms)),
        blocks=[_block(trained_arms)] if trained_arms else [],
        facts={"arms": [_facts(arm) for arm in trained_arms]},
        compares=bool(trained_arms),
    )


def chart(trained_arms: list[Arm]) -> Chart | None:
    """Test accuracy of each arm, and its difference from the reference, paired by seed. None with
    fewer than two arms."""
    if len(trained_arms) < 2:
        return None
    places = np.arange(len(trained_arms), dtype=float)
    with_test = [(place, arm) for place, arm in enumerate(trained_arms) if arm.test is not None]
    low, high = ends([arm.test_interval for _, arm in with_test])
    test, val = (
        percents([arm.test for _, arm in with_test]),
        percents([arm.val for arm in trained_arms]),
    )
    names = [f"{arm.name}{' (reference)' if arm.is_reference else ''}" for arm in trained_arms]
    accuracy = Panel(
        x=Axis("accuracy in %"),
        y=rows(names),
        series=(
            Series(
                "validation", "points", val, places + 0.18, colour=ORANGE, marker="square",
                hollow=True, hover=[f"{n}\n{v:.1f} % on validation" for n, v in zip(names, val, strict=True)],
            ),
            Series(
                "test, with 95 % interval", "points", test, [float(place) for place, _ in with_test],
                left=low, right=high, colour=BLUE,
                hover=[
                    f"{names[place]}\n{arm.seeds} seed{'s' if arm.seeds != 1 else ''}, {arm.train_macs:.3g} MACs of training\n"
                    f"{y:.1f} % on test ({below:.1f} to {above:.1f})"
                    for (place, arm), y, below, above in zip(with_test, test, low, high, strict=True)
                ],
            ),
        ),
    )  # fmt: skip
    compared = [(place, arm) for place, arm in with_test if arm.difference.difference is not None]
    panels = [accuracy]
    if compared:
        gains = percents([arm.difference.difference for _, arm in compared])
        left, right = ends([arm.difference.interval for _, arm in compared])
        panels.append(
            Panel(
                x=Axis("test accuracy minus that of the reference, points", line=0),
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
        title="Arms compared with the reference",
        caption="Means over seeds. The intervals of differences are at 95 %, each for its"
        " difference alone. The corrected p-values in the table decide whether an arm differs from the"
        " reference.",
        panels=tuple(panels),
        height=2.2 + 0.45 * len(trained_arms),
    )


def sentences(trained_arms: list[Arm]) -> list[str]:
    """A sentence for each arm: its accuracy and that of the reference, the verdict, the training
    cost."""
    reference = next((arm for arm in trained_arms if arm.is_reference), None)
    texts = []
    for arm in trained_arms:
        test = arm.difference
        if reference is None or arm.is_reference:
            continue
        if test.is_closed:
            texts.append(
                f"{arm.name}: {in_percent(arm.val)} on validation (reference {reference.name}:"
                f" {in_percent(reference.val)}); {test.verdict}."
            )
        if test.difference is None or arm.test is None:
            continue
        words = {1: "gained against", 0: f"made {NO_DIFFERENCE} against", -1: "lost against"}
        verdict = "compared with" if test.sign is None else words[test.sign]
        texts.append(
            f"{arm.name} {verdict} {reference.name}: {in_percent(arm.test)} and"
            f" {in_percent(reference.test)} on test, a difference of {points(test.difference)} points"
            f"{certainty_note(test, 'arms')}, for {arm.train_macs / reference.train_macs:.2f} times the"
            " training multiply-adds."
        )
    return texts


def _block(trained_arms: list[Arm]) -> Block:
    note = (
        "Accuracy in %, means over seeds; differences of test accuracy in points, paired by seed,"
        " with 95 % intervals."
    )
    return Block(
        heading="Arms",
        name="arms",
        notes=[note + family_note([arm.difference for arm in trained_arms], "arms")],
        table=Table(_COLUMNS, [_row(arm) for arm in trained_arms]),
    )


def _row(arm: Arm) -> tuple[str, ...]:
    return (
        isolated(arm.name) + (" (reference)" if arm.is_reference else ""),
        str(arm.seeds),
        percent(arm.val),
        ranged(arm.test, arm.test_interval),
        f"{arm.train_macs:.3g}",
        difference_cell(arm.difference),
        *p_cells(arm.difference),
        "" if arm.is_reference else arm.difference.verdict,
    )


def _facts(arm: Arm) -> dict[str, Any]:
    verdict = "the reference" if arm.is_reference else arm.difference.verdict
    tested = arm.difference.plain("difference_")
    return fields(arm, "difference") | tested | {"verdict": verdict}
