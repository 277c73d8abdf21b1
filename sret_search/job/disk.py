"""Bytes on disk of a training, in closed form: its checkpoints, and the files it leaves.

A checkpoint holds tensors: the weights, the optimizer's state of each weight and, if the recipe
averages weights, their moving average. Beside its content each tensor takes some three hundred
bytes in torch's archive. With many small weights these are most of the file.
"""

from __future__ import annotations

from sret_search.architecture import Architecture, Stage
from sret_search.cost import cost
from sret_search.job.recipe import Recipe

_FLOAT, _COUNTER = 4, 8

# Measured on files of the trainer. A test compares the sums with new files.
_TENSOR_ENTRY = 288
"""Bytes of a tensor's entry in a checkpoint: in the archive, aligned, and in the pickled tree."""
_WEIGHT_ENTRY = 105
"""Bytes of a tensor's entry in the header of a safetensors file."""
_EPOCH, _EPOCH_AS_JSON = 65, 240
_WATCHED, _WATCHED_AS_JSON = (110, 36, 13), (130, 92, 32)
"""Bytes that the monitor keeps of an epoch, of each execution in it (four numbers), and of each loop
after which the head is read (two numbers)."""
_RERUN = 160
_PREDICTION = 2.0
_TRIAL = 6 * 4096 + 3000
"""Bytes of folders, of files rounded up to whole blocks, of short texts and the architecture."""


def checkpoint_bytes(
    architecture: Architecture, recipe: Recipe, epochs: int = 0, monitor: bool = False
) -> int:
    """Bytes of a full checkpoint, from which a training can go on; with "muon", an upper bound.

    Args:
        epochs: length of its history.
        monitor: whether the history has the monitor's numbers for each execution.
    """
    # Muon, and an optimizer that is not known, count as AdamW: Muon's single moment is less.
    moments, counters = (1, 0) if recipe.optimizer == "sgd" else (2, 1)
    copies = 1 if recipe.ema is None else 2
    parameters, params = _tensors(architecture), cost(architecture).params
    buffers, buffer_bytes = _buffers(architecture)
    tensors = parameters * (copies + moments + counters) + copies * buffers
    content = _FLOAT * (params * (copies + moments) + parameters * counters)
    content += copies * buffer_bytes
    epoch_bytes = _EPOCH + monitor * _monitor_bytes(architecture, *_WATCHED)
    return content + tensors * _TENSOR_ENTRY + epochs * epoch_bytes


def kept_bytes(
    architecture: Architecture,
    epochs: int = 0,
    test_images: int = 0,
    reruns: int = 0,
    monitor: bool = False,
) -> int:
    """Bytes that an ended training leaves for good: weights, predictions, texts.

    Args:
        epochs: length of its history.
        test_images: images of the test part, each with a label and predictions.
        reruns: architectures that the weights were also run as.
        monitor: whether the history has the monitor's numbers for each execution.
    """
    buffers, buffer_bytes = _buffers(architecture)
    tensors = _tensors(architecture) + buffers
    weights = _FLOAT * cost(architecture).params + buffer_bytes + tensors * _WEIGHT_ENTRY
    epoch_bytes = _EPOCH_AS_JSON + monitor * _monitor_bytes(architecture, *_WATCHED_AS_JSON)
    predictions = round(_PREDICTION * test_images * (2 + reruns))
    return weights + predictions + epochs * epoch_bytes + reruns * _RERUN + _TRIAL


def _tensors(a: Architecture) -> int:
    """Number of the model's parameter tensors."""
    stem = len(a.stem_strides) * (4 if a.stem == "convolutions" else 2)
    positions, pools, norm, head = 1, 2 * (len(a.stages) - 1), 2, 2
    readout = a.loop.readout == "weighted" and a.reads_all_loops
    nll = 2 + 4 + _residual(a)
    return (
        stem + positions + pools + readout + norm + head
        + sum(
            _block_tensors(a, stage) + _loop_tensors(a, stage) + a.nlls(stage) * nll
            for stage in a.stages
        )
    )  # fmt: skip


def _block_tensors(a: Architecture, stage: Stage) -> int:
    mlp = 4 if a.relax.experts == 1 else 4 + 2
    loop_tensors = bool(a.relax.gain) + (8 if a.relax.lora else 0)
    loop_tensors += a.loop.embedding == "learned"
    film, after = a.loop.embedding == "film", 0 if a.norm == "pre" else 4
    total = 0
    for loops, blocks in stage.blocks_by_loops.items():
        looped = loops if loops > 1 else 0
        norms = 4 * (max(looped, 1) if a.relax.norm else 1)
        total += blocks * (norms + after + 4 + mlp + 2 * _residual(a) + looped * loop_tensors)
        total += blocks * (film and loops > 1)
    return total


def _loop_tensors(a: Architecture, stage: Stage) -> int:
    if stage.most_loops == 1:
        return 0
    return 2 * (a.loop.injection in ("linear", "gate")) + 3 * (a.loop.streams > 1)


def _monitor_bytes(a: Architecture, epoch: int, execution: int, loop: int) -> int:
    return epoch + execution * a.executions + loop * a.loops_read


def _residual(a: Architecture) -> int:
    return {"lrc": 2, "layerscale": 1, "scaled": 0}[a.residual.kind]


def _buffers(a: Architecture) -> tuple[int, int]:
    """Number and bytes of tensors that are not parameters: those of batch normalisation."""
    if a.stem != "convolutions":
        return 0, 0
    count = len(a.stem_strides)
    return 3 * count, 2 * _FLOAT * sum(a.stem_channels) + _COUNTER * count
