"""Exact activation checkpointing over a chain of executions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sret_search.cost import Segments

Step = Callable[[Tensor], Tensor]


def run_in_segments(
    steps: Sequence[Step], x_BND: Tensor, plan: Segments, preserve_rng_state: bool
) -> Tensor:
    """Apply the steps in turn; of all but the last `plan.kept`, keep only the input of each
    segment and recompute the rest.

    Gradients have the same bits either way: the recomputed graph is the one that was left out,
    so shared weights accumulate in the same order. `preserve_rng_state` is needed where a step
    draws random numbers.
    """
    recomputed = len(steps) - plan.kept
    for start in range(0, recomputed, plan.length):
        x_BND = checkpoint(
            _chain,
            steps[start : min(start + plan.length, recomputed)],
            x_BND,
            use_reentrant=False,
            preserve_rng_state=preserve_rng_state,
        )
    return _chain(steps[recomputed:], x_BND)


def _chain(steps: Sequence[Step], x_BND: Tensor) -> Tensor:
    for step in steps:
        x_BND = step(x_BND)
    return x_BND
