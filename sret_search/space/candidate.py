"""Candidates, and their costs that are known before a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sret_search.architecture import Architecture
from sret_search.cost import Cost, cost, stored_bytes
from sret_search.job import Recipe, candidate_name, step_memory, train_macs
from sret_search.units import size_text

if TYPE_CHECKING:
    from sret_search.machine.step_time import StepTime

Values = dict[str, Any]
"""Values of the active axes, by path."""


@dataclass(frozen=True)
class CostContext:
    """Context on which the costs of a candidate depend.

    Attributes:
        images: number of images of the training part; 0 while it is unknown. Then the costs of
            a training are unknown, too.
        processes: number of processes that share each batch.
        timing: predicts seconds; None if the budget does not limit them.
    """

    images: int = 0
    processes: int = 1
    timing: StepTime | None = None


@dataclass(frozen=True)
class Candidate:
    """A point of a space, with its architecture and recipe."""

    values: Values
    architecture: Architecture
    recipe: Recipe

    @cached_property
    def name(self) -> str:
        """Name, equal for all points that build the same."""
        return candidate_name(self.architecture, self.recipe)

    @cached_property
    def cost(self) -> Cost:
        return cost(self.architecture)

    def known(self, name: str, terms: CostContext) -> float | None:
        """Cost with a name of `COSTS`; None if it is unknown.

        Raises:
            KeyError: no cost has this name.
        """
        kind = COSTS[name]
        if kind.of is None:
            value: int = getattr(self.cost, name)
            return value
        return kind.of(self, terms) if kind.is_known(terms) else None


@dataclass(frozen=True, slots=True)
class KnownCost:
    """A cost that is known before a candidate is trained.

    Attributes:
        label: name in a table.
        unit: unit in a sentence.
        of: computes the cost; None for a field of `Cost`, which takes little time.
        is_known: whether the cost can be computed in a context.
        is_slow: whether it takes long. It is then computed only on request, and only for
            candidates within the other limits.
        is_named: whether tables show it only for studies that name it as an objective or in the
            budget.
        amount: formats the cost for a sentence.
        rounded: formats the cost for a table.
    """

    label: str
    unit: str
    of: Callable[[Candidate, CostContext], float] | None = None
    is_known: Callable[[CostContext], bool] = lambda terms: True
    is_slow: bool = False
    is_named: bool = False
    amount: Callable[[float], str] = "{:,}".format
    rounded: Callable[[float], str] = "{:,.10g}".format


def _seconds(candidate: Candidate, terms: CostContext) -> float:
    assert terms.timing is not None
    return terms.timing.seconds(candidate.architecture, candidate.recipe, terms.images)


COSTS = {
    "params": KnownCost("parameters", "params"),
    "macs": KnownCost("MACs of an image", "macs"),
    "train_macs": KnownCost(
        "training MACs",
        "train_macs",
        lambda c, terms: train_macs(c.architecture, c.recipe, terms.images),
        is_known=lambda terms: terms.images > 0,
        rounded="{:,.3g}".format,
    ),
    "executions": KnownCost("executions", "executions"),
    "memory": KnownCost(
        "memory of a step",
        "bytes of memory",
        lambda c, terms: step_memory(c.architecture, c.recipe, terms.processes),
        rounded=lambda value: size_text(round(value)),
    ),
    "bytes": KnownCost(
        "stored weights, float32",
        "bytes of weights",
        lambda c, terms: stored_bytes(c.architecture),
        is_named=True,
        rounded=lambda value: size_text(round(value)),
    ),
    "bytes_bf16": KnownCost(
        "stored weights, bf16",
        "bytes of weights in bf16",
        lambda c, terms: stored_bytes(c.architecture, "bf16"),
        is_named=True,
        rounded=lambda value: size_text(round(value)),
    ),
    "bytes_int8": KnownCost(
        "stored weights, int8",
        "bytes of weights in int8",
        lambda c, terms: stored_bytes(c.architecture, "int8"),
        is_named=True,
        rounded=lambda value: size_text(round(value)),
    ),
    "seconds": KnownCost(
        "seconds of steps",
        "seconds",
        _seconds,
        is_known=lambda terms: terms.timing is not None and terms.images > 0,
        is_slow=True,
        amount="{:,.1f}".format,
    ),
}
"""Costs that a budget may limit, by their keys in the budget, in the order of tables."""
STORED = ("bytes", "bytes_bf16", "bytes_int8")
"""Names of the costs of storing the weights."""
COUNTS = tuple(name for name, kind in COSTS.items() if kind.of is None)
"""Names of the costs that are fields of `Cost`."""
