"""The trials as a table of the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from sret_search.reporting.analyses.base import Analysis, Block, Column, Table, isolated
from sret_search.reporting.formatting import percent
from sret_search.reporting.results import Results

_ROWS = 500
"""The largest number of trials in the table of the page. `trials.csv` has all."""
_UNITS = {
    "memory": ("memory, MB", 1e6),
    "bytes": ("weights, kB", 1e3),
    "bytes_bf16": ("weights in bf16, kB", 1e3),
    "bytes_int8": ("weights in int8, kB", 1e3),
    "latency_ms": ("latency, ms", 1),
}


def analyse(results: Results) -> Analysis:
    """Every trial, or the trials with the highest accuracy if there are many."""
    if not results.entries:
        return Analysis(blocks=[Block("Trials", "trials", notes=["No trial has begun."])])
    table, total = results.table, len(results.entries)
    if total > _ROWS:
        best = table.sort_values("val_accuracy", ascending=False, kind="stable")[:_ROWS]
        table = best.sort_values("trial")
    trials = table.to_dict("records")
    lost = [i for i, trial in enumerate(trials) if trial["state"] in ("diverged", "failed")]
    shows_test = bool(results.table.test_accuracy.notna().any())
    rows = [_row(results, trial, shows_test) for trial in trials]
    trials_table = Table(_columns(results, shows_test), rows, frozenset(lost), is_narrow=False)
    note = _note(results, len(trials), shows_test)
    return Analysis(blocks=[Block("Trials", "trials", notes=[note], table=trials_table)])


def _note(results: Results, listed: int, shows_test: bool) -> str:
    text = Markup("")
    if listed < len(results.entries):
        selection = Markup(
            "The {} trials with the highest validation accuracy; all {} are in <code>trials.csv</code>. "
        )
        text += selection.format(listed, f"{len(results.entries):,}")
    text += (
        "Accuracies in %, of the last epoch. Layers are counted in every way that the literature does:"
        " unique blocks, executions (blocks run), sub-layers (attentions, MLPs and NLLs run), distinct"
        " NLLs."
    )
    if not shows_test:
        text += (
            " Test accuracy is not shown: these candidates were searched, not declared before"
            " training."
        )
    elif not all(map(results.shows_test, results.entries)):
        text += (
            " Test accuracy is shown only for candidates that were declared before any result was known,"
            " and for confirmations."
        )
    return text


def _columns(results: Results, shows_test: bool) -> list[Column]:
    return [
        Column("trial"),
        *(Column(isolated(axis)) for axis in results.study.space.axes),
        Column("state", "word"), Column("seed"), Column("validation"),
        *([Column("test")] if shows_test else []),
        Column("parameters"), Column("shared parameters"), Column("MACs"), Column("training MACs"),
        *(Column(_UNITS[name][0]) for name in results.optional_objectives),
        Column("unique blocks"), Column("executions"), Column("sub-layers"), Column("NLLs"),
        Column("epochs"), Column("seconds"), Column("attempts"),
    ]  # fmt: skip


def _row(results: Results, trial: dict[str, Any], shows_test: bool) -> list[str]:
    cost = results.entries[trial["trial"]].cost
    objectives = (trial[name] / _UNITS[name][1] for name in results.optional_objectives)
    return [
        str(trial["trial"]),
        *(isolated(_value(trial[axis])) for axis in results.study.space.axes),
        _state(results, trial), str(trial["seed"]), percent(trial["val_accuracy"]),
        *([percent(trial["test_accuracy"])] if shows_test else []),
        f"{trial['params']:,}", f"{trial['params_shared']:,}", f"{trial['macs']:,}",
        f"{trial['train_macs']:.3g}",
        *("" if np.isnan(value) else f"{value:.3g}" for value in objectives),
        str(trial["unique_blocks"]), f"{trial['executions']:,}", f"{cost['sub_layers']:,}",
        f"{cost['nlls']:,}", str(trial["epochs"]), f"{trial['seconds']:.1f}", str(trial["attempts"]),
    ]  # fmt: skip


def _value(value: Any) -> str:
    """A value of an axis. Empty if a trial has no value."""
    return "" if pd.isna(value) else str(value)


def _state(results: Results, trial: dict[str, Any]) -> str:
    text = str(trial["state"])
    if trial.get("role", "search") != "search":
        text += f", {trial['role']}"
    if trial["trial"] in results.parents:
        text += f", continues trial {results.parents[trial['trial']]}"
    return text
