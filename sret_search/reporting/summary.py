"""The results as a JSON object, with their origin."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sret_search import __version__
from sret_search.reporting.analyses.base import Analysis
from sret_search.reporting.notices import notices
from sret_search.reporting.recommendation import answer
from sret_search.reporting.render.chart import Chart
from sret_search.reporting.results import Results


def summarise(results: Results, analysed: Sequence[Analysis]) -> dict[str, Any]:
    """The content of `summary.json`. Accuracies are fractions."""
    table, recommended = results.table, results.once(answer)
    summary: dict[str, Any] = {
        "study": results.name,
        "trials": {
            state: int((table.state == state).sum())
            for state in ("complete", "stopped", "diverged", "failed", "running")
        },
        "planned_trials": results.planned,
        "notices": notices(results),
        "seeds": sorted(int(seed) for seed in table.seed.unique()),
        "data": dict(results.description.data.plain),
        "objectives": results.study.file.objectives,
        "answer": None if recommended is None else dataclasses.asdict(recommended),
    }
    for analysis in analysed:
        summary |= analysis.facts
    return summary | {"provenance": provenance(results)}


def provenance(results: Results) -> dict[str, Any]:
    """The versions, processors and dates of the results."""
    environments = [e.result.environment for e in results.entries if e.result.environment]
    names = sorted({name for environment in environments for name in environment})
    ended = [entry.ended for entry in results.entries if entry.ended is not None]
    return {
        "sret_search": __version__,
        "last_trial_ended": max(ended).strftime("%Y-%m-%d %H:%M") if ended else None,
        **{name: sorted({str(e.get(name)) for e in environments}) for name in names},
    }


def footer(results: Results, chart: Chart | None = None) -> str:
    """The origin of a figure, in a line: study, date, versions, seeds, number of trials. Also what
    the bars and bands of a chart are, or, without a chart, what intervals are by default."""
    facts, table = provenance(results), results.table
    complete = int((table.state == "complete").sum())
    seeds = len({entry.seed for entry in results.complete})
    data = results.description.data
    over = "images, since there is one seed: exploratory" if seeds < 2 else f"{seeds} seeds"
    explanation = f" Intervals: 95 %, over {over}, unless stated otherwise."
    if chart is not None:
        usual = f"Bars and bands: 95 % intervals over {over}."
        bars = chart.bars or (usual if chart.has_bars else "")
        explanation = f" {bars}" if bars else ""
    return (
        f"study {results.name}, {facts['last_trial_ended'] or 'no trial ended yet'}; {complete} of"
        f" {results.planned} trials complete; {seeds} seed{'s' if seeds != 1 else ''};"
        f" {_data_set(results)}, split {data.split_seed};"
        f" sret_search {__version__}, torch {', '.join(facts.get('torch', ['?']))}."
        f"{explanation}"
    )


def _data_set(results: Results) -> str:
    """The data set: its name, or its folder with the folders of its parts."""
    name, folders = results.description.data.title, str(results.study.contents or "")
    return f"{name} ({folders})" if folders else name
