"""The results in a few sentences and as one JSON object."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pandas as pd

from sret_search import __version__
from sret_search.reporting.answer import Answer
from sret_search.reporting.charts.chart import Chart
from sret_search.reporting.compared import Compared
from sret_search.reporting.contrasts import Contrasted
from sret_search.reporting.depth import Depth
from sret_search.reporting.hypervolume import reference
from sret_search.reporting.results import Results
from sret_search.reporting.stopped import stopped
from sret_search.search import front


def summarise(results: Results, compared: Compared, found: Answer | None) -> dict[str, Any]:
    """What `summary.json` holds. Accuracies are fractions."""
    table, candidates = results.table, results.candidates
    summary: dict[str, Any] = {
        "study": results.name,
        "trials": {
            state: int((table.state == state).sum())
            for state in ("complete", "stopped", "diverged", "failed", "running")
        },
        "planned_trials": results.planned,
        "seeds": sorted(int(seed) for seed in table.seed.unique()),
        "data": results.description["data"],
        "objectives": results.description["objectives"],
        "answer": None if found is None else dataclasses.asdict(found),
        "best": None,
        "front": [],
        "hypervolume": None,
        "depths": [_plain(depth) for depth in compared.depths],
        "arms": [dataclasses.asdict(arm) for arm in compared.arms],
        "contrasts": [_contrast(one) for one in compared.contrasts],
        "elastics": [dataclasses.asdict(elastic) for elastic in compared.elastics],
        "twins": [dataclasses.asdict(p) | {"verdict": p.verdict} for p in compared.pairs],
        "rates": [dataclasses.asdict(one) for one in compared.tuned],
        "confirmed": [dataclasses.asdict(one) for one in compared.confirmed],
        "scaling": compared.scaling.facts,
        "stopped": _stopped(results),
        "failures": _failures(results),
        "only_retrainable": results.only_retrainable,
        "provenance": provenance(results),
    }
    if len(candidates):
        summary["best"] = _candidate(results, results.best)
        on_front = candidates[front.pareto(candidates.val_accuracy, candidates.params)]
        summary["front"] = [
            _candidate(results, row) for _, row in on_front.sort_values("params").iterrows()
        ]
        summary["hypervolume"] = _hypervolume(results)
    return summary


def _stopped(results: Results) -> dict[str, Any] | None:
    """What a scheduler stopped, and what that saved."""
    found = stopped(results)
    return None if found is None else dataclasses.asdict(found)


def _failures(results: Results) -> dict[str, int]:
    """Attempts that ended without an outcome, by cause."""
    total: Counter[str] = Counter()
    for entry in results.entries:
        total.update(entry.failures)
    return dict(total)


def provenance(results: Results) -> dict[str, Any]:
    """Versions, processors and dates that the results come from."""
    environments = [e.result["environment"] for e in results.entries if "environment" in e.result]
    names = sorted({name for environment in environments for name in environment})
    ended = [entry.ended for entry in results.entries if entry.ended is not None]
    return {
        "sret_search": __version__,
        "last_trial_ended": max(ended).strftime("%Y-%m-%d %H:%M") if ended else None,
        **{name: sorted({str(e.get(name)) for e in environments}) for name in names},
    }


def footer(results: Results, chart: Chart | None = None) -> str:
    """Where a figure comes from, in a line: study, date, versions, seeds, number of trials; and
    what the bars and bands of a chart are, or intervals that say nothing else."""
    facts, table = provenance(results), results.table
    complete = int((table.state == "complete").sum())
    seeds = len({entry.seed for entry in results.complete})
    data = results.description["data"]
    over = "images, since there is one seed: exploratory" if seeds < 2 else f"{seeds} seeds"
    shown = f" Intervals: 95 %, over {over}, where nothing else is said."
    if chart is not None:
        usual = f"Bars and bands: 95 % intervals over {over}."
        said = chart.bars or (usual if chart.has_bars else "")
        shown = f" {said}" if said else ""
    return (
        f"study {results.name}, {facts['last_trial_ended'] or 'no trial ended yet'}; {complete} of"
        f" {results.planned} trials complete; {seeds} seed{'s' if seeds != 1 else ''};"
        f" {data['name']}, split {data['split_seed']};"
        f" sret_search {__version__}, torch {', '.join(facts.get('torch', ['?']))}."
        f"{shown}"
    )


def _candidate(results: Results, row: pd.Series) -> dict[str, Any]:
    axes = list(results.description["axes"])
    numbers = {
        name: int(row[name]) for name in ("params", "macs", "executions", "unique_blocks", "seeds")
    }
    return {
        "candidate": row.candidate,
        "val_accuracy": float(row.val_accuracy),
        "test_accuracy": float(row.test_accuracy) if results.declared else None,
        **numbers,
        "values": {axis: _value(row[axis]) for axis in axes},
    }


def _hypervolume(results: Results) -> dict[str, float] | None:
    point = reference(results)
    if point is None:
        return None
    chance, most = point
    table = results.candidates
    area = front.hypervolume(table.val_accuracy, table.params, chance, most)
    return {"value": area, "accuracy": chance, "params": most}


def _contrast(one: Contrasted) -> dict[str, Any]:
    return {"name": one.name} | dataclasses.asdict(one) | {"verdict": one.verdict}


def _plain(depth: Depth) -> dict[str, Any]:
    names = depth.__dataclass_fields__
    return {name: getattr(depth, name) for name in names} | {"verdict": depth.verdict}


def _value(value: Any) -> Any:
    """An axis' value for JSON; None where it has none."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
