"""Objectives of trials and candidates, from their costs and measured values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from sret_search.trials.trial_result import Measured


def mean_measured(results: Sequence[Measured], slowest: float = 0.0) -> Measured:
    """Means over seeds, which do not depend on the order of the seeds.

    Args:
        slowest: the latency in milliseconds of a result that has none.
    """
    latencies = [slowest if result.latency_ms is None else result.latency_ms for result in results]
    return Measured(
        _mean([result.val_accuracy for result in results]),
        _mean([result.val_loss for result in results]),
        _mean(latencies),
    )


def mean_objectives(
    names: Iterable[str],
    known: Mapping[str, int],
    results: Sequence[Measured],
    slowest: float = 0.0,
) -> list[float]:
    """The objectives of a candidate, from its costs and its means over seeds.

    Args:
        names: of the objectives.
        known: the costs, by name.
        slowest: the latency in milliseconds of a result that has none.

    Raises:
        LookupError: an objective is neither a cost nor measured.
    """
    return objective_values(names, known, mean_measured(results, slowest))


def objective_values(
    names: Iterable[str], known: Mapping[str, int], measured: Measured
) -> list[float]:
    """The objectives of a trial, in the order of their names.

    Args:
        known: the costs, by name.

    Raises:
        LookupError: an objective is neither a cost nor measured.
    """
    values = {"accuracy": measured.val_accuracy, "loss": measured.val_loss}
    if measured.latency_ms is not None:
        values["latency_ms"] = measured.latency_ms
    return [float(values[name] if name in values else known[name]) for name in names]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
