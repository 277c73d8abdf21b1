"""What trials had reached when a scheduler decided on them."""

from __future__ import annotations

from dataclasses import dataclass

from sret_search.reporting.results import Results


@dataclass(frozen=True)
class AtRung:
    """One trial at one rung; accuracy as a fraction, of validation.

    Attributes:
        is_stopped: whether it was trained no further.
    """

    trial: int
    candidate: str
    epoch: int
    accuracy: float
    executions: int
    is_stopped: bool


def at_rungs(results: Results) -> list[AtRung]:
    """Every trial at every rung that it reached, by number and epoch."""
    found = []
    for entry in results.entries:
        last = max(map(int, entry.rungs), default=0)
        for epoch, value in sorted((int(e), v) for e, v in entry.rungs.items()):
            found.append(
                AtRung(
                    trial=entry.number,
                    candidate=entry.candidate,
                    epoch=epoch,
                    accuracy=float(value["val_accuracy"]),
                    executions=entry.cost["executions"],
                    is_stopped=entry.state == "stopped" and epoch == last,
                )
            )
    return found
