"""Backpropagation through the last k loops alone: what has a backward pass, and what it costs.

Blocks that loop together are a chain. With the order "cycle" these are neighbours with an equal
number of loops, A B A B; with "sequence" each block is one, A A, then B B. The loops of a chain
before its last k run without a graph. What runs before them in the stage gets no gradient through
them, and neither do the parts of the network before the stage: only an injected input, which the
last loops read again, leads a gradient there (truncated backpropagation; Geiping et al.,
2502.05171, §3.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

from sret_search.architecture import Architecture, Stage
from sret_search.architecture.parts import CACHED, Order
from sret_search.cost.count import cost, macs_of_executions


@dataclass(frozen=True, slots=True)
class Cut:
    """The place in a stage before which its executions run without a graph.

    Attributes:
        detached: number of executions before it.
        chain: first block of the chain in which it lies. Blocks before this one get no gradient.
    """

    detached: int = 0
    chain: int = 0


@dataclass(frozen=True, slots=True)
class Reach:
    """The parts of a network that get a gradient.

    Attributes:
        detached: for each stage, its executions without a graph: all of them if no gradient comes
            to the stage.
        input: whether the stem and the positions get a gradient.
        blocks: whether each block gets one.
        first: index of the first stage that gets a gradient.
    """

    detached: tuple[int, ...]
    input: bool
    blocks: bool
    first: int


def cut(stage: Stage, order: Order, backprop: int) -> Cut:
    """The cut of a stage with gradients through its last `backprop` loops."""
    return _cut(stage.unique, stage.loops, order, backprop)


@lru_cache(maxsize=CACHED)
def _cut(unique: int, loops: int | tuple[int, ...], order: Order, backprop: int) -> Cut:
    def loops_of(block: int) -> int:
        return loops if isinstance(loops, int) else loops[block]

    last, before = Cut(), 0
    for count, neighbours in groupby(range(unique), loops_of):
        blocks = list(neighbours)
        chains = [blocks] if order == "cycle" else [[block] for block in blocks]
        for chain in chains:
            if count > backprop:
                last = Cut(before + (count - backprop) * len(chain), chain[0])
            before += count * len(chain)
    return last


def reach(a: Architecture, backprop: int | None) -> Reach:
    """The parts of a network that get a gradient.

    Args:
        backprop: loops at the end of each chain through which gradients go; None for all loops.
    """
    if backprop is None:
        return Reach((0,) * len(a.stages), True, True, 0)
    detached = [stage.executions for stage in a.stages]
    whole = True
    for i in reversed(range(len(a.stages))):
        here = cut(a.stages[i], a.order, backprop)
        detached[i] = here.detached
        whole = whole and here.chain == 0
        if here.detached and a.loop.injection == "none":
            return Reach(tuple(detached), False, whole and i == 0, i)
    return Reach(tuple(detached), True, whole, 0)


def backward_macs(a: Architecture, backprop: int | None) -> int:
    """Multiply-adds of the forward pass of the parts that have a backward pass, for one image.

    The backward pass itself takes twice as many: one product for the gradient of the input of a
    layer, one for that of its weights.

    Args:
        backprop: loops at the end of each chain through which gradients go; None for all loops.
    """
    macs = cost(a).macs
    reached = reach(a, backprop)
    if reached.input and not any(reached.detached):
        return macs
    for i, (stage, detached) in enumerate(zip(a.stages, reached.detached, strict=True)):
        if detached == stage.executions:
            macs -= macs_of_executions(a, i, stage)
        elif detached:
            assert backprop is not None
            macs -= _before_cut(a, i, backprop)
    if not reached.input:
        before = cost(replace(a, stages=a.stages[: reached.first + 1])).macs_by_part
        macs -= before["stem"] + before["pools"]
    return macs


def _before_cut(a: Architecture, index: int, backprop: int) -> int:
    """Multiply-adds of a stage's executions before its cut: whole chains, and the first loops of
    the chain in which the cut lies."""
    stage = a.stages[index]
    first = cut(stage, a.order, backprop).chain
    loops = [stage.loops_of(block) for block in range(stage.unique)]
    last = first + 1
    if a.order == "cycle":
        while last < stage.unique and loops[last] == loops[first]:
            last += 1
    kept = [*loops[:first], *(count - backprop for count in loops[first:last])]
    return macs_of_executions(a, index, replace(stage, unique=last, loops=tuple(kept)))
