"""Every chart of a report."""

from __future__ import annotations

from sret_search.reporting.charts import cost, matplotlib, plotly
from sret_search.reporting.charts.chart import Chart
from sret_search.reporting.compared import Compared
from sret_search.reporting.results import Results

__all__ = ["Chart", "charts", "matplotlib", "plotly"]


def charts(results: Results, compared: Compared) -> list[Chart]:
    """The charts that the results allow, in the order of the page."""
    found = [
        cost.chart(results, "params"),
        cost.chart(results, "macs"),
        cost.chart(results, "train_macs"),
    ]
    return [chart for chart in found if chart is not None]
