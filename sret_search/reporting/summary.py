"""The results in a few sentences and as one JSON object."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sret_search import __version__
from sret_search.reporting import intervals
from sret_search.reporting.arms import Arm
from sret_search.reporting.depth import Depth
from sret_search.reporting.elastic import Elastic
from sret_search.reporting.results import Results
from sret_search.search import front


@dataclass(frozen=True)
class Compared:
    """What a study holds against each other."""

    depths: list[Depth]
    arms: list[Arm]
    elastics: list[Elastic]


def summarise(results: Results, compared: Compared) -> dict[str, Any]:
    """What `summary.json` holds. Accuracies are fractions."""
    table, candidates = results.table, results.candidates
    summary: dict[str, Any] = {
        "study": results.name,
        "trials": {
            state: int((table.state == state).sum())
            for state in ("complete", "diverged", "failed", "running")
        },
        "planned_trials": results.description["trials"],
        "seeds": sorted(int(seed) for seed in table.seed.unique()),
        "data": results.description["data"],
        "objectives": results.description["objectives"],
        "best": None,
        "front": [],
        "hypervolume": None,
        "depths": [_plain(depth) for depth in compared.depths],
        "arms": [dataclasses.asdict(arm) for arm in compared.arms],
        "elastics": [dataclasses.asdict(elastic) for elastic in compared.elastics],
        "failures": _failures(results),
        "only_retrainable": results.only_retrainable,
        "provenance": provenance(results),
    }
    if len(candidates):
        summary["best"] = _candidate(results, best(candidates))
        on_front = candidates[front.pareto(candidates.val_accuracy, candidates.params)]
        summary["front"] = [
            _candidate(results, row) for _, row in on_front.sort_values("params").iterrows()
        ]
        summary["hypervolume"] = _hypervolume(results)
    return summary


def _failures(results: Results) -> dict[str, int]:
    """Attempts that ended without an outcome, by cause."""
    total: Counter[str] = Counter()
    for entry in results.entries:
        total.update(entry.failures)
    return dict(total)


def best(candidates: pd.DataFrame) -> pd.Series:
    """The candidate with the highest mean validation accuracy; the cheaper one of equals."""
    return candidates.sort_values(["val_accuracy", "macs"], ascending=[False, True]).iloc[0]


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


def footer(results: Results) -> str:
    """Where a figure comes from, in a line: study, date, versions, seeds, number of trials."""
    facts, table = provenance(results), results.table
    complete = int((table.state == "complete").sum())
    seeds = table.seed.nunique()
    data = results.description["data"]
    over = "images, since there is one seed: exploratory" if seeds < 2 else f"{seeds} seeds"
    return (
        f"study {results.name}, {facts['last_trial_ended'] or 'no trial ended yet'}; {complete} of"
        f" {results.description['trials']} trials complete; {seeds} seed{'s' if seeds != 1 else ''};"
        f" {data['name']}, split {data['split_seed']};"
        f" sret_search {__version__}, torch {', '.join(facts.get('torch', ['?']))}."
        f" Bars and bands: 95 % intervals over {over}."
    )


def sentences(results: Results, compared: Compared) -> list[str]:
    """The answer, for the top of the page."""
    candidates = results.candidates
    if not len(candidates):
        return ["No trial is complete yet."]
    row = best(candidates)
    _, val_images, _ = results.description["data"]["sizes"]
    text = (
        f"Best on validation: {int(row.executions):,} executions of {int(row.unique_blocks)} unique blocks,"
        f" {int(row.params):,} parameters, {int(row.macs):,} MACs: {_percent(row.val_accuracy)}"
    )
    if row.seeds == 1:
        low, high = intervals.proportion(row.val_accuracy, val_images)
        text += f" (95 % interval over {val_images} images: {_percent(low)} to {_percent(high)})"
    if results.declared:
        text += f", and {_percent(row.test_accuracy)} on the test part"
    found = [text + "."]
    near = candidates[candidates.val_accuracy >= row.val_accuracy - 0.01]
    smallest = near.sort_values(["macs", "params"]).iloc[0]
    if smallest.candidate != row.candidate:
        found.append(
            f"Cheapest within one point of it: {int(smallest.executions):,} executions,"
            f" {int(smallest.params):,} parameters, {int(smallest.macs):,} MACs:"
            f" {_percent(smallest.val_accuracy)}."
        )
    return [
        *found,
        *_depth_sentences(compared.depths, int(results.table.seed.nunique())),
        *_arm_sentences(compared.arms),
        *(_elastic_sentence(elastic) for elastic in compared.elastics),
    ]


def _arm_sentences(arms: list[Arm]) -> list[str]:
    reference = next((arm for arm in arms if arm.is_reference), None)
    found = []
    for arm in arms:
        if reference is None or arm.difference is None or arm.difference_interval is None:
            continue
        low, high = arm.difference_interval
        verdict = "gained" if low > 0 else "lost" if high < 0 else "made no measurable difference"
        found.append(
            f"{arm.name} {verdict} against {reference.name}: {_percent(arm.test)} and"
            f" {_percent(reference.test)} on test, a difference of {points(arm.difference)} points"
            f" (95 % interval {points(low)} to {points(high)}), for"
            f" {arm.train_macs / reference.train_macs:.2f} times the training multiply-adds."
        )
    return found


def _elastic_sentence(elastic: Elastic) -> str:
    text = (
        f"One model for {len(elastic.rungs)} depths ({elastic.mode}), for {elastic.cost:.2f} times the"
        " training multiply-adds of its deepest alone"
    )
    gaps = [rung for rung in elastic.rungs if rung.gap is not None]
    if not gaps:
        return f"{text}: {_percent(elastic.rungs[-1].accuracy)} at its own depth."
    worst = min(gaps, key=lambda rung: rung.gap or 0.0)
    assert worst.gap is not None
    text += (
        f": against a model for each depth alone its worst is {points(worst.gap)} points, at"
        f" {worst.executions} executions"
    )
    if worst.gap_interval:
        text += f" (95 % interval {_bounds(worst.gap_interval)})"
    rival = elastic.rival
    if rival is not None and rival.gap is not None and rival.gap_interval:
        text += (
            f"; its deepest against one model trained for as many multiply-adds in all:"
            f" {points(rival.gap)} ({_bounds(rival.gap_interval)})"
        )
    return f"{text}."


def _bounds(interval: tuple[float, float]) -> str:
    return f"{points(interval[0])} to {points(interval[1])}"


def _depth_sentences(depths: list[Depth], seeds: int) -> list[str]:
    compared = [depth for depth in depths if depth.gain_interval and not depth.is_reference]
    if not compared:
        return []
    reference = next(depth for depth in depths if depth.is_reference)
    groups: dict[str, list[str]] = {}
    for depth in compared:
        groups.setdefault(depth.verdict, []).append(f"{depth.executions:,}")
    found = [
        f"At {_listed(names)} executions {verdict}, beside the weights trained at"
        f" {reference.executions} executions and run there without training."
        for verdict, names in groups.items()
    ]
    deepest = compared[-1]
    assert deepest.gain is not None
    assert deepest.gain_interval is not None
    low, high = deepest.gain_interval
    found.append(
        f"Deepest: trained at {deepest.executions:,} executions {_percent(deepest.test)} on test,"
        f" weights trained at {reference.executions} and run at {deepest.executions:,}"
        f" {_percent(deepest.rerun_test)}, a difference of {points(deepest.gain)} points"
        f" (95 % interval {points(low)} to {points(high)})."
    )
    if deepest.difference is not None and deepest.difference_interval is not None:
        low, high = deepest.difference_interval
        found.append(
            f"Against {reference.executions} executions as they were trained"
            f" ({_percent(reference.test)}) that is {points(deepest.difference)} points"
            f" ({points(low)} to {points(high)}), for"
            f" {deepest.executions / reference.executions:.0f} times the executions."
        )
    if seeds < 2:
        found.append(
            "Exploratory: one seed. The intervals cover the choice of images, not that of the seed:"
            " with another one the same differences may vanish or turn round."
        )
    return found


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


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
        "values": {
            axis: row[axis].item() if hasattr(row[axis], "item") else row[axis] for axis in axes
        },
    }


def _hypervolume(results: Results) -> dict[str, float] | None:
    reference = results.description["report"]["hypervolume_reference"]
    most = reference["params"]
    if most == "budget":
        most = results.description["budget"]["params"]["max"]
    if most is None:
        return None
    chance = reference["accuracy"]
    chance = 1 / results.description["classes"] if chance is None else chance
    table = results.candidates
    area = front.hypervolume(table.val_accuracy, table.params, chance, most)
    return {"value": area, "accuracy": chance, "params": most}


def _plain(depth: Depth) -> dict[str, Any]:
    names = depth.__dataclass_fields__
    return {name: getattr(depth, name) for name in names} | {"verdict": depth.verdict}


def points(difference: float) -> str:
    """A difference of fractions in points, without a minus before zero."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def percent(fraction: float | None) -> str:
    """A fraction in per cent, without the sign; empty where there is none."""
    return "" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.1f}"


def _percent(fraction: float | None) -> str:
    return f"{percent(fraction)} %" if fraction is not None else "unknown"
