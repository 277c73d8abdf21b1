"""The front's members as they were trained again, with seeds that did not choose them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sret_search.reporting.intervals import Interval
from sret_search.reporting.results import Results
from sret_search.reporting.variances import Variances
from sret_search.search.front import pareto


@dataclass(frozen=True)
class Confirmed:
    """A candidate of a front. Accuracies are means over fresh seeds, in fractions.

    Attributes:
        on: the part that it was trained on.
        chosen: validation accuracy by which it came on the front.
        val: of the fresh seeds; None where they trained on those images too.
        on_front: whether it is on the front of what was trained again, by validation, or by test
            where validation was trained on.
    """

    candidate: str
    params: int
    macs: int
    executions: int
    unique_blocks: int
    seeds: int
    on: str
    chosen: float | None
    val: float | None
    test: float
    test_interval: Interval
    on_front: bool = False

    @property
    def decides(self) -> str:
        """The part of the data that decides: "val", or "test" where validation was trained on."""
        return "test" if self.val is None else "val"

    @property
    def reached(self) -> float:
        """The accuracy that decides."""
        return self.test if self.val is None else self.val


def confirmed(results: Results) -> list[Confirmed]:
    """Every candidate that was trained again as the study asks now, by parameters."""
    asked = results.description["confirm"]
    if asked is None:
        return []
    chosen = dict(zip(results.candidates.candidate, results.candidates.val_accuracy, strict=True))
    again = {
        name: [entry for entry in every if entry.about["on"] == asked["on"]]
        for name, every in results.having("confirmation").items()
    }
    every = [entry for entries in again.values() for entry in entries]
    spread = Variances.among(every, "test", results.images("test"))
    found = []
    for name, entries in again.items():
        if not entries:
            continue
        known = entries[0].cost
        val = [entry.result["val_accuracy"] for entry in entries]
        test = [entry.result["test_accuracy"] for entry in entries]
        found.append(
            Confirmed(
                candidate=name,
                params=known["params"],
                macs=known["macs"],
                executions=known["executions"],
                unique_blocks=known["unique_blocks"],
                seeds=len(entries),
                on=asked["on"],
                chosen=chosen.get(name),
                val=None if entries[0].sees_validation else float(np.mean(val)),
                test=float(np.mean(test)),
                test_interval=spread.interval(test),
            )
        )
    found.sort(key=lambda one: one.params)
    on_front = pareto([one.reached for one in found], [one.params for one in found])
    return [replace(one, on_front=bool(on)) for one, on in zip(found, on_front, strict=True)]
