"""The chart of a space, drawn into its study's report folder before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from sret_search.planning.space_statistics import Survey
from sret_search.reporting.charts import matplotlib, space
from sret_search.reporting.files import pictures, write_whole
from sret_search.space.candidate import Candidate
from sret_search.study import Study


def write_plan(study: Study, found: Survey, samples: Sequence[Candidate]) -> None:
    """Draw the space of a study into its report's folder."""
    chart = space.chart(study, found, samples)
    figure = matplotlib.figure(chart, f"study {study.name}: {chart.caption}")
    study.report_folder.mkdir(parents=True, exist_ok=True)
    for kind, content in pictures(figure).items():
        write_whole(study.report_folder / f"plan.{kind}", content)
