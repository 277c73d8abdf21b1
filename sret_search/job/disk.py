"""Bytes that a training takes on disk, in closed form: its checkpoints, and what it leaves.

A checkpoint holds T tensors: the weights, the optimizer's state of each, a moving average where
the recipe has one. Each takes its bytes and, in torch's archive, some three hundred more, which
is most of the file where weights are small and many.
"""

from __future__ import annotations

from sret_search.architecture import Architecture, Stage
from sret_search.cost import cost
from sret_search.job.recipe import Recipe

_FLOAT, _COUNTER = 4, 8

# Measured on files of the trainer; a test holds the sums against new ones.
_OF_TENSOR = 288
"""A tensor in a checkpoint: its entry in the archive, aligned, and in the pickled tree."""
_OF_WEIGHT = 105
"""A tensor in the header of a safetensors file."""
_OF_EPOCH, _OF_EPOCH_AS_JSON = 65, 240
_WATCHED, _WATCHED_AS_JSON = (40, 18), (60, 46)
"""What the monitor keeps of an epoch, and of each execution in it: two numbers."""
_OF_RERUN = 160
_OF_PREDICTION = 2.0
_OF_TRIAL = 6 * 4096 + 3000
"""Folders and files are whole blocks; short texts, and the architecture."""


def checkpoint_bytes(
    architecture: Architecture, recipe: Recipe, epochs: int = 0, monitor: bool = False
) -> int:
    """The size of a full checkpoint, from which a training goes on.

    Args:
        epochs: that its history has.
        monitor: whether that has what each execution did.
    """
    # Of an optimizer that is not known, as much as AdamW has.
    moments, counters = (1, 0) if recipe.optimizer == "sgd" else (2, 1)
    copies = 1 if recipe.ema is None else 2
    parameters, params = _tensors(architecture), cost(architecture).params
    buffers, of_buffers = _buffers(architecture)
    tensors = parameters * (copies + moments + counters) + copies * buffers
    content = _FLOAT * (params * (copies + moments) + parameters * counters)
    content += copies * of_buffers
    of_epoch = _OF_EPOCH + monitor * _of_monitor(architecture, *_WATCHED)
    return content + tensors * _OF_TENSOR + epochs * of_epoch


def kept_bytes(
    architecture: Architecture,
    epochs: int = 0,
    test_images: int = 0,
    reruns: int = 0,
    monitor: bool = False,
) -> int:
    """The size of what an ended training leaves for good: weights, predictions, texts.

    Args:
        epochs: that its history has.
        test_images: images of the test part, each with a label and predictions.
        reruns: architectures that the weights were also run as.
        monitor: whether it recorded what each execution did.
    """
    buffers, of_buffers = _buffers(architecture)
    tensors = _tensors(architecture) + buffers
    weights = _FLOAT * cost(architecture).params + of_buffers + tensors * _OF_WEIGHT
    of_epoch = _OF_EPOCH_AS_JSON + monitor * _of_monitor(architecture, *_WATCHED_AS_JSON)
    predictions = round(_OF_PREDICTION * test_images * (2 + reruns))
    return weights + predictions + epochs * of_epoch + reruns * _OF_RERUN + _OF_TRIAL


def _tensors(a: Architecture) -> int:
    """Parameter tensors of the model."""
    stem = len(a.stem_strides) * (4 if a.stem == "convolutions" else 2)
    positions, pools, norm, head = 1, 2 * (len(a.stages) - 1), 2, 2
    nll = 2 + 4 + _residual(a)
    return (
        stem + positions + pools + norm + head
        + sum(_of_blocks(a, stage) + a.nlls(stage) * nll for stage in a.stages)
    )  # fmt: skip


def _of_blocks(a: Architecture, stage: Stage) -> int:
    mlp = 4 if a.relax.experts == 1 else 4 + 2
    of_loop = bool(a.relax.gain) + (8 if a.relax.lora else 0)
    total = 0
    for loops, blocks in stage.blocks_by_loops.items():
        own = loops if loops > 1 else 0
        norms = 4 * (max(own, 1) if a.relax.norm else 1)
        total += blocks * (norms + 4 + mlp + 2 * _residual(a) + own * of_loop)
    return total


def _of_monitor(a: Architecture, epoch: int, execution: int) -> int:
    return epoch + execution * a.executions


def _residual(a: Architecture) -> int:
    return {"lrc": 2, "layerscale": 1, "scaled": 0}[a.residual.kind]


def _buffers(a: Architecture) -> tuple[int, int]:
    """Tensors that are no parameters, and their bytes: of batch normalisation."""
    if a.stem != "convolutions":
        return 0, 0
    count = len(a.stem_strides)
    return 3 * count, 2 * _FLOAT * sum(a.stem_channels) + _COUNTER * count
