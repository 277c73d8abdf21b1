"""What a training computes: its length in steps and images, its multiply-adds and its memory.

A length in multiply-adds becomes one in steps here, since only the architecture says what an image
costs.
"""

from __future__ import annotations

from sret_search.architecture import Architecture
from sret_search.cost import MEMORY_BUDGET, backward_macs, cost, train_memory
from sret_search.job.depths import depths_of_step
from sret_search.job.lr_schedule import StepSchedule
from sret_search.job.recipe import Recipe


def image_macs(architecture: Architecture, recipe: Recipe, steps: int | None = None) -> float:
    """Mean multiply-adds of training on one image: the forward pass, and twice that of the parts
    that have a backward pass. A teacher's and recomputed multiply-adds are not counted.

    Args:
        steps: number of steps of the training, into which a curriculum divides; None takes its
            fractions as they are.
    """
    runs = depths_of_step(architecture, recipe, steps)
    return 3 * sum(times * _thirds(a, recipe) for a, times in runs)


def _thirds(a: Architecture, recipe: Recipe) -> float:
    """A third of the multiply-adds of training at a depth: those of a forward pass, if all of it
    has a backward pass."""
    known = cost(a)
    backward = backward_macs(a, recipe.depth_training.through)
    third = known.macs if backward == known.macs else (known.macs + 2 * backward) / 3
    if recipe.depth_training.supervise == "each":
        third += (a.loops_read - 1) * known.macs_by_part["head"]
    return third


def timetable(architecture: Architecture, recipe: Recipe, images: int) -> StepSchedule:
    """Durations of a training in steps.

    Args:
        images: number of images of the training part.

    Raises:
        ValueError: the multiply-adds of the recipe are too few for one step.
    """
    return recipe.timetable(images, _per_image(architecture, recipe))


def images_seen(architecture: Architecture, recipe: Recipe, images: int) -> int:
    """Images that a whole training sees. Repeated images count each time.

    Args:
        images: number of images of the training part.

    Raises:
        ValueError: the multiply-adds of the recipe are too few for one step.
    """
    return recipe.images_seen(images, _per_image(architecture, recipe))


def _per_image(architecture: Architecture, recipe: Recipe) -> float | None:
    return image_macs(architecture, recipe) if recipe.macs is not None else None


def check_length(architecture: Architecture, recipe: Recipe) -> None:
    """Check that the multiply-adds of a recipe are enough for a step.

    Raises:
        ValueError: they are too few.
    """
    if recipe.macs is not None:
        recipe.timetable(recipe.batch_size, image_macs(architecture, recipe))


def train_macs(architecture: Architecture, recipe: Recipe, images: int) -> int:
    """Multiply-adds of a training on a part of `images` images.

    An image costs its forward pass and twice the forward pass of the parts that have a backward
    pass: three forward passes if gradients go through all loops. Where depths are drawn, it is the
    mean. A teacher's, evaluation's and recomputed multiply-adds are not counted.
    """
    steps = timetable(architecture, recipe, images).total
    return round(
        image_macs(architecture, recipe, steps) * images_seen(architecture, recipe, images)
    )


def step_memory(architecture: Architecture, recipe: Recipe, processes: int = 1) -> int:
    """Bytes at the fullest moment of a training step of one process.

    Counted in float32 with AdamW, at the deepest of the trained depths, for the loops that have a
    backward pass. Beyond `MEMORY_BUDGET`, activations are recomputed. PyTorch's fixed memory is not
    counted. For "sgd" and "muon", which keep one moment of some weights where AdamW keeps two, it
    is an upper bound.
    """
    batch, through = recipe.images_at_once(processes), recipe.depth_training.through
    return train_memory(architecture, batch, MEMORY_BUDGET, through).total
