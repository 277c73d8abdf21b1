"""The tables of `plan`."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from sret_search.commands.overview import Overview
from sret_search.space.candidate import COSTS
from sret_search.units import size_text

_UNITS = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"))
_ROLES = {
    "search": "asked for by the sampler",
    "rate": "to find learning rates",
    "twin": "twins",
    "confirmation": "to confirm the front",
}


def show(overview: Overview) -> None:
    """Print the overview of a study, the costs of its candidates, and a sample of them."""
    console = Console()
    console.print(_overview(overview))
    console.print(_costs(overview))
    console.print(_sampled(overview))
    if overview.plot is not None:
        console.print(f"plot: {overview.plot}", highlight=False)


def _overview(overview: Overview) -> Table:
    table = Table(
        title=f"study {overview.study}", title_justify="left", show_header=False, box=None,
        padding=(0, 2, 0, 0),
    )  # fmt: skip
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    space, plan, taken = overview.space, overview.trainings, overview.time
    looked = "all checked" if space.exact else f"{space.looked_at:,} random ones checked"
    combinations = space.combinations
    table.add_row(
        "combinations", "countless" if combinations is None else f"{combinations:,}", looked
    )
    data = overview.data
    if data.images["train"]:
        images = " + ".join(f"{number:,}" for number in data.images.values())
        table.add_row("images", images, data.folders or "training, validation, test")
    share = f"{100 * space.feasible_share:.3g} %"
    note = "can be built, within the budget"
    if not space.exact:
        low, high = (100 * end for end in space.feasible_share_interval)
        note += f" (95 % interval {low:.3g} to {high:.3g} %)"
    table.add_row("feasible", share, note)
    table.add_row("different", f"{space.distinct:,}", "different models among these")
    roles = ", ".join(f"{n:,} {_ROLES[role]}" for role, n in plan.by_role.items() if n)
    total = f"{plan.total:,}" if plan.exact else f"~ {plan.total:,}"
    table.add_row("trainings", total, roles)
    for length in overview.lengths:
        samples = f"{length.cheapest:,} samples of the cheapest candidate"
        if length.dearest != length.cheapest:
            samples += f", {length.dearest:,} of the dearest"
        table.add_row("length", f"{length.macs:.3g} MACs", samples)
    if overview.untrained is not None:
        table.add_row("not trained", "", overview.untrained)
    chosen = f"of the {plan.sampler} sampler's, by a model of the earlier ones"
    table.add_row("model-based", f"{plan.model_based:,}", chosen)
    scheduler = overview.scheduler
    if scheduler is not None:
        rungs = ", ".join(map(str, scheduler.rungs))
        note = (
            f"compares trials after {rungs} of {scheduler.epochs} epochs, so that about"
            f" {100 * scheduler.share_trained:.0f} % of these are trained"
        )
        table.add_row("scheduler", scheduler.name, note)
    compute = overview.compute.hardware
    most = "" if scheduler is None else "; at most, if no trial were stopped"
    if taken.seconds is None:
        table.add_row("time", "unknown", "the data was not read yet: --calibrate reads it")
    elif taken.calibrated:
        note = f"calibrated by {taken.points} candidates; {compute}{most}"
        table.add_row("time", _duration(taken.seconds), note)
    else:
        note = f"uncalibrated, a guess: --calibrate measures; {compute}{most}"
        table.add_row("time", f"~ {_duration(taken.seconds)}", note)
    if taken.seconds_of_longest_trial is not None:
        table.add_row("longest trial", _duration(taken.seconds_of_longest_trial), "")
    table.add_row("disk", size_text(overview.disk.total), "at most")
    return table


def _costs(overview: Overview) -> Table:
    table = Table(title="feasible candidates", title_justify="left")
    table.add_column("cost")
    for column in ("least", "median", "most", "budget"):
        table.add_column(column, justify="right")
    for name, ends in overview.space.costs.items():
        kind = COSTS[name]
        cells = [kind.rounded(end) for end in (ends.least, ends.median, ends.most)]
        limit = overview.budget.get(name) or {}
        given = [
            f"{sign} {kind.rounded(bound)}"
            for end, sign in (("min", "≥"), ("max", "≤"))
            if (bound := limit.get(end)) is not None
        ]
        table.add_row(kind.label, *cells, " ".join(given))
    return table


def _sampled(overview: Overview) -> Table:
    samples = overview.samples
    table = Table(
        title=f"{len(samples)} sample{'s' if len(samples) > 1 else ''}", title_justify="left"
    )
    table.add_column("values")
    for column in ("parameters", "MACs", "executions", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    for sample in samples:
        values = (f"{path}: {_value(value)}" for path, value in sample.values.items())
        seconds = sample.seconds
        table.add_row(
            ", ".join(values),
            *(f"{cost:,}" for cost in (sample.params, sample.macs, sample.executions)),
            "" if seconds is None else _duration(seconds),
        )
    return table


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value)


def _duration(seconds: float) -> str:
    for unit, name in _UNITS:
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
