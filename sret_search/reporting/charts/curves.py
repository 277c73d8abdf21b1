"""Learning curves on validation, those of the front's members in the colour of their depth."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sret_search.reporting.charts.candidates import how_many
from sret_search.reporting.charts.chart import Axis, Chart, Panel, Scale, Series
from sret_search.reporting.charts.colours import BLUE, GREY, shade
from sret_search.reporting.charts.cost import scale
from sret_search.reporting.curves import Curve, Curves


def chart(curves: Curves | None) -> Chart | None:
    """Accuracy and loss after each epoch; None where no trial has two."""
    if curves is None:
        return None
    drawn, every = len(curves.drawn), curves.trials
    return Chart(
        name="learning_curves",
        title=f"Learning curves{how_many(drawn, every, 'trials')}",
        caption="Validation after each epoch: a trial of each member of the front in the colour of"
        " its depth, others in grey.",
        panels=(
            _panel(curves.drawn, "val_accuracy", 100, "validation accuracy in %"),
            _panel(curves.drawn, "val_loss", 1, "validation loss (cross-entropy), nats an image"),
        ),
    )


def _panel(curves: Sequence[Curve], what: str, times: int, label: str) -> Panel:
    colours = scale(pd.Series([curve.executions for curve in curves]))
    series = []
    said: set[str] = set()
    for curve in curves:
        name = "on the front" if curve.on_front else "other trials"
        values = [times * value for value in getattr(curve, what)]
        series.append(
            Series(
                name, "line", curve.epochs, values,
                colour=_colour(curve, colours),
                width=1.8 if curve.on_front else 1.0, opacity=1.0 if curve.on_front else 0.35,
                legend=name not in said,
                hover=[
                    f"{curve.candidate}\ntrial {curve.trial}, seed {curve.seed}\n{curve.executions:,} executions,"
                    f" {curve.params:,} parameters\nepoch {epoch}: {value:.4g}{' %' if times == 100 else ''}"
                    for epoch, value in zip(curve.epochs, values, strict=True)
                ],
            )
        )  # fmt: skip
        said.add(name)
    best = [curve for curve in curves if curve.on_front]
    series.append(
        Series(
            "on the front", "points", [curve.epochs[-1] for curve in best],
            [times * getattr(curve, what)[-1] for curve in best], legend=False,
            colour=BLUE, shades=[float(c.executions) for c in best] if colours else None, size=6,
        )
    )  # fmt: skip
    return Panel(Axis("epoch", whole=True), Axis(label), tuple(series), scale=colours)


def _colour(curve: Curve, colours: Scale | None) -> str:
    if not curve.on_front:
        return GREY
    return shade(curve.executions, colours) if colours else BLUE
