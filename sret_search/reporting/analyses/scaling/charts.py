"""Charts of laws and slices: a fit with its residuals, depth at equal cost, best depth by budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sret_search.reporting.analyses.candidates import LABELS, spaced
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


def charts(scaling: Scaling) -> list[Chart | None]:
    """Every chart of laws and slices. None for each chart that the results do not allow."""
    return [
        None if scaling.recurrence is None else law(scaling.recurrence),
        saturations(scaling.saturations),
        best_depth(scaling.params, scaling.macs),
        at_equal_cost(scaling.params),
        at_equal_cost(scaling.macs),
    ]


def law(recurrence: Recurrence) -> Chart | None:
    """The law of recurrence, and the residual of each candidate. None if an exponent is not
    estimated."""
    if recurrence.alpha.value is None or (
        recurrence.phi is not None and recurrence.phi.value is None
    ):
        return None
    fit, phi = recurrence.fit, float(recurrence.fit.theta[PHI])
    log_n = fit.points.log_size(np.array([phi]), fit.centre)[0][0]
    line = np.linspace(log_n.min(), log_n.max(), _LINE)
    low, high = recurrence.bootstraps.band(line, phi)
    e, a, _, alpha = fit.theta
    executions = np.array(
        [candidate.entry.cost["executions"] for candidate in recurrence.trained], dtype=float
    )
    scale = Scale("executions", *_ends(executions), log=executions.min() < executions.max())
    residuals = 100 * np.expm1(fit.residuals)
    names = [
        f"{candidate.entry.candidate}\n{int(e):,} executions, {candidate.entry.cost['params']:,} parameters\n"
        f"loss {candidate.loss:.4f}, {percent:+.1f} % from the law"
        for candidate, e, percent in zip(recurrence.trained, executions, residuals, strict=True)
    ]
    x, x_line = fit.centre * np.exp(log_n), fit.centre * np.exp(line)
    label = f"effective parameters, N_once + r^φ·N_rec with φ = {phi:.2f}".replace("-", "−")
    return Chart(
        name="law_of_recurrence",
        title="The law of recurrence",
        caption="Validation loss against parameters, each counted r^φ times where it runs r times, with"
        " the fitted law and its 95 % band at this φ (over seeds and candidates). Right: the"
        " residuals of the law, which should not depend on executions.",
        bars="Band: 95 %, by a bootstrap over candidates, widened by the deviations that seeds share (jackknife).",
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
                y=Axis("measured loss minus the law, in % of the law", line=0.0),
                series=(
                    Series("residual", "points", executions, residuals, colour=SKY, hover=names, size=5),
                ),
            ),
        ),
    )  # fmt: skip


def saturations(laws: Sequence[Saturation]) -> Chart | None:
    """Accuracy and loss against executions, with the saturating law. None if there is no law."""
    panels = tuple(
        _saturation(saturation)
        for saturation in laws
        if saturation.beta is not None and saturation.beta.value is not None
    )
    if not panels:
        return None
    return Chart(
        name="saturation",
        title="What more executions bring",
        caption="A law that saturates, L∞ + B·executions^−β, with its 95 % band (over seeds and candidates). Candidates"
        " that differ in loops alone are a family. With several families, the law of its family at the middle depth is subtracted from each candidate.",
        bars="Bands: 95 %, by a bootstrap over candidates, or over families where there are several,"
        " widened by the deviations that seeds share (jackknife).",
        panels=panels,
    )


def _saturation(saturation: Saturation) -> Panel:
    assert saturation.fit is not None
    assert saturation.bootstraps is not None
    fit, points = saturation.fit, saturation.fit.points
    executions = points.sizes_rn[0]
    log_e = np.log(executions / fit.centre)
    line = np.linspace(log_e.min(), log_e.max(), _LINE)
    e, a, _, alpha = fit.theta
    y_line, (low, high) = e + a * np.exp(-alpha * line), saturation.bootstraps.band(line, 0.0)
    y = points.y_n
    if points.family_n is not None:  # minus the law of each family at the middle depth
        y, y_line = a * np.expm1(-alpha * log_e) + fit.residuals, a * np.expm1(-alpha * line)
    accuracy, several = saturation.measure == "accuracy", points.family_n is not None
    if accuracy:
        start = 0 if several else 100
        y, y_line, low, high = (start - 100 * v for v in (y, y_line, high, low))
        label = (
            "validation accuracy in %"
            if not several
            else "accuracy minus that at middle depth, points"
        )
    elif several:
        y, y_line, low, high = (100 * np.expm1(v) for v in (y, y_line, low, high))
        label = "loss minus that at middle depth, in % of it"
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
        title=saturation.measure,
    )


def best_depth(params: Sequence[Slice], macs: Sequence[Slice]) -> Chart | None:
    """The best depth against the budget. None with too few budgets."""
    panels = tuple(_best(slices) for slices in (params, macs) if len(slices) >= _BUDGETS)
    if not panels:
        return None
    return Chart(
        name="best_depth",
        title="The best depth by budget",
        caption="The executions of the most accurate of the candidates whose costs are equal within"
        f" {100 * TOLERANCE:.0f} %. The bar spans all depths whose best candidate is not significantly worse"
        " (95 %, corrected for the choice among many). Hollow: no depth is measurably better than another"
        " (5 % for all budgets of the page together). With one seed all points are hollow.",
        bars="Bars: depths that may be best, at 95 % or more.",
        panels=panels,
    )


def _best(slices: Sequence[Slice]) -> Panel:
    x = np.sqrt([float(iso_slice.low) * iso_slice.high for iso_slice in slices])
    low, high = np.array([iso_slice.interval for iso_slice in slices], dtype=float).T
    hover = [
        f"{iso_slice.span}\n{iso_slice.candidates} candidates of {len(iso_slice.depths)} depths\nbest:"
        f" {iso_slice.best.candidate}, {iso_slice.best.executions:,} executions, {100 * iso_slice.best.accuracy:.1f} %\nmay be"
        f" best: {', '.join(f'{depth.executions:,}' for depth in iso_slice.depths if depth.may_be_best)} executions"
        for iso_slice in slices
    ]
    return Panel(
        x=Axis(LABELS[slices[0].cost], log=True),
        y=Axis("executions of the best candidate", log=True),
        series=(
            Series(
                "best depth", "points", x, [float(iso_slice.best.executions) for iso_slice in slices],
                low=low, high=high, colour=GREEN, hollow=[iso_slice.is_open for iso_slice in slices], hover=hover,
            ),
        ),
    )  # fmt: skip


def at_equal_cost(slices: Sequence[Slice]) -> Chart | None:
    """Accuracy against executions in slices of equal cost, evenly selected among the budgets. None
    without slices."""
    if not slices:
        return None
    selected = [slices[i] for i in spaced(len(slices), _SHOWN)]
    cost = "parameters" if slices[0].cost == "params" else "MACs"
    series = tuple(
        Series(
            iso_slice.span, "line", [float(depth.executions) for depth in iso_slice.depths],
            [100 * depth.accuracy for depth in iso_slice.depths], colour=colour, marker="circle",
            hollow=[not depth.may_be_best for depth in iso_slice.depths],
            hover=[
                f"{depth.candidate}, {depth.executions:,} executions\n{100 * depth.accuracy:.1f} %, the best of"
                f" {depth.candidates}" for depth in iso_slice.depths
            ],
        )
        for iso_slice, colour in zip(selected, shades(len(selected)), strict=True)
    )  # fmt: skip
    selection = (
        ""
        if len(selected) == len(slices)
        else f" ({len(selected)} of {len(slices)} budgets are drawn)"
    )
    return Chart(
        name=f"depth_at_equal_{slices[0].cost}",
        title=f"Depth at equal {cost}{selection}",
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
