"""Charts of laws and slices: a fit with its residuals, depth at equal cost, best depth by budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sret_search.reporting.analyses.candidates import LABELS
from sret_search.reporting.analyses.scaling.iso_cost import TOLERANCE, Slice
from sret_search.reporting.analyses.scaling.law import PHI
from sret_search.reporting.analyses.scaling.laws import Scaling
from sret_search.reporting.analyses.scaling.recurrence import Recurrence
from sret_search.reporting.analyses.scaling.saturation import Saturation
from sret_search.reporting.render.chart import Axis, Chart, Panel, Scale, Series
from sret_search.reporting.render.colours import BLUE, GREEN, RED, SKY, shades

_LINE = 60
_SHOWN = 6
"""The largest number of slices that are drawn. The chart of best depth has all slices."""
_BUDGETS = 3
"""The fewest budgets for a chart of the best depth."""


def charts(found: Scaling) -> list[Chart | None]:
    """Every chart of laws and slices. None for each chart that the results do not allow."""
    return [
        None if found.recurrence is None else law(found.recurrence),
        saturations(found.saturations),
        best_depth(found.params, found.macs),
        at_equal_cost(found.params),
        at_equal_cost(found.macs),
    ]


def law(one: Recurrence) -> Chart | None:
    """The law of recurrence, and the residual of each candidate. None if an exponent is not
    estimated."""
    if one.alpha.value is None or (one.phi is not None and one.phi.value is None):
        return None
    fit, phi = one.found, float(one.found.theta[PHI])
    log_n = fit.points.log_size(np.array([phi]), fit.centre)[0][0]
    line = np.linspace(log_n.min(), log_n.max(), _LINE)
    low, high = one.drawn.band(line, phi)
    e, a, _, alpha = fit.theta
    executions = np.array(
        [candidate.entry.cost["executions"] for candidate in one.trained], dtype=float
    )
    scale = Scale("executions", *_ends(executions), log=executions.min() < executions.max())
    off = 100 * np.expm1(fit.residuals)
    names = [
        f"{candidate.entry.candidate}\n{int(e):,} executions, {candidate.entry.cost['params']:,} parameters\n"
        f"loss {candidate.loss:.4f}, {percent:+.1f} % from the law"
        for candidate, e, percent in zip(one.trained, executions, off, strict=True)
    ]
    x, x_line = fit.centre * np.exp(log_n), fit.centre * np.exp(line)
    label = f"effective parameters, N_once + r^φ·N_rec with φ = {phi:.2f}".replace("-", "−")
    return Chart(
        name="law_of_recurrence",
        title="The law of recurrence",
        caption="Validation loss against parameters, each counted r^φ times where it runs r times, with"
        " the fitted law and its 95 % band at this φ (over seeds and candidates). Right: what the law"
        " leaves, which should not depend on executions.",
        bars="Band: 95 %, by a bootstrap over candidates, wider by what seeds share (jackknife).",
        panels=(
            Panel(
                x=Axis(label, log=True),
                y=Axis("validation loss in nats", log=True),
                series=(
                    Series("95 % band", "band", x_line, low=low, high=high, colour=BLUE),
                    Series("candidate", "points", x, fit.points.y_n, shades=executions, hover=names, size=5),
                    Series("law", "line", x_line, e + a * np.exp(-alpha * line), colour=RED),
                ),
                scale=scale,
            ),
            Panel(
                x=Axis("executions (unique blocks × loops)", log=True),
                y=Axis("measured loss less the law, in % of it", line=0.0),
                series=(
                    Series("residual", "points", executions, off, colour=SKY, hover=names, size=5),
                ),
            ),
        ),
    )  # fmt: skip


def saturations(found: Sequence[Saturation]) -> Chart | None:
    """Accuracy and loss against executions, with the saturating law. None if there is no law."""
    panels = tuple(
        _saturation(saturation)
        for saturation in found
        if saturation.beta is not None and saturation.beta.value is not None
    )
    if not panels:
        return None
    return Chart(
        name="saturation",
        title="What more executions bring",
        caption="A law that saturates, L∞ + B·executions^−β, with its 95 % band (over seeds and candidates). Candidates"
        " that differ in loops alone are a family; where there are several, each is shown less its law at the middle depth.",
        bars="Bands: 95 %, by a bootstrap over candidates, or over families where there are several, wider"
        " by what seeds share (jackknife).",
        panels=panels,
    )


def _saturation(one: Saturation) -> Panel:
    assert one.found is not None
    assert one.drawn is not None
    fit, points = one.found, one.found.points
    executions = points.sizes_rn[0]
    log_e = np.log(executions / fit.centre)
    line = np.linspace(log_e.min(), log_e.max(), _LINE)
    e, a, _, alpha = fit.theta
    y_line, (low, high) = e + a * np.exp(-alpha * line), one.drawn.band(line, 0.0)
    y = points.y_n
    if points.family_n is not None:  # minus the law of each family at the middle depth
        y, y_line = a * np.expm1(-alpha * log_e) + fit.residuals, a * np.expm1(-alpha * line)
    accuracy, several = one.measure == "accuracy", points.family_n is not None
    if accuracy:
        first = 0 if several else 100
        y, y_line, low, high = (first - 100 * v for v in (y, y_line, high, low))
        label = (
            "validation accuracy in %"
            if not several
            else "accuracy less that at middle depth, points"
        )
    elif several:
        y, y_line, low, high = (100 * np.expm1(v) for v in (y, y_line, low, high))
        label = "loss less that at middle depth, in % of it"
    else:
        label = "validation loss in nats"
    x_line = fit.centre * np.exp(line)
    return Panel(
        x=Axis("executions (unique blocks × loops)", log=True),
        y=Axis(label),
        series=(
            Series("95 % band", "band", x_line, low=low, high=high, colour=BLUE),
            Series("candidate", "points", executions, y, colour=SKY, size=5),
            Series("law", "line", x_line, y_line, colour=RED),
        ),
        title=one.measure,
    )


def best_depth(params: Sequence[Slice], macs: Sequence[Slice]) -> Chart | None:
    """The best depth against the budget. None with too few budgets."""
    panels = tuple(_best(slices) for slices in (params, macs) if len(slices) >= _BUDGETS)
    if not panels:
        return None
    return Chart(
        name="best_depth",
        title="The best depth by budget",
        caption=f"Of candidates whose costs are equal within {100 * TOLERANCE:.0f} %, the executions of the"
        " most accurate one; the bar spans all depths whose best candidate is not significantly worse"
        " (95 %, corrected for the choice among many). Hollow: no depth is measurably better than another"
        " (5 % for all budgets of the page together), as where there is one seed.",
        bars="Bars: depths that may be best, at 95 % or more.",
        panels=panels,
    )


def _best(own: Sequence[Slice]) -> Panel:
    x = np.sqrt([float(part.low) * part.high for part in own])
    low, high = np.array([part.interval for part in own], dtype=float).T
    hover = [
        f"{part.span}\n{part.candidates} candidates of {len(part.depths)} depths\nbest:"
        f" {part.best.candidate}, {part.best.executions:,} executions, {100 * part.best.accuracy:.1f} %\nmay be"
        f" best: {', '.join(f'{at.executions:,}' for at in part.depths if at.may_be_best)} executions"
        for part in own
    ]
    return Panel(
        x=Axis(LABELS[own[0].cost], log=True),
        y=Axis("executions of the best candidate", log=True),
        series=(
            Series(
                "best depth", "points", x, [float(part.best.executions) for part in own],
                low=low, high=high, colour=GREEN, hollow=[part.is_open for part in own], hover=hover,
            ),
        ),
    )  # fmt: skip


def at_equal_cost(own: Sequence[Slice]) -> Chart | None:
    """Accuracy against executions in slices of equal cost, evenly selected among the budgets. None
    without slices."""
    if not own:
        return None
    places = np.unique(np.linspace(0, len(own) - 1, min(len(own), _SHOWN)).astype(int))
    some = [own[i] for i in places]
    cost = "parameters" if own[0].cost == "params" else "MACs"
    series = tuple(
        Series(
            part.span, "line", [float(at.executions) for at in part.depths],
            [100 * at.accuracy for at in part.depths], colour=colour, marker="circle",
            hollow=[not at.may_be_best for at in part.depths],
            hover=[
                f"{at.candidate}, {at.executions:,} executions\n{100 * at.accuracy:.1f} %, the best of"
                f" {at.candidates}" for at in part.depths
            ],
        )
        for part, colour in zip(some, shades(len(some)), strict=True)
    )  # fmt: skip
    fewer = "" if len(some) == len(own) else f" ({len(some)} of {len(own)} budgets are drawn)"
    return Chart(
        name=f"depth_at_equal_{own[0].cost}",
        title=f"Depth at equal {cost}{fewer}",
        caption=f"The best candidate of each depth among those whose {cost} are equal within"
        f" {100 * TOLERANCE:.0f} %. Hollow: significantly worse than the best of its budget.",
        panels=(
            Panel(
                x=Axis("executions (unique blocks × loops)", log=True),
                y=Axis("validation accuracy in %"),
                series=series,
                title=f"{cost} of one candidate",
            ),
        ),
    )


def _ends(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 1, high + 1)
