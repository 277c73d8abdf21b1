"""The chart of a space, drawn into the report folder of its study before any training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sret_search.planning.space_statistics import Survey
from sret_search.reporting.analyses.candidates import LABELS
from sret_search.reporting.render import matplotlib
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series
from sret_search.reporting.render.colours import BLUE, ORANGE, RED
from sret_search.reporting.render.files import pictures
from sret_search.space.candidate import Candidate
from sret_search.study import Study
from sret_search.writing import write_whole

_NEAR = 10.0
"""The largest factor between the drawn costs and a limit that is drawn."""


def write_plan(study: Study, survey: Survey, samples: Sequence[Candidate]) -> None:
    """Draw the space of a study into its report folder."""
    drawn = chart(study, survey, samples)
    figure = matplotlib.figure(drawn, f"study {study.name}: {drawn.caption}")
    study.report_folder.mkdir(parents=True, exist_ok=True)
    for kind, content in pictures(figure).items():
        write_whole(study.report_folder / f"plan.{kind}", content)


def chart(study: Study, survey: Survey, samples: Sequence[Candidate]) -> Chart:
    """Feasible candidates in parameters × multiply-adds, the budget's limits, and samples."""
    costs = [candidate.cost for candidate in samples]
    values = {"params": np.asarray(survey.params, float), "macs": np.asarray(survey.macs, float)}
    limits = {name: _limits(study, name, costs_of) for name, costs_of in values.items()}
    axes = {name: _axis(name, costs_of, limits[name]) for name, costs_of in values.items()}
    source = "all of the space" if survey.exact else f"from {survey.looked_at:,} random draws"
    return Chart(
        name="plan",
        title="What the space holds",
        caption=f"{survey.distinct:,} different feasible candidates ({source});"
        f" {len(survey.params):,} are drawn.",
        panels=(
            Panel(
                x=axes["params"],
                y=axes["macs"],
                series=(
                    Series(
                        "feasible", "points", values["params"], values["macs"], colour=BLUE,
                        size=3.5, opacity=0.5,
                    ),
                    Series(
                        "samples", "points", [float(cost.params) for cost in costs],
                        [float(cost.macs) for cost in costs], colour=ORANGE, hollow=True, size=8.5,
                    ),
                    *(_rule(name, limit, axes) for name in values for limit in limits[name]),
                ),
            ),
        ),
    )  # fmt: skip


def _limits(study: Study, name: str, values: np.ndarray) -> list[float]:
    """The limits of a cost that lie near the drawn values."""
    bounds = getattr(study.space.budget, name)
    low, high = values.min() / _NEAR, values.max() * _NEAR
    return [float(end) for end in (bounds.min, bounds.max) if end and low <= end <= high]


def _axis(name: str, values: np.ndarray, limits: list[float]) -> Axis:
    """A logarithmic axis. Costs that are almost equal stay close together."""
    ends = (float(values.min()), float(values.max()), *limits)
    low, high = min(ends), max(ends)
    if high < 2 * low:
        low, high = low / 1.5, high * 1.5
    margin = (high / low) ** 0.06
    return Axis(LABELS[name], log=True, range=(low / margin, high * margin))


def _rule(name: str, limit: float, axes: dict[str, Axis]) -> Series:
    across = axes["macs" if name == "params" else "params"].range
    assert across is not None
    x, y = ((limit, limit), across) if name == "params" else (across, (limit, limit))
    return Series(f"budget: {limit:,.0f} {name}", "line", x, y, colour=RED, dash="dash")
