"""The steps of a training, and the learning rate of each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sret_search.job.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Timetable:
    """A recipe's durations in steps: of an epoch, in all, of the warmup, and until when the
    learning rate is at its peak."""

    epoch: int
    total: int
    warmup: int
    stable_until: int

    def lr_factor(self, step: int, recipe: Recipe) -> float:
        """The learning rate of a step (0 is the first) over the peak."""
        start, end = recipe.lr_start / recipe.lr, recipe.lr_end / recipe.lr
        if step < self.warmup:
            return start + (1 - start) * (step + 1) / self.warmup
        if step < self.stable_until:
            return 1.0
        part = min((step - self.stable_until) / max(self.total - self.stable_until, 1), 1.0)
        left = (
            0.5 * (1 + math.cos(math.pi * part)) if recipe.schedule == "cosine" else 1 - part**0.5
        )
        return end + (1 - end) * left
