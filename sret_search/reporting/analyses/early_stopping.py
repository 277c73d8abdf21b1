"""Trials that a scheduler stopped before their end, and the training time that this saved."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from sret_search.reporting.analyses.base import Analysis, drawn
from sret_search.reporting.analyses.candidates import DRAWN, drawn_note, spaced
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series
from sret_search.reporting.render.colours import BLUE, ORANGE
from sret_search.reporting.results import Results
from sret_search.trials.trial import TrialRecord
from sret_search.units import duration_text


@dataclass(frozen=True)
class Stopped:
    """The trials that were stopped, and the training that they did not do.

    Attributes:
        scheduler: name of the scheduler.
        trials: number of stopped trials.
        asked_for: number of trials that the scheduler decided on.
        first, last: epochs after which the earliest and the latest stop happened.
        length: epochs of a whole training.
        seconds_saved: seconds for the rest of the trainings, each at its measured pace.
        share_saved: `seconds_saved` divided by its sum with the time of all ended trials that the
            scheduler decided on.
    """

    scheduler: str
    trials: int
    asked_for: int
    first: int
    last: int
    length: int
    seconds_saved: float
    share_saved: float


@dataclass(frozen=True)
class AtRung:
    """A trial at a rung. The accuracy is on validation, as a fraction.

    Attributes:
        is_stopped: whether the trial was stopped at this rung.
    """

    trial: int
    candidate: str
    epoch: int
    accuracy: float
    executions: int
    is_stopped: bool


def stopped(results: Results) -> Stopped | None:
    """The stopped trials of a study. None if there are none."""
    trials = [entry for entry in results.entries if entry.state == "stopped"]
    if not trials:
        return None
    under = [entry for entry in results.entries if entry.rungs or entry.state == "stopped"]
    spent = math.fsum(e.result.seconds or 0.0 for e in under if not e.open)
    saved = math.fsum(_remaining_seconds(entry) for entry in trials)
    epochs = [int(entry.result.epochs or 0) for entry in trials]
    return Stopped(
        scheduler=results.study.file.scheduler.name,
        trials=len(trials),
        asked_for=len(under),
        first=min(epochs),
        last=max(epochs),
        length=int(trials[-1].job.recipe.length),
        seconds_saved=saved,
        share_saved=saved / (saved + spent),
    )


def _remaining_seconds(entry: TrialRecord) -> float:
    """Seconds that the rest of a training would have taken, at the mean time of its epochs so
    far."""
    length = entry.job.recipe.length
    seconds, epochs = entry.result.seconds, entry.result.epochs
    return seconds * (length / epochs - 1) if seconds and epochs else 0.0


def at_rungs(results: Results) -> list[AtRung]:
    """Every trial at every rung that it reached, by trial number and epoch."""
    reached_rungs = []
    for entry in results.entries:
        last = max(entry.rungs, default=0)
        for epoch, reached in sorted(entry.rungs.items()):
            reached_rungs.append(
                AtRung(
                    trial=entry.number,
                    candidate=entry.candidate,
                    epoch=epoch,
                    accuracy=reached.val_accuracy,
                    executions=entry.cost["executions"],
                    is_stopped=entry.state == "stopped" and epoch == last,
                )
            )
    return reached_rungs


def analyse(results: Results) -> Analysis:
    """The trials that were stopped, with their accuracy at rungs."""
    summary = results.once(stopped)
    return Analysis(
        sentences=sentences(summary),
        charts=drawn(chart(at_rungs(results))),
        facts={"stopped": None if summary is None else asdict(summary)},
    )


def sentences(summary: Stopped | None) -> list[str]:
    """A sentence with the number of stopped trials and the time saved."""
    if summary is None:
        return []
    after = (
        f"{summary.first}"
        if summary.first == summary.last
        else f"{summary.first} to {summary.last}"
    )
    return [
        f"{summary.scheduler} stopped {summary.trials} of {summary.asked_for} trials after {after} of"
        f" {summary.length} epochs, which saved {100 * summary.share_saved:.0f} % of the training time"
        f" (about {duration_text(summary.seconds_saved)}); they are on no front and in no mean."
    ]


def chart(decisions: list[AtRung]) -> Chart | None:
    """Validation accuracy at each rung, for stopped trials and the others. None if no trial was
    stopped."""
    if not any(point.is_stopped for point in decisions):
        return None
    selected = [decisions[i] for i in spaced(len(decisions), DRAWN)]
    rungs = sorted({point.epoch for point in decisions})
    series = []
    for name, is_stopped, colour, side in (
        ("went on", False, BLUE, 0.12),
        ("stopped here", True, ORANGE, -0.12),
    ):
        points = [point for point in selected if point.is_stopped == is_stopped]
        if not points:
            continue
        series.append(
            Series(
                name, "points", [rungs.index(point.epoch) + side for point in points],
                [100 * point.accuracy for point in points], colour=colour, opacity=0.6, size=6,
                marker="cross" if is_stopped else "circle",
                hover=[f"{point.candidate}\ntrial {point.trial}, {point.executions:,} executions\n"
                       f"{100 * point.accuracy:.1f} % after {point.epoch} epochs: {name}" for point in points],
            )
        )  # fmt: skip
    return Chart(
        name="stopped",
        title=f"Trials at the rungs of the scheduler{drawn_note(len(selected), len(decisions), 'of them')}",
        caption="Validation accuracy of each trial when the scheduler decided on it."
        " Stopped trials are on no front and in no mean.",
        panels=(
            Panel(
                x=Axis(
                    "epochs trained",
                    range=(-0.6, len(rungs) - 0.4),
                    ticks=tuple((float(place), f"{epoch}") for place, epoch in enumerate(rungs)),
                ),
                y=Axis("validation accuracy in %"),
                series=tuple(series),
            ),
        ),
    )
