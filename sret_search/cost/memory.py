"""Memory of a training step: what executions keep for the backward pass, and what to recompute.

With s bytes kept by an execution and b by its input alone, E executions in segments of k hold
E/k inputs and one recomputed segment: E·b/k + k·s bytes, least at k = √(E·b/s).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from sret_search.architecture import Architecture
from sret_search.architecture.parts import Stem, loops_by_block, sides, stem_channels
from sret_search.cost.count import Apply, Numbers, cost, numbers, or_zero, slices, value

_FLOAT = 4

MEMORY_BUDGET = 2 * 2**30
"""Bytes of activations above which a training recomputes them."""


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
        fullest = _larger(self.gradients + self.activations, self.weights)
        total: int = _whole(self.weights + self.moments + fullest)
        return total


def train_memory(
    a: Architecture, batch: int, budget: float = math.inf, of: Apply = value
) -> TrainMemory:
    """The memory of training on `batch` images a step, activations recomputed beyond `budget`.

    PyTorch's own memory, and what its allocator keeps free, are not counted.
    """
    weights = _FLOAT * cost(a, of).params
    held: Any = 0
    fullest: Any = 0
    stages = _stages(a, batch, of)
    around = _around(a, batch, of)
    plans = _plans(stages, budget - around)
    for plan, stage in zip(plans, stages, strict=True):
        recomputed = stage.executions - plan.kept
        held = held + -(-recomputed // plan.length) * stage.input
        segment = _larger(plan.kept, _smaller(plan.length, recomputed)) * stage.kept
        fullest = _larger(fullest, held + segment + stage.passing)
        held = held + plan.kept * stage.kept
    # Fullest where the backward pass enters a stage or its recomputed segments: by then nothing
    # is left of the later stages.
    gradients = weights * _recomputed(plans, [stage.executions for stage in stages])
    activations = _whole(fullest + around)
    return TrainMemory(weights, 2 * weights, _whole(gradients), activations)


@lru_cache(maxsize=256)
def segments(a: Architecture, batch: int, budget: float) -> tuple[Segments, ...]:
    """For each stage, what to recompute so that activations fit into `budget` bytes, or come as
    near to it as recomputing can.

    The executions that run last are kept first: their activations are gone again before the
    first segment is recomputed, so that one segment's worth of them costs nothing.
    """
    return _plans(_stages(a, batch, value), budget - _around(a, batch, value))


def _plans(stages: Sequence[_Stage], budget: Any) -> tuple[Segments, ...]:
    budget = budget - functools.reduce(_larger, [stage.passing for stage in stages])
    all_kept = sum(s.executions * s.kept for s in stages) <= budget
    if np.all(all_kept):
        return tuple(Segments(1, stage.executions) for stage in stages)
    lengths = [_larger(1, _rounded((s.executions * s.input / s.kept) ** 0.5)) for s in stages]
    pairs = list(zip(stages, lengths, strict=True))
    room = budget - sum(-(-s.executions // k) * s.input for s, k in pairs)
    for s, k in pairs:
        room = _larger(room, k * s.kept)
    plans = []
    for s, k in reversed(pairs):
        fits = _smaller(s.executions, _whole(room // s.kept))
        room = _where(fits == s.executions, room - fits * s.kept, 0)
        plans.append(Segments(_where(all_kept, 1, k), _where(all_kept, s.executions, fits)))
    return tuple(reversed(plans))


def recomputes(a: Architecture, plans: Sequence[Segments]) -> bool:
    """Whether any stage recomputes anything."""
    return bool(_recomputed(plans, [stage.executions for stage in a.stages]))


def _recomputed(plans: Sequence[Segments], executions: Sequence[int]) -> Any:
    return sum(p.kept < n for p, n in zip(plans, executions, strict=True)) > 0


@dataclass(frozen=True, slots=True)
class _Stage:
    """Bytes of a stage's executions: the tokens that enter one, what one keeps for its backward
    pass, and what comes and goes in that."""

    executions: int
    input: int
    kept: int
    passing: int


def _stages(a: Architecture, batch: int, of: Apply) -> list[_Stage]:
    found = []
    experts, relaxed = (
        of(int, a.relax.experts),
        of(_per_loop, a.relax.norm, a.relax.gain, a.relax.lora),
    )
    for i in range(len(a.stages)):
        n = numbers(a, i, of)
        d, h, tokens = n.width, n.hidden, batch * n.tokens
        # Gradients of the MLP's hidden layer before and after GELU, of the execution's output
        # and its input; of a bank before it is mixed.
        passing = tokens * (2 * h + 2 * d) + (experts > 1) * experts * d * h
        stage = _Stage(
            executions=n.executions,
            input=_FLOAT * tokens * d,
            kept=_FLOAT * _whole(tokens * _kept(a, i, n, of) + _weights_kept(a, n, relaxed, of)),
            passing=_FLOAT * passing,
        )
        found.append(stage)
    return found


def _kept(a: Architecture, i: int, n: Numbers, of: Apply) -> Any:
    """Floats that an execution keeps for each token: the inputs of both norms, of the four
    linear layers and of GELU, queries, keys and values, the norms' two statistics, a sum for
    each head; then what the options add."""
    s, lora = a.stages[i], of(or_zero, a.relax.lora)
    permuted = of(_permuted, a.permutation, s.groups, s.unique, s.loops)
    of_nll = (n.nll > 0) * (2 * n.width + 2 + 2 * n.nll)
    options = n.looped / n.executions * 4 * lora + permuted / n.executions * n.width
    return 8 * n.width + 2 * n.hidden + 4 + of(int, s.heads) + options + of_nll


def _weights_kept(a: Architecture, n: Numbers, relaxed: int, of: Apply) -> Any:
    """Floats of the weights that are made for one execution: experts mixed, last layers of
    branches weighed."""
    d, h, shared = n.width, n.hidden, n.looped / n.executions
    bank, learnt = of(int, a.relax.experts) > 1, of(_is_learnt, a.residual.kind)
    varies = _where(bank, 1.0, relaxed * shared)
    floats = bank * 2.0 * d * h
    floats = floats + (d * d + d * h) * (varies * learnt + shared * of(int, a.relax.gain))
    return floats + (n.nll > 0) * learnt * d * n.nll


def _per_loop(norm: bool, gain: bool, lora: int | None) -> int:
    return int(norm or gain or lora is not None)


def _permuted(
    permutation: str, groups: tuple[int, ...], unique: int, loops: int | tuple[int, ...]
) -> int:
    """Executions whose tokens are permuted: not a first loop, nor global attention."""
    if permutation == "none":
        return 0
    return sum(
        blocks * sum(runs for g, runs in slices(groups, own, first=1) if g > 1)
        for own, blocks in loops_by_block(unique, loops).items()
    )


def _is_learnt(kind: str) -> int:
    return int(kind != "scaled")


def _around(a: Architecture, batch: int, of: Apply) -> Any:
    """Bytes kept outside the stages: images, the stem's normalised outputs, inputs of pools."""
    stem = (a.stem, a.image_size, a.in_channels, a.stem_strides, a.stages[0].width)
    floats = of(_stem_floats, *stem)
    for i, stage in enumerate(a.stages[:-1]):
        floats = floats + of(partial(_pool_floats, i), a.image_size, a.stem_strides, stage.width)
    return _FLOAT * batch * floats


