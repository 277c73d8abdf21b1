"""One point of a space, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sret_search.architecture import Architecture
from sret_search.cost import Cost, cost
from sret_search.job import Recipe, candidate_name, step_memory, train_macs

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
        """What a budget may limit, by its name; None where it is not known."""
        a, recipe = self.architecture, self.recipe
        match name:
            case "train_macs":
                return train_macs(a, recipe, terms.images) if terms.images else None
            case "memory":
                return step_memory(a, recipe, terms.processes)
            case "seconds":
                if terms.timing is None or not terms.images:
                    return None
                return terms.timing.seconds(a, recipe, terms.images)
        value: int = getattr(self.cost, name)
        return value
