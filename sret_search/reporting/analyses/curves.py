"""Learning curves on validation. Members of the front have the colour of their depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from sret_search.reporting.analyses.base import Analysis, drawn
from sret_search.reporting.analyses.candidates import drawn_note, scale, spaced
from sret_search.reporting.render.chart import Axis, Chart, Panel, Scale, Series
from sret_search.reporting.render.colours import BLUE, GREY, shade
from sret_search.reporting.results import Results
from sret_search.trials.trial import TrialRecord

_MOST = 30


@dataclass(frozen=True)
class Curve:
    """The learning curve of a trial on validation, with an entry for each epoch. Accuracies are
    fractions, losses are nats per image.

    Attributes:
        on_front: whether the candidate is on the front of validation and parameters.
    """

    trial: int
    candidate: str
    seed: int
    executions: int
    params: int
    on_front: bool
    epochs: list[int]
    val_accuracy: list[float]
    val_loss: list[float]


@dataclass(frozen=True)
class Curves:
    """A selection of the curves of a study, the front last, and the number of trials that have a
    curve."""

    drawn: list[Curve]
    trials: int


def learning_curves(results: Results) -> Curves | None:
    """Up to 30 curves: a seed of each member of the front, and an even selection of the others.
    None if no complete trial has two epochs."""
    with_history = [e for e in results.complete if len(e.result.history) > 1]
    if not with_history:
        return None
    members = set(results.front.candidate)
    firsts: dict[str, TrialRecord] = {}
    for entry in with_history:
        firsts.setdefault(entry.candidate, entry)
    of_front = [entry for name, entry in firsts.items() if name in members]
    of_front.sort(key=lambda entry: entry.cost["params"])
    drawn_front = [of_front[i] for i in spaced(len(of_front), _MOST)]
    rest = [entry for entry in with_history if entry.candidate not in members]
    drawn_others = [rest[i] for i in spaced(len(rest), _MOST - len(drawn_front))]
    drawn = [_curve(entry, entry.candidate in members) for entry in (*drawn_others, *drawn_front)]
    return Curves(drawn, len(with_history))


def _curve(entry: TrialRecord, on_front: bool) -> Curve:
    history = entry.result.history
    return Curve(
        trial=entry.number,
        candidate=entry.candidate,
        seed=entry.seed,
        executions=entry.cost["executions"],
        params=entry.cost["params"],
        on_front=on_front,
        epochs=[epoch.epoch for epoch in history],
        val_accuracy=[epoch.val_accuracy for epoch in history],
        val_loss=[epoch.val_loss for epoch in history],
    )


def analyse(results: Results) -> Analysis:
    """The learning curves, as a chart only."""
    return Analysis(charts=drawn(chart(learning_curves(results))))


def chart(curves: Curves | None) -> Chart | None:
    """Accuracy and loss after each epoch. None if no trial has two epochs."""
    if curves is None:
        return None
    drawn, total = len(curves.drawn), curves.trials
    return Chart(
        name="learning_curves",
        title=f"Learning curves{drawn_note(drawn, total, 'trials')}",
        caption="Accuracy and loss on validation after each epoch. A trial of each member of the front"
        " has the colour of its depth; other trials are grey.",
        panels=(
            _panel(curves.drawn, "val_accuracy", 100, "validation accuracy in %"),
            _panel(curves.drawn, "val_loss", 1, "validation loss (cross-entropy), nats per image"),
        ),
    )


def _panel(curves: Sequence[Curve], measure: str, times: int, label: str) -> Panel:
    colours = scale(pd.Series([curve.executions for curve in curves]))
    series = []
    named: set[str] = set()
    for curve in curves:
        name = "on the front" if curve.on_front else "other trials"
        values = [times * value for value in getattr(curve, measure)]
        series.append(
            Series(
                name, "line", curve.epochs, values,
                colour=_colour(curve, colours),
                width=1.8 if curve.on_front else 1.0, opacity=1.0 if curve.on_front else 0.35,
                legend=name not in named,
                hover=[
                    f"{curve.candidate}\ntrial {curve.trial}, seed {curve.seed}\n{curve.executions:,} executions,"
                    f" {curve.params:,} parameters\nepoch {epoch}: {value:.4g}{' %' if times == 100 else ''}"
                    for epoch, value in zip(curve.epochs, values, strict=True)
                ],
            )
        )  # fmt: skip
        named.add(name)
    best = [curve for curve in curves if curve.on_front]
    series.append(
        Series(
            "on the front", "points", [curve.epochs[-1] for curve in best],
            [times * getattr(curve, measure)[-1] for curve in best], legend=False,
            colour=BLUE, shades=[float(c.executions) for c in best] if colours else None, size=6,
        )
    )  # fmt: skip
    return Panel(Axis("epoch", whole=True), Axis(label), tuple(series), scale=colours)


def _colour(curve: Curve, colours: Scale | None) -> str:
    if not curve.on_front:
        return GREY
    return shade(curve.executions, colours) if colours else BLUE
