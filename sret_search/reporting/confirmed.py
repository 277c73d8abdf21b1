"""The front's members as they were trained again, with seeds that did not choose them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sret_search.reporting.results import Results
from sret_search.reporting.statistics.intervals import Interval
from sret_search.search.confirmation import members, on_the_front
from sret_search.trials.history import History
from sret_search.trials.trial import TrialRecord


@dataclass(frozen=True)
class Confirmed:
    """A candidate of a front. Accuracies are means over fresh seeds, in fractions, each with the
    95 % interval of this member alone.

    Attributes:
        on: the part that it was trained on.
        chosen: validation accuracy that the search measured.
        is_observed: whether it is on the front of what the search measured, which is not the front
            that was trained again where a sampler's model believes in another.
        val: of the fresh seeds; None where they trained on those images too.
        score: of the fresh seeds, by which the best member is chosen, more is better: validation
            accuracy, or minus the loss of a study that minimises loss. Where validation was
            trained on, that of the search: the test part chooses nothing. None where it is no
            number, so that it chooses nothing either.
        on_front: whether it is on the front of what was trained again, in the study's objectives;
            None where validation was trained on, so that nothing decides.
    """

    candidate: str
    params: int
    macs: int
    executions: int
    unique_blocks: int
    seeds: int
    on: str
    chosen: float | None
    is_observed: bool
    val: float | None
    test: float
    test_interval: Interval
    score: float | None
    on_front: bool | None = None


def confirmations(results: Results) -> dict[str, list[TrialRecord]]:
    """The trials that confirm each member, as the study asks now; only of members that the
    description in force trains, and of which no fresh seed diverged or failed."""
    asked = results.description["confirm"]
    if asked is None:
        return {}
    own = {entry.candidate for entry in results.own}
    again: dict[str, list[TrialRecord]] = {}
    for entry in results.entries:
        if entry.role == "confirmation" and entry.about["on"] == asked["on"]:
            again.setdefault(entry.candidate, []).append(entry)
    found = {
        name: [entry for entry in entries if entry.state == "complete"]
        for name, entries in again.items()
        if name in own and not any(e.state in ("diverged", "failed") for e in entries)
    }
    return {name: entries for name, entries in found.items() if entries}


def observed_front(results: Results) -> list[str]:
    """The candidates that no other one beats in the study's objectives, as the search measured
    them."""
    return members(results.study, History(results.study, results.entries))


def confirmed(results: Results) -> list[Confirmed]:
    """Every member that was trained again, by parameters."""
    again = confirmations(results)
    if not again:
        return []
    observed = set(observed_front(results))
    searched = results.candidates.set_index("candidate")
    scores = dict(
        zip(results.candidates.candidate, results.scores(results.candidates), strict=True)
    )
    spread = results.spread([entry for entries in again.values() for entry in entries], "test")
    found = []
    for name, entries in again.items():
        known = entries[0].cost
        is_whole = entries[0].sees_validation
        val = float(np.mean([entry.result["val_accuracy"] for entry in entries]))
        loss = float(np.mean([entry.result["val_loss"] for entry in entries]))
        test = [entry.result["test_accuracy"] for entry in entries]
        fresh = val if results.measure == "accuracy" else -loss
        score = scores.get(name, np.nan) if is_whole else fresh
        found.append(
            Confirmed(
                candidate=name,
                params=known["params"],
                macs=known["macs"],
                executions=known["executions"],
                unique_blocks=known["unique_blocks"],
                seeds=len(entries),
                on=entries[0].about["on"],
                chosen=float(searched.val_accuracy[name]) if name in searched.index else None,
                is_observed=name in observed,
                val=None if is_whole else val,
                test=float(np.mean(test)),
                test_interval=spread.interval(test, name),
                score=float(score) if np.isfinite(score) else None,
            )
        )
    found.sort(key=lambda one: one.params)
    if found[0].val is None:
        return found
    groups = [again[one.candidate] for one in found]
    on_front = on_the_front(results.study.file.objectives, groups)
    return [replace(one, on_front=bool(on)) for one, on in zip(found, on_front, strict=True)]
