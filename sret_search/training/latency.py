"""Latency of a forward pass, repeated until its time is known to 3 %."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from sret_search.training.augment import normalize

if TYPE_CHECKING:
    from sret_search.training.trainer import Trainer

SPREAD = 0.03
_WARM_UP, _PASSES = 0.3, 3
"""Least seconds and passes that are not counted: caches fill, compilers compile."""
_BLOCK = 0.05
"""Least seconds of a block of passes. A longer pass is a block by itself."""
_BLOCKS = 10
"""Number of last blocks that count, so that the machine may settle before."""
_FEWEST, _LONGEST = 3, 20.0
"""Fewest blocks, and seconds after which these are enough."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of a pass, as the median of the blocks' medians, and their spread: the distance
    of their quartiles over that median."""

    ms: float
    spread: float


def timed(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> Latency:
    """Time `run` until the spread of the last blocks is under 3 %, or for about 20 s.

    `run` returns when all its work is done. `spread` is the spread that was reached.
    """
    start = clock()
    passes = 0
    while passes < _PASSES or clock() - start < _WARM_UP:
        run()
        passes += 1
    medians: list[float] = []
    start = clock()
    while True:
        medians.append(_block(run, clock))
        last = np.array(medians[-_BLOCKS:])
        low, middle, high = np.quantile(last, (0.25, 0.5, 0.75))
        spread = float((high - low) / middle)
        late = clock() - start > _LONGEST
        if (len(last) == _BLOCKS and spread < SPREAD) or (late and len(last) >= _FEWEST):
            return Latency(1e3 * float(middle), spread)


def _block(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """Median of the passes in a block, in seconds."""
    times = []
    begun = now = clock()
    while now - begun < _BLOCK:
        before = now
        run()
        now = clock()
        times.append(now - before)
    return float(np.median(times))


@torch.inference_mode()
def measure(trainer: Trainer, batch: int) -> Latency:
    """Time the trained model on `batch` validation images, in evaluation mode and in the recipe's
    precision.

    A pass goes from images on the device to logits on the device.
    """
    model, part, split = trainer.trained, trainer.val_part, trainer.split
    images_BCSS, _ = next(part.batches([torch.arange(batch) % len(part)]))
    images_BCSS = normalize(images_BCSS, split.mean, split.std)
    device, precision = images_BCSS.device.type, trainer.job.recipe.precision

    def run() -> None:
        with torch.autocast(device, torch.bfloat16, precision == "bf16"):
            model(images_BCSS)
        if device == "cuda":
            torch.cuda.synchronize()

    model.eval()
    latency = timed(run)
    model.train()
    return latency
