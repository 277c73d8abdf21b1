"""Failures: attempts that ended without an outcome, and trials that diverged or failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from sret_search.reporting.analyses.base import (
    Analysis,
    Block,
    Column,
    Table,
    drawn,
    isolated,
)
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, rows
from sret_search.reporting.render.colours import RED, SKY
from sret_search.reporting.results import Results

_LISTED = 100
"""The largest number of trials in the list of those that diverged or failed."""
_NAMED = 20
"""The largest number of trials whose numbers are written in a sentence."""
_COLUMNS = (
    Column("trial"),
    Column("state", "word"),
    Column("candidate", "word"),
    Column("why", "wrap"),
)


@dataclass(frozen=True)
class Failure:
    """A cause of failures, with its count.

    Attributes:
        is_lost: whether the cause ended trials. Otherwise it ended attempts, which were repeated.
    """

    cause: str
    count: int
    is_lost: bool


def causes(results: Results) -> list[Failure]:
    """Every cause, by falling frequency. Causes that ended trials are first."""
    lost: Counter[str] = Counter()
    repeated: Counter[str] = Counter()
    for entry in results.entries:
        if entry.state == "diverged":
            lost["loss not finite"] += 1
        elif entry.state == "failed":
            lost[entry.result.cause or "error"] += 1
        repeated.update(entry.failures)
    return [
        *(Failure(cause, count, True) for cause, count in lost.most_common()),
        *(Failure(cause, count, False) for cause, count in repeated.most_common()),
    ]


def analyse(results: Results) -> Analysis:
    """The failures by cause and by trial, and the trials whose checkpoints were deleted."""
    repeated: Counter[str] = Counter()
    for entry in results.entries:
        repeated.update(entry.failures)
    return Analysis(
        charts=drawn(chart(causes(results))),
        blocks=[*_lost(results), *_notes(results, repeated)],
        facts={"failures": dict(repeated), "only_retrainable": results.only_retrainable},
    )


def _lost(results: Results) -> Iterator[Block]:
    lost = [entry for entry in results.entries if entry.state in ("diverged", "failed")]
    if not lost:
        return
    notes = []
    if len(lost) > _LISTED:
        text = Markup("The first {}; {} more are in <code>trials.csv</code>.")
        notes.append(text.format(_LISTED, f"{len(lost) - _LISTED:,}"))
    rows = [
        (str(e.number), e.state, e.candidate, isolated(e.result.reason or ""))
        for e in lost[:_LISTED]
    ]
    yield Block(
        "Diverged and failed", "failures", notes=notes, table=Table(_COLUMNS, rows, is_narrow=False)
    )


def _notes(results: Results, repeated: Counter[str]) -> Iterator[Block]:
    """Notes without a heading: repeated attempts, and deleted checkpoints."""
    notes = []
    if repeated:
        counts = ", ".join(f"{cause} {times}" for cause, times in repeated.items())
        notes.append(f"Attempts that ended without a result and were started again: {counts}.")
    gone = results.only_retrainable
    if gone:
        trials = f"trial{'s' if len(gone) > 1 else ''} {', '.join(map(str, gone))}"
        text = Markup(
            "Trials whose full checkpoint was deleted (<code>storage.quota</code>): nothing can continue"
            " from them, but their weights are kept: {}."
        )
        notes.append(text.format(f"{len(gone)} trials" if len(gone) > _NAMED else trials))
    if notes:
        yield Block(notes=notes)


def chart(failures: list[Failure]) -> Chart | None:
    """A chart of how often each cause ended a trial, or an attempt that was repeated. None without
    failures."""
    if not failures:
        return None
    series = []
    for name, is_lost, colour in (
        ("trials that are lost", True, RED),
        ("attempts that were made again", False, SKY),
    ):
        group = [(place, f) for place, f in enumerate(failures) if f.is_lost == is_lost]
        if group:
            series.append(
                Series(
                    name, "bars", [float(f.count) for _, f in group], [float(p) for p, _ in group],
                    colour=colour, hover=[f"{f.cause}\n{f.count:,} {name}" for _, f in group],
                )
            )  # fmt: skip
    return Chart(
        name="failures",
        title="What went wrong, by cause",
        caption="A training whose loss is no longer finite, or that failed, is lost: this is its result."
        " An attempt that the machine ended is repeated from its last checkpoint.",
        panels=(
            Panel(
                x=Axis("number of trials or attempts", whole=True),
                y=rows([failure.cause for failure in failures]),
                series=tuple(series),
            ),
        ),
        height=1.8 + 0.36 * len(failures),
    )
