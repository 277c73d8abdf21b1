"""Memory of a training step: activations kept for the backward pass, and segments to recompute.

An execution keeps s bytes, its input alone b bytes. E executions in segments of k keep E/k inputs
and one recomputed segment: E·b/k + k·s bytes. The minimum is at k = √(E·b/s). Executions without a
backward pass keep nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sret_search.architecture import NLL, Architecture, Relax, Stage
from sret_search.architecture.parts import CACHED, Permutation, ResidualKind, Stem, stem_channels
from sret_search.cost.backprop import reach
from sret_search.cost.count import (
    Options,
    cost,
    injected_executions,
    looped_executions,
    options,
    slices,
)

_FLOAT = 4

MEMORY_BUDGET = 2 * 2**30
"""Bytes of activations. A training that needs more recomputes some of them."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Division of a stage's executions in training: those without a backward pass, then recomputed
    segments, then kept executions.

    Attributes:
        length: executions of a segment. Only the input of the segment is kept.
        kept: executions at the end of the stage that keep all of their activations.
        detached: executions at the start of the stage that run without a graph.
    """

    length: int
    kept: int
    detached: int = 0


@dataclass(frozen=True, slots=True)
class TrainMemory:
    """Peak memory of a training step in float32 with AdamW, in bytes.

    Attributes:
        weights: bytes of all parameters.
        moments: bytes of the two moments of AdamW.
        gradients: bytes of the gradients at the peak. If all activations are kept, the peak is
            before the backward pass, without gradients. If some are recomputed, the gradients
            of the shared weights exist by then.
        activations: bytes kept for the backward pass, with the images and one recomputed
            segment.
    """

    weights: int
    moments: int
    gradients: int
    activations: int

    @property
    def total(self) -> int:
        fullest = max(self.gradients + self.activations, self.weights)
        return self.weights + self.moments + fullest


def train_memory(
    a: Architecture, batch: int, budget: float = math.inf, backprop: int | None = None
) -> TrainMemory:
    """Estimate the memory of a training step. The memory that PyTorch itself needs, and the free
    memory of its allocator, are not counted.

    Args:
        batch: images of a step.
        budget: bytes of activations. Beyond it, activations are recomputed.
        backprop: number of last loops through which gradients go; None for all loops.
    """
    weights = _FLOAT * cost(a).params
    held = fullest = 0
    stages, around = _stages(a, batch, backprop), _around(a, batch)
    plans = _plans(stages, budget - around)
    for plan, stage in zip(plans, stages, strict=True):
        recomputed = stage.executions - plan.kept
        held += -(-recomputed // plan.length) * stage.input
        segment = max(plan.kept, min(plan.length, recomputed)) * stage.kept
        fullest = max(fullest, held + segment + stage.passing)
        held += plan.kept * stage.kept
    # The peak is where the backward pass enters a stage or its recomputed segments. By then the
    # activations of the later stages are freed.
    is_recomputed = any(p.kept < s.executions for p, s in zip(plans, stages, strict=True))
    gradients = weights if is_recomputed else 0
    return TrainMemory(weights, 2 * weights, gradients, fullest + around)


@lru_cache(maxsize=256)
def segments(
    a: Architecture, batch: int, budget: float, backprop: int | None = None
) -> tuple[Segments, ...]:
    """Choose for each stage the executions to recompute, so that activations fit into `budget`
    bytes. If they cannot fit, their bytes are as near to the budget as possible.

    The last executions are the first to be kept. Their activations are freed before the first
    segment is recomputed, so keeping as many as a segment has needs no more memory.

    Args:
        batch: images of a step.
        backprop: number of last loops through which gradients go; None for all loops.
    """
    plans = _plans(_stages(a, batch, backprop), budget - _around(a, batch))
    detached = reach(a, backprop).detached
    return tuple(replace(p, detached=d) for p, d in zip(plans, detached, strict=True))


def _plans(stages: Sequence[_Stage], budget: float) -> tuple[Segments, ...]:
    budget -= max(stage.passing for stage in stages)
    if sum(s.executions * s.kept for s in stages) <= budget:
        return tuple(Segments(1, stage.executions) for stage in stages)
    lengths = [max(1, round((s.executions * s.input / s.kept) ** 0.5)) for s in stages]
    pairs = list(zip(stages, lengths, strict=True))
    room = budget - sum(-(-s.executions // k) * s.input for s, k in pairs)
    room = max(room, *(k * s.kept for s, k in pairs))
    plans = []
    for s, k in reversed(pairs):
        fits = min(s.executions, int(room // s.kept))
        room = room - fits * s.kept if fits == s.executions else 0
        plans.append(Segments(k, fits))
    return tuple(reversed(plans))


def recomputes(a: Architecture, plans: Sequence[Segments]) -> bool:
    """Whether a stage recomputes some executions."""
    return any(
        plan.detached + plan.kept < s.executions for plan, s in zip(plans, a.stages, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Stage:
    """Memory of a stage's executions.

    Attributes:
        executions: number of executions that have a backward pass.
        input: bytes of the tokens that enter an execution.
        kept: bytes that an execution keeps for its backward pass.
        passing: bytes that the backward pass of an execution needs only while it runs.
    """

    executions: int
    input: int
    kept: int
    passing: int


def _stages(a: Architecture, batch: int, backprop: int | None) -> list[_Stage]:
    stages = [
        _stage(stage, batch * side * side, options(a), a.permutation)
        for stage, side in zip(a.stages, a.sides, strict=True)
    ]
    detached = reach(a, backprop).detached
    return [
        replace(stage, executions=stage.executions - without) if without else stage
        for stage, without in zip(stages, detached, strict=True)
    ]


@lru_cache(maxsize=CACHED)
def _stage(s: Stage, tokens: int, common: Options, permutation: Permutation) -> _Stage:
    d, h, relax = s.width, s.hidden, common.relax
    streams = common.loop.streams if s.most_loops > 1 else 1
    # Gradients of the MLP's hidden layer before and after GELU, of the output and the input of
    # the execution, and of the bank before it is mixed.
    passing = tokens * (2 * h + 2 * d) + (relax.experts * d * h if relax.experts > 1 else 0)
    passing += (streams > 1) * tokens * d
    if s.most_loops > 1 and common.loop.injection != "none":
        # Its gradient, a sum over the loops, and the part of it that all loops share.
        passing += tokens * d * (1 if common.loop.injection == "add" else 2)
    kept = tokens * _kept(s, common, permutation)
    kept += _weights_kept(s, common.nll, common.residual, relax)
    return _Stage(
        executions=s.executions,
        input=_FLOAT * streams * tokens * d,
        kept=_FLOAT * int(kept),
        passing=_FLOAT * passing,
    )


def _kept(s: Stage, common: Options, permutation: Permutation) -> float:
    """Floats that an execution keeps for each token: inputs of both norms, of the four linear
    layers and of GELU; queries, keys and values; two statistics of each norm; a sum for each
    head; and the floats that the options add."""
    d, executions, hidden = s.width, s.executions, common.nll.hidden(s.width)
    loops = looped_executions(s) / executions
    added = loops * 4 * (common.relax.lora or 0)
    added += _permuted(s, permutation) / executions * d
    added += _loop_kept(s, common, loops)
    added += 2 * d + 4 if common.norm == "sandwich" else 0
    of_nll = 2 * d + 2 + 2 * hidden if hidden else 0
    return 8 * d + 2 * s.hidden + 4 + s.heads + added + of_nll


def _loop_kept(s: Stage, common: Options, loops: float) -> float:
    """Floats that an execution keeps for each token for injection, embedding and streams.

    Args:
        loops: part of the executions whose block runs more than once.
    """
    loop, d = common.loop, s.width
    floats = 0.0
    if loop.embedding in ("sinusoidal", "learned") and common.residual == "lrc":
        # Learnable coefficients keep the state, and the norms keep the state with the embedding.
        floats += loops * 2 * d
    if s.most_loops > 1 and loop.injection in ("linear", "gate"):
        floats += injected_executions(s, common.order) / s.executions * d
    if s.most_loops > 1 and loop.streams > 1:
        floats += (loop.streams + 1) * d
    return floats


def _weights_kept(s: Stage, nll: NLL, residual: ResidualKind, relax: Relax) -> float:
    """Floats of the weights that are computed for an execution: mixed experts, and last layers of
    branches with their residual scale."""
    d, h, shared = s.width, s.hidden, looped_executions(s) / s.executions
    bank, is_learnt = relax.experts > 1, residual != "scaled"
    varies = 1.0 if bank else relax.per_loop * shared
    floats = 2.0 * d * h if bank else 0.0
    floats += (d * d + d * h) * (varies * is_learnt + shared * relax.gain)
    return floats + is_learnt * d * nll.hidden(d)


def _permuted(s: Stage, permutation: Permutation) -> int:
    """Number of executions with permuted tokens: sliced attention after the first loop."""
    if permutation == "none":
        return 0
    return sum(
        blocks * sum(runs for groups, runs in slices(s.groups, loops, first=1) if groups > 1)
        for loops, blocks in s.blocks_by_loops.items()
    )


def _around(a: Architecture, batch: int) -> int:
    """Bytes kept outside the stages: images, the stem's normalised outputs, inputs of pools."""
    floats = _stem_floats(a.stem, a.image_size, a.in_channels, a.stem_strides, a.stages[0].width)
    for stage, side in zip(a.stages[:-1], a.sides[:-1], strict=True):
        floats += side * side * stage.width
    return _FLOAT * batch * floats


@lru_cache(maxsize=CACHED)
def _stem_floats(
    stem: Stem, image_size: int, in_channels: int, strides: tuple[int, ...], width: int
) -> int:
    floats, side = in_channels * image_size**2, image_size
    for channels, stride in zip(stem_channels(strides, width), strides, strict=True):
        side = -(-side // stride)
        floats += 2 * side**2 * channels if stem == "convolutions" else 0
    return floats
