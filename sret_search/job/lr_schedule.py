"""The steps of a training, and the learning rate of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sret_search.errors import require


@dataclass(frozen=True, slots=True)
class StepSchedule:
    """A recipe's durations in steps, and the learning rate of each step.

    Attributes:
        epoch, total, warmup: steps of an epoch, of the training, of the warmup.
        stable_until: index of the first step of the decay, from 0. Its learning rate is still the peak.
        decay: "cosine", or "sqrt" for 1 - sqrt.
        start, end: learning rates of the first and the last step, relative to the peak.
    """

    epoch: int
    total: int
    warmup: int
    stable_until: int
    decay: str
    start: float
    end: float

    def lr_factor(self, step: int) -> float:
        """Learning rate of a step (0 is the first), relative to the peak."""
        start, end = self.start, self.end
        if step < self.warmup:
            return start + (1 - start) * (step + 1) / self.warmup
        if step < self.stable_until:
            return 1.0
        part = min((step - self.stable_until) / max(self.total - self.stable_until, 1), 1.0)
        left = 0.5 * (1 + math.cos(math.pi * part)) if self.decay == "cosine" else 1 - part**0.5
        return end + (1 - end) * left


def steps_of_macs(macs: float, image_macs: float, images: int, batch_size: int) -> int:
    """Steps of a training that takes a number of multiply-adds most nearly: within half a step.

    Args:
        macs: multiply-adds of the training.
        image_macs: multiply-adds of training on one image.
        images: number of images of the training part.
        batch_size: images of a step. The last step of an epoch may have fewer.

    Raises:
        ValueError: the multiply-adds are too few for one step.
    """
    step = min(batch_size, images) * image_macs
    require(macs >= step, f"`macs` {macs:.3g} are less than one step, which takes {step:.3g}")
    epochs, rest = divmod(macs / image_macs, images)
    whole = int(rest // batch_size)
    next_step = min(batch_size, images - whole * batch_size)
    is_nearer = rest - whole * batch_size > next_step / 2
    return int(epochs) * math.ceil(images / batch_size) + whole + is_nearer
