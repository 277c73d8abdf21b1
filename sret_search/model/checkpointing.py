"""Exact activation checkpointing over a chain of executions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.utils.checkpoint import checkpoint

Step = Callable[[Tensor], Tensor]


def run_in_segments(
    steps: Sequence[Step], x_BND: Tensor, length: int, preserve_rng_state: bool
) -> Tensor:
    """Apply the steps in turn, keeping activations only every `length` steps (0 keeps all).

    Gradients have the same bits either way: the recomputed graph is the one that was left out,
    so shared weights accumulate in the same order. `preserve_rng_state` is needed where a step
    draws random numbers.
    """
    if length == 0:
        return _chain(steps, x_BND)
    for start in range(0, len(steps), length):
        x_BND = checkpoint(
            _chain,
            steps[start : start + length],
            x_BND,
            use_reentrant=False,
            preserve_rng_state=preserve_rng_state,
        )
    return x_BND


def _chain(steps: Sequence[Step], x_BND: Tensor) -> Tensor:
    for step in steps:
        x_BND = step(x_BND)
    return x_BND
