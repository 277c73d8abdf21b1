"""Every chart of a report."""

from __future__ import annotations

from sret_search.reporting.style import styled  # noqa: F401  before any other import of Matplotlib

# isort: split
from sret_search.reporting.charts import (
    arms,
    confirmed,
    contrasts,
    cost,
    curves,
    depth,
    elastic,
    failures,
    hypervolume,
    importances,
    matplotlib,
    overlay,
    plotly,
    rates,
    rungs,
    scaling,
    twins,
)
from sret_search.reporting.charts.chart import Chart
from sret_search.reporting.comparisons import Compared
from sret_search.reporting.curves import learning_curves
from sret_search.reporting.failures import causes
from sret_search.reporting.hypervolume import growth
from sret_search.reporting.results import Results
from sret_search.reporting.rung_results import at_rungs

__all__ = ["Chart", "charts", "cost", "hypervolume", "matplotlib", "overlay", "plotly"]


def charts(results: Results, compared: Compared) -> list[Chart]:
    """The charts that the results allow, in the order of the page."""
    found = [
        cost.chart(results, compared, "params"),
        cost.chart(results, compared, "macs"),
        cost.chart(results, compared, "train_macs"),
        depth.chart(compared.depths, results) or cost.chart(results, compared, "executions"),
        arms.chart(compared.arms),
        contrasts.chart(compared.contrasts),
        twins.chart(compared.pairs),
        *scaling.charts(compared.scaling),
        elastic.chart(compared.elastics),
        confirmed.chart(compared.confirmed),
        rates.by_arm(compared.tuned),
        rates.by_depth(compared.tuned),
        hypervolume.chart(growth(results)),
        curves.chart(learning_curves(results)),
        importances.chart(compared.importances),
        rungs.chart(at_rungs(results)),
        failures.chart(causes(results)),
    ]
    return [chart for chart in found if chart is not None]
