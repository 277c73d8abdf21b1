"""The results in a few sentences and as one JSON object."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pandas as pd

from sret_search import __version__, pareto
from sret_search.reporting.arms import Arm
from sret_search.reporting.charts.chart import Chart
from sret_search.reporting.comparisons import Compared
from sret_search.reporting.contrasts import Contrasted
from sret_search.reporting.depth import BOUND, Depth
from sret_search.reporting.early_stopping import stopped
from sret_search.reporting.elastic import Elastic, Rung
from sret_search.reporting.hypervolume import reference
from sret_search.reporting.learning_rates import power_of_depth
from sret_search.reporting.notices import notices
from sret_search.reporting.recommendation import Answer
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.attainment import attained
from sret_search.reporting.twins import Pair


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
        "notices": notices(results),
        "seeds": sorted(int(seed) for seed in table.seed.unique()),
        "data": results.description["data"],
        "objectives": results.description["objectives"],
        "answer": None if found is None else dataclasses.asdict(found),
        "best": None,
        "front": [],
        "hypervolume": None,
        "importances": None,
        "median_front": None,
        "depths": [_depth(depth) for depth in compared.depths],
        "arms": [_arm(arm) for arm in compared.arms],
        "contrasts": [_contrast(one) for one in compared.contrasts],
        "elastics": [_elastic(elastic) for elastic in compared.elastics],
        "twins": [_twin(pair) for pair in compared.pairs],
        "rate_power_of_depth": power_of_depth(compared.tuned),
        "rates": [dataclasses.asdict(one) for one in compared.tuned],
        "confirmed": [dataclasses.asdict(one) for one in compared.confirmed],
        "scaling": compared.scaling.facts,
        "stopped": _stopped(results),
        "failures": _failures(results),
        "only_retrainable": results.only_retrainable,
        "provenance": provenance(results),
    }
    if len(candidates):
        best = results.best
        summary["best"] = None if best is None else _candidate(results, best)
        summary["front"] = [_candidate(results, row) for _, row in results.front.iterrows()]
        summary["hypervolume"] = _hypervolume(results)
        summary["importances"] = (
            None if compared.importances is None else compared.importances.facts
        )
        summary["median_front"] = {
            cost: _front_of_seeds(results, cost) for cost in ("params", "macs", "train_macs")
        }
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
        f" {_data_set(results)}, split {data['split_seed']};"
        f" sret_search {__version__}, torch {', '.join(facts.get('torch', ['?']))}."
        f"{shown}"
    )


def _data_set(results: Results) -> str:
    """The data set by its name, or its folder and the folders of its parts."""
    data, folders = results.description["data"], str(results.study.contents or "")
    name = data.get("imagefolder") or data["name"]
    return f"{name} ({folders})" if folders else str(name)


def _candidate(results: Results, row: pd.Series) -> dict[str, Any]:
    axes = list(results.description["axes"])
    counters = {entry.candidate: entry.cost for entry in results.own}
    numbers = {
        name: int(row[name]) for name in ("params", "macs", "executions", "unique_blocks", "seeds")
    }
    return {
        "candidate": row.candidate,
        "val_accuracy": float(row.val_accuracy),
        "test_accuracy": None if pd.isna(row.test_accuracy) else float(row.test_accuracy),
        **numbers,
        **{name: counters[row.candidate][name] for name in ("sub_layers", "nlls")},
        "values": {axis: _value(row[axis]) for axis in axes},
    }


def _hypervolume(results: Results) -> dict[str, float] | None:
    point = reference(results)
    if point is None:
        return None
    chance, most = point
    table = results.sound
    area = pareto.hypervolume(table.val_accuracy, table.params, chance, most)
    return {"value": area, "accuracy": chance, "params": most}


def _front_of_seeds(results: Results, cost: str) -> dict[str, Any] | None:
    """The median front over seeds and its band, each as costs and accuracies."""
    found = attained(results, cost)
    if found is None:
        return None
    stairs = {name: getattr(found, name) for name in ("median", "low", "high")}
    return {name: {"cost": x.tolist(), "accuracy": y.tolist()} for name, (x, y) in stairs.items()} | {
        "seeds": found.seeds, "covered": found.covered,
    }  # fmt: skip


def _contrast(one: Contrasted) -> dict[str, Any]:
    deciding = one.certainty
    overs = {
        name: None if over is None
        else dataclasses.asdict(over) | {"p_holm": one.tested.p_holm if over is deciding else None}
        for name, over in (("over_seeds", one.over_seeds), ("over_both", one.over_both))
    }  # fmt: skip
    return {"name": one.name} | _fields(one, "tested") | one.tested.plain() | overs | {
        "verdict": one.verdict
    }  # fmt: skip


def _depth(depth: Depth) -> dict[str, Any]:
    return (
        _fields(depth, "gain", "difference")
        | depth.gain.plain("gain_", "gain")
        | depth.difference.plain("difference_")
        | {"tests": max(depth.gain.tests, depth.difference.tests)}
        | {"is_unused": depth.is_unused, "bound": BOUND, "verdict": depth.verdict}
    )


def _arm(arm: Arm) -> dict[str, Any]:
    verdict = "the reference" if arm.is_reference else arm.difference.verdict
    tested = arm.difference.plain("difference_")
    return _fields(arm, "difference") | tested | {"verdict": verdict}


def _twin(pair: Pair) -> dict[str, Any]:
    return _fields(pair, "difference") | pair.difference.plain() | {"verdict": pair.verdict}


def _elastic(elastic: Elastic) -> dict[str, Any]:
    rival = None if elastic.rival is None else _rung(elastic.rival)
    return _fields(elastic, "rungs", "rival") | {
        "trained_depths": len(elastic.trained),
        "rungs": [_rung(rung) for rung in elastic.rungs],
        "rival": rival,
    }


def _rung(rung: Rung) -> dict[str, Any]:
    verdict = rung.gap.verdict if rung.has_rival else None
    return _fields(rung, "gap") | rung.gap.plain("gap_", "gap") | {"verdict": verdict}


def _fields(one: Any, *but: str) -> dict[str, Any]:
    """The fields of a dataclass, but for some."""
    return {f.name: getattr(one, f.name) for f in dataclasses.fields(one) if f.name not in but}


def _value(value: Any) -> Any:
    """An axis' value for JSON; None where it has none."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
