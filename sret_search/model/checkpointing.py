"""Activation checkpointing of a chain of executions, exact to the bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch.utils.checkpoint import checkpoint

from sret_search.cost import Segments

State = TypeVar("State")


def run_in_segments(
    steps: Sequence[Callable[[State], State]],
    state: State,
    plan: Segments,
    preserve_rng_state: bool,
) -> State:
    """Apply the steps in turn, and keep only some activations for the backward pass.

    The first `plan.detached` steps run without a graph, with the same bits. The last `plan.kept`
    steps keep their activations. The steps between run in segments of `plan.length`: only the input
    of each segment is kept, and the rest is recomputed.

    Gradients have the same bits either way, since shared weights accumulate in the same order.

    Args:
        preserve_rng_state: needed if a step draws random numbers.
    """
    if plan.detached:
        with torch.no_grad():
            state = _chain(steps[: plan.detached], state)
        # Autocast keeps the weights that it casts. Those that were cast here have no gradient.
        torch.clear_autocast_cache()
        steps = steps[plan.detached :]
    recomputed = len(steps) - plan.kept
    for start in range(0, recomputed, plan.length):
        state = checkpoint(
            _chain,
            steps[start : min(start + plan.length, recomputed)],
            state,
            use_reentrant=False,
            preserve_rng_state=preserve_rng_state,
        )
    return _chain(steps[recomputed:], state)


def _chain(steps: Sequence[Callable[[State], State]], state: State) -> State:
    for step in steps:
        state = step(state)
    return state
