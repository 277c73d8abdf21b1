"""Memory of a training step: what executions keep for the backward pass, and what to recompute.

With s bytes kept by an execution and b by its input alone, E executions in segments of k hold
E/k inputs and one recomputed segment: E·b/k + k·s bytes, least at k = √(E·b/s).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sret_search.architecture import Architecture, Stage
from sret_search.cost.count import cost

_FLOAT = 4


@dataclass(frozen=True, slots=True)
class Segments:
    """How a stage runs in training: first in recomputed segments, the rest kept whole.

    Attributes:
        length: executions of a segment, of which only the first one's input is kept.
        kept: executions at the stage's end that keep everything.
    """

    length: int
    kept: int


@dataclass(frozen=True, slots=True)
class TrainMemory:
    """Bytes at the fullest moment of a training step in float32 with AdamW.

    Attributes:
        weights, moments: of all parameters, AdamW having two moments.
        gradients: that are there by then. Gradients grow as activations shrink, so there are
            none yet where all activations are kept; where they are recomputed, the kept
            executions at the end have left those of the shared weights.
        activations: kept for the backward pass, with the images and one recomputed segment.
    """

    weights: int
    moments: int
    gradients: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.moments + max(self.gradients + self.activations, self.weights)


def train_memory(a: Architecture, batch: int, budget: float = math.inf) -> TrainMemory:
    """The memory of training on `batch` images a step, activations recomputed beyond `budget`.

    PyTorch's own memory, and what its allocator keeps free, are not counted.
    """
    weights = _FLOAT * cost(a).params
    held = fullest = 0
    plans = segments(a, batch, budget)
    for i, plan in enumerate(plans):
        recomputed = a.stages[i].executions - plan.kept
        held += math.ceil(recomputed / plan.length) * _input(a, i, batch)
        segment = max(plan.kept, min(plan.length, recomputed)) * _kept(a, i, batch)
        fullest = max(fullest, held + segment + _passing(a, i, batch))
        held += plan.kept * _kept(a, i, batch)
    # Fullest where the backward pass enters a stage or its recomputed segments: by then nothing
    # is left of the later stages.
    gradients = weights if recomputes(a, plans) else 0
    return TrainMemory(weights, 2 * weights, gradients, fullest + _around(a, batch))


def segments(a: Architecture, batch: int, budget: float) -> list[Segments]:
    """For each stage, what to recompute so that activations fit into `budget` bytes, or come as
    near to it as recomputing can.

    The executions that run last are kept first: their activations are gone again before the
    first segment is recomputed, so that one segment's worth of them costs nothing.
    """
    depths = [stage.executions for stage in a.stages]
    kept = [_kept(a, i, batch) for i in range(len(depths))]
    inputs = [_input(a, i, batch) for i in range(len(depths))]
    budget -= _around(a, batch) + max(_passing(a, i, batch) for i in range(len(depths)))
    if sum(e * s for e, s in zip(depths, kept, strict=True)) <= budget:
        return [Segments(1, depth) for depth in depths]
    lengths = [
        max(1, round(math.sqrt(e * b / s))) for e, b, s in zip(depths, inputs, kept, strict=True)
    ]
    held = sum(math.ceil(e / k) * b for e, k, b in zip(depths, lengths, inputs, strict=True))
    room = max(budget - held, *(k * s for k, s in zip(lengths, kept, strict=True)))
    plan = []
    for i in reversed(range(len(depths))):
        fits = min(depths[i], int(room // kept[i]))
        room = room - fits * kept[i] if fits == depths[i] else 0
        plan.append(Segments(lengths[i], fits))
    return plan[::-1]


def recomputes(a: Architecture, plans: Sequence[Segments]) -> bool:
    """Whether any stage recomputes anything."""
    return any(p.kept < stage.executions for p, stage in zip(plans, a.stages, strict=True))


def _input(a: Architecture, index: int, batch: int) -> int:
    """Bytes of the tokens that enter an execution of a stage."""
    return _FLOAT * batch * a.sides[index] ** 2 * a.stages[index].width


def _kept(a: Architecture, index: int, batch: int) -> int:
    """Bytes that one execution of a stage keeps for its backward pass.

    For each token: the inputs of both norms, of the four linear layers and of GELU, queries,
    keys and values, the norms' two statistics, a sum for each head; then what the options add.
    """
    stage = a.stages[index]
    d, h = stage.width, stage.hidden
    floats: float = 8 * d + 2 * h + 4 + stage.heads
    floats += _part(stage, _shared) * 4 * (a.relax.lora or 0)
    if a.permutation != "none":
        floats += _part(stage, _permuted) * d
    if a.nll.share != "none":
        floats += 2 * d + 2 + 2 * a.nll.hidden(d)
    return _FLOAT * int(batch * a.sides[index] ** 2 * floats + _weights_kept(a, stage))


def _weights_kept(a: Architecture, stage: Stage) -> float:
    """Floats of the weights that are made for one execution: experts mixed, last layers of
    branches weighed."""
    d, h, relax = stage.width, stage.hidden, a.relax
    learnt = a.residual.kind != "scaled"
    varies = _part(stage, _shared) if relax.per_loop else 0.0
    varies = 1.0 if relax.experts > 1 else varies
    floats = 2.0 * d * h if relax.experts > 1 else 0.0
    floats += (d * d + d * h) * (varies * learnt + _part(stage, _shared) * relax.gain)
    if a.nll.share != "none" and learnt:
        floats += d * a.nll.hidden(d)
    return floats


def _passing(a: Architecture, index: int, batch: int) -> int:
    """Bytes that come and go in the backward pass of an execution: gradients of its MLP's hidden
    layer before and after GELU, of its output and its input; of a bank before it is mixed."""
    stage = a.stages[index]
    d, h, experts = stage.width, stage.hidden, a.relax.experts
    bank = experts * d * h if experts > 1 else 0
    return _FLOAT * (batch * a.sides[index] ** 2 * (2 * h + 2 * d) + bank)


def _part(stage: Stage, counted: Callable[[Stage, int], int]) -> float:
    """The part of a stage's executions that count, given how many do of a block's loops."""
    counts = stage.blocks_by_loops.items()
    return sum(blocks * counted(stage, loops) for loops, blocks in counts) / stage.executions


def _shared(stage: Stage, loops: int) -> int:
    return loops if loops > 1 else 0


def _permuted(stage: Stage, loops: int) -> int:
    """The first loop is never permuted, nor is global attention."""
    listed = sum(groups > 1 for groups in stage.groups[1:loops])
    return listed + (stage.groups[-1] > 1) * max(loops - max(len(stage.groups), 1), 0)


def _around(a: Architecture, batch: int) -> int:
    """Bytes kept outside the stages: images, the stem's normalised outputs, inputs of pools."""
    floats = a.in_channels * a.image_size**2
    side = a.image_size
    for width, stride in zip(a.stem_channels, a.stem_strides, strict=True):
        side = -(-side // stride)
        floats += 2 * side**2 * width if a.stem == "convolutions" else 0
    floats += sum(s**2 * stage.width for s, stage in zip(a.sides, a.stages[:-1], strict=False))
    return _FLOAT * batch * floats
