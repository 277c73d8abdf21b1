"""One point of a space, and what it costs: every cost that is known before a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sret_search.architecture import Architecture
from sret_search.cost import Cost, cost
from sret_search.job import Recipe, candidate_name, step_memory, train_macs
from sret_search.units import size_text

if TYPE_CHECKING:
    from sret_search.machine.step_time import StepTime

Values = dict[str, Any]
"""The values of the active axes, by path."""


@dataclass(frozen=True)
class CostContext:
    """What the costs of a candidate depend on besides itself.

    Attributes:
        images: of the training part; 0 while that is not known, and with it no cost of training.
        processes: that share each batch.
        timing: predicts seconds; None where they are not limited.
    """

    images: int = 0
    processes: int = 1
    timing: StepTime | None = None


@dataclass(frozen=True)
class Candidate:
    """One point of a space, and what it builds."""

    values: Values
    architecture: Architecture
    recipe: Recipe

    @cached_property
    def name(self) -> str:
        """The same for all points that build the same."""
        return candidate_name(self.architecture, self.recipe)

    @cached_property
    def cost(self) -> Cost:
        return cost(self.architecture)

    def known(self, name: str, terms: CostContext) -> float | None:
        """A cost of `COSTS` by its name; None where it is not known."""
        kind = COSTS[name]
        if kind.of is None:
            value: int = getattr(self.cost, name)
            return value
        return kind.of(self, terms) if kind.is_known(terms) else None


def _always(terms: CostContext) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class KnownCost:
    """A cost that is known before a candidate is trained.

    Attributes:
        label: in a table.
        unit: after an amount.
        of: gives it; None for a count of `Cost`, which takes little time.
        is_known: whether it can be given on these terms.
        is_slow: it is worked out only where it is asked for, and for what is feasible otherwise.
        amount: an amount in a sentence.
        rounded: an amount in a table.
    """

    label: str
    unit: str
    of: Callable[[Candidate, CostContext], float] | None = None
    is_known: Callable[[CostContext], bool] = _always
    is_slow: bool = False
    amount: Callable[[float], str] = "{:,}".format
    rounded: Callable[[float], str] = "{:,.10g}".format


def _train_macs(candidate: Candidate, terms: CostContext) -> float:
    return train_macs(candidate.architecture, candidate.recipe, terms.images)


def _memory(candidate: Candidate, terms: CostContext) -> float:
    return step_memory(candidate.architecture, candidate.recipe, terms.processes)


def _seconds(candidate: Candidate, terms: CostContext) -> float:
    assert terms.timing is not None
    return terms.timing.seconds(candidate.architecture, candidate.recipe, terms.images)


COSTS = {
    "params": KnownCost("parameters", "params"),
    "macs": KnownCost("MACs of an image", "macs"),
    "train_macs": KnownCost(
        "training MACs",
        "train_macs",
        _train_macs,
        is_known=lambda terms: terms.images > 0,
        rounded="{:,.3g}".format,
    ),
    "executions": KnownCost("executions", "executions"),
    "memory": KnownCost(
        "memory of a step",
        "bytes of memory",
        _memory,
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
"""Every cost that a budget may limit, by its key there; in this order they are shown."""
COUNTS = tuple(name for name, kind in COSTS.items() if kind.of is None)
"""Those that are counted with the architecture."""