def _stem_floats(
    stem: Stem, image_size: int, in_channels: int, strides: tuple[int, ...], width: int
) -> int:
    floats, side = in_channels * image_size**2, image_size
    for channels, stride in zip(stem_channels(strides, width), strides, strict=True):
        side = -(-side // stride)
        floats += 2 * side**2 * channels if stem == "convolutions" else 0
    return floats


def _pool_floats(i: int, image_size: int, strides: tuple[int, ...], width: int) -> int:
    return sides(image_size, strides, i + 1)[i] ** 2 * width


# Of plain numbers, or of columns of them.


def _whole(number: Any) -> Any:
    """Rounded down."""
    return np.floor(number) if isinstance(number, np.ndarray) else int(number)


def _rounded(number: Any) -> Any:
    return np.round(number) if isinstance(number, np.ndarray) else round(number)


def _larger(one: Any, other: Any) -> Any:
    columns = isinstance(one, np.ndarray) or isinstance(other, np.ndarray)
    return np.maximum(one, other) if columns else max(one, other)


def _smaller(one: Any, other: Any) -> Any:
    columns = isinstance(one, np.ndarray) or isinstance(other, np.ndarray)
    return np.minimum(one, other) if columns else min(one, other)


def _where(holds: Any, one: Any, other: Any) -> Any:
    if isinstance(holds, np.ndarray):
        return np.where(holds, one, other)
    return one if holds else other
