"""The depths that a recipe trains the weights of an architecture at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from sret_search.architecture import Architecture
from sret_search.cost import reach
from sret_search.job.depth_training import law_of_depths
from sret_search.job.recipe import Recipe

MOST_DEPTHS = 1000
"""Largest number of depths in an elastic training."""


def check_depths(architecture: Architecture, recipe: Recipe) -> None:
    """Check that the weights fit every depth that a recipe trains, and that a training leads
    gradients to all blocks.

    Raises:
        ValueError: a depth is beyond the architecture's, there are too many depths, the weights do
            not fit a depth, some weights would get no gradient, or a loss is wanted that the
            architecture does not give.
    """
    training, most = recipe.depth_training, architecture.loops
    _check_gradients(architecture, recipe)
    if training.supervise == "each" and most > 1 and architecture.loop.readout != "each":
        raise ValueError(
            "`supervise: each` needs `loop.readout: each`, but the architecture has"
            f" {architecture.loop.readout}"
        )
    loops = trained_loops(architecture, recipe)
    if training.kind == "curriculum" and loops[-1] < most:
        raise ValueError(
            f"the curriculum ends at {loops[-1]} of the architecture's {most} loops: let `grow` end"
            " with `all`"
        )
    if len(loops) == 1:
        return
    if recipe.depths and recipe.depths[-1] > most:
        raise ValueError(
            f"depths {recipe.depths[-1]} is more than the {most} loops of the architecture"
        )
    if len(loops) > MOST_DEPTHS:
        raise ValueError(
            f"at most {MOST_DEPTHS:,} depths can be trained, not {len(loops):,}: name some in"
            " `depths`"
        )
    # Weights that change with depth at all have changed at the shallowest depth.
    if architecture.at_loops(loops[0]).weights != architecture.weights:
        raise ValueError(
            f"depth_training {training.kind} needs weights that fit every depth: no NLL"
            " for each execution, and no norms, gains or LoRA factors for each loop"
        )


def _check_gradients(architecture: Architecture, recipe: Recipe) -> None:
    through = recipe.depth_training.through
    if through is None or through >= architecture.loops:
        return
    learned = architecture.loop.embedding == "learned"
    if architecture.relax.per_loop or learned or architecture.nll.share == "execution":
        raise ValueError(
            f"`backprop: {through}` needs weights that all loops share: an NLL for each execution,"
            " and norms, gains, LoRA factors or learned embeddings for each loop, get no gradient"
            f" before the last {through} loops"
        )
    reached = reach(architecture, through)
    if reached.first > 0:
        raise ValueError(
            f"`backprop: {through}` leaves the blocks before stage {reached.first} without a"
            " gradient: choose a `loop.injection`, or `backprop: all`"
        )
    if not reached.blocks:
        raise ValueError(
            f"`backprop: {through}` leaves blocks without a gradient, since each looping block runs"
            " all of its loops before the next one starts: choose `order: cycle` and equal loops,"
            " or `backprop: all`"
        )


def leaves_weights_out(architecture: Architecture, recipe: Recipe) -> bool:
    """Whether some steps lead no gradient to some weights."""
    of_loops = architecture.loop.injection != "none" or architecture.loop.streams > 1
    once = recipe.depth_training.kind in ("sampled", "curriculum") and bool(
        trained_loops(architecture, recipe)[0] == 1 < architecture.loops
    )
    return (of_loops and once) or without_gradient(architecture, recipe) is not None


def without_gradient(architecture: Architecture, recipe: Recipe) -> str | None:
    """Parts that get no gradient in a training, so that they keep their initial weights; None if
    all parts get one."""
    if reach(architecture, recipe.depth_training.through).input:
        return None
    return "stem and positions"


def trained_loops(architecture: Architecture, recipe: Recipe) -> Sequence[int]:
    """Loops of all depths that a recipe trains, in ascending order."""
    most, training = architecture.loops, recipe.depth_training
    if training.kind == "curriculum":
        return [loops for _, loops in training.growth(most)]
    if not training.is_elastic:
        return (most,)
    if recipe.depths:
        return sorted({*recipe.depths, most})
    return sorted({1, most}) if training.kind == "mixed" else range(1, most + 1)


def trained_depths(architecture: Architecture, recipe: Recipe) -> tuple[Architecture, ...]:
    """Architectures that a recipe trains the weights to run as. The last and deepest is
    `architecture`.

    Raises:
        ValueError: a depth is beyond the architecture's, or its weights do not fit it.
    """
    check_depths(architecture, recipe)
    *shallow, _ = trained_loops(architecture, recipe)
    return (*(architecture.at_loops(loops) for loops in shallow), architecture)


def depths_of_step(
    architecture: Architecture, recipe: Recipe, steps: int | None = None
) -> list[tuple[Architecture, float]]:
    """Architectures that a training step runs, each with its mean number of runs a step.

    Args:
        steps: number of steps of the training, into which a curriculum divides; None takes its
            fractions as they are.
    """
    depths = trained_depths(architecture, recipe)
    training = recipe.depth_training
    if training.kind == "sampled":
        law = law_of_depths(training, trained_loops(architecture, recipe))
        return list(zip(depths, law, strict=True))
    if training.kind == "curriculum":
        starts = [start for start, _ in training.growth(architecture.loops)]
        if steps is not None:
            starts = [math.ceil(start * steps) / steps for start in starts]
        shares = [end - start for start, end in pairwise([*starts, 1.0])]
        return list(zip(depths, shares, strict=True))
    if training.kind != "sandwich":
        return [(depth, 1) for depth in depths]
    ends = {0, len(depths) - 1}
    between = len(depths) - len(ends)
    return [(depth, 1 if i in ends else 1 / between) for i, depth in enumerate(depths)]
