"""What must hold of an architecture: each rule broken gives a path and a message."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args

from sret_search.architecture.parts import (
    NLLShare,
    Order,
    Permutation,
    ResidualKind,
    Stage,
    Stem,
)

if TYPE_CHECKING:
    from sret_search.architecture.network import Architecture

Broken = tuple[tuple[str | int, ...], str]

MAX_STRIDE = 4


def broken(a: Architecture) -> Iterator[Broken]:
    """Everything that is wrong, the network first; later rules rely on those before them."""
    yield from _network(a)
    previous: Stage | None = None
    for i, stage in enumerate(a.stages):
        yield from _stage(a, i, stage)
        if previous is not None and stage.width % previous.width:
            message = (
                f"the width must be a multiple of the previous stage's {previous.width}, but got"
                f" {stage.width}; {_multiples(stage.width, previous.width)} would do"
            )
            yield ("stages", i, "width"), f"stage {i}: {message}"
        previous = stage
    if a.residual.kind == "scaled":
        for i, stage in enumerate(a.stages):
            yield from _scale(a, i, stage)


def _network(a: Architecture) -> Iterator[Broken]:
    for name in ("image_size", "in_channels", "classes"):
        yield from _positive(getattr(a, name), name)
    yield from _known(a.stem, Stem, "stem")
    yield from _known(a.order, Order, "order")
    yield from _known(a.permutation, Permutation, "permutation")
    if not a.stem_strides:
        yield ("stem_strides",), "the stem needs at least one convolution"
    yield from _patch(a) if a.stem == "patch" else _convolutions(a)
    if not a.stages:
        yield ("stages",), "at least one stage is needed"

    yield from _known(a.nll.share, NLLShare, "nll", "share")
    yield from _positive(a.nll.ratio, "nll", "ratio")
    if a.nll.rank is not None:
        yield from _positive(a.nll.rank, "nll", "rank")
    yield from _known(a.residual.kind, ResidualKind, "residual", "kind")
    for name in ("init", "lam"):
        yield from _positive(getattr(a.residual, name), "residual", name)
    for name in ("p", "q"):
        power = getattr(a.residual, name)
        if not math.isfinite(power):
            yield ("residual", name), f"`{name}` must be finite, but got {power}"
    yield from _positive(a.relax.experts, "relax", "experts")
    if a.relax.lora is not None:
        yield from _positive(a.relax.lora, "relax", "lora")
    if not 0 <= a.drop_path < 1:
        yield ("drop_path",), f"`0 <= drop_path < 1` must hold, but got {a.drop_path}"


def _convolutions(a: Architecture) -> Iterator[Broken]:
    for i, stride in enumerate(a.stem_strides):
        if not 1 <= stride <= MAX_STRIDE:
            yield ("stem_strides", i), f"a stride is 1 to {MAX_STRIDE}, but got {stride}"


def _patch(a: Architecture) -> Iterator[Broken]:
    if len(a.stem_strides) != 1:
        message = (
            f"a patch stem has one stride, the side of a patch, but got {list(a.stem_strides)}"
        )
        yield ("stem_strides",), message
    stride = a.stem_strides[0]
    if stride < 1 or a.image_size % stride:
        yield (
            ("stem_strides", 0),
            f"patches must tile the image, but got patches of {stride} for {a.image_size} pixels;"
            f" {_divisors(a.image_size, stride)} would do",
        )


def _stage(a: Architecture, i: int, stage: Stage) -> Iterator[Broken]:
    here = ("stages", i)
    of = f"stage {i}: "
    for name in ("width", "heads", "unique", "mlp_ratio"):
        yield from _positive(getattr(stage, name), *here, name, of=of)
    yield from _loops(stage, here, of)
    if stage.width % stage.heads:
        yield (
            (*here, "heads"),
            f"{of}heads must divide the width, but got {stage.width} channels for {stage.heads} heads;"
            f" {_divisors(stage.width, stage.heads)} divide it",
        )
    if stage.hidden == 0:
        needed = (
            f"at least {math.ceil(1e6 / stage.width) / 1e6:g} is needed for width {stage.width}"
        )
        yield (
            (*here, "mlp_ratio"),
            f"{of}mlp_ratio {stage.mlp_ratio} leaves no hidden channel; {needed}",
        )
    if a.nll.share != "none" and a.nll.hidden(stage.width) == 0:
        needed = (
            f"at least {math.ceil(1e6 / stage.width) / 1e6:g} is needed for width {stage.width}"
        )
        yield ("nll", "ratio"), f"{of}nll ratio {a.nll.ratio} leaves no hidden channel; {needed}"
    if i == 0 and len(a.stem_strides) > 1 and stage.width % 2:
        yield (
            (*here, "width"),
            f"{of}a stem of several convolutions starts at half the width, but {stage.width} is odd;"
            f" {_multiples(stage.width, 2)} would do",
        )
    yield from _groups(stage, a.sides[i] ** 2, here, of)


def _loops(stage: Stage, here: tuple[str | int, ...], of: str) -> Iterator[Broken]:
    if isinstance(stage.loops, int):
        yield from _positive(stage.loops, *here, "loops", of=of)
        return
    if len(stage.loops) != stage.unique:
        yield (
            (*here, "loops"),
            f"{of}loops needs one number for all blocks, or one for each of the {stage.unique}"
            f" unique blocks, but got {len(stage.loops)}: {list(stage.loops)}",
        )
    for j, loops in enumerate(stage.loops):
        if loops <= 0:
            yield (*here, "loops", j), f"{of}`loops > 0` must hold, but block {j} has {loops}"


def _groups(stage: Stage, tokens: int, here: tuple[str | int, ...], of: str) -> Iterator[Broken]:
    if not stage.groups:
        yield (*here, "groups"), f"{of}groups needs at least one entry"
    for j, groups in enumerate(stage.groups):
        if groups <= 0 or tokens % groups:
            yield (
                (*here, "groups", j),
                f"{of}{tokens} tokens cannot be cut into {groups} groups;"
                f" {_divisors(tokens, groups)} would do",
            )


def _scale(a: Architecture, i: int, stage: Stage) -> Iterator[Broken]:
    for loops in stage.blocks_by_loops:
        try:
            scale = a.residual.branch_scale(loops, a.unique_blocks)
        except OverflowError:
            scale = math.inf
        if not 0 < scale < math.inf:
            power = "p" if abs(a.residual.p) > abs(a.residual.q) else "q"
            yield (
                ("residual", power),
                f"stage {i}: lam · loops^-p · unique^-q must be a positive number, but with {loops} loops,"
                f" {a.unique_blocks} unique blocks, p {a.residual.p:g} and q {a.residual.q:g} it is {scale:g}",
            )


def _positive(value: float, *path: str | int, of: str = "") -> Iterator[Broken]:
    if not 0 < value < math.inf:
        yield path, f"{of}`{path[-1]} > 0` must hold, but got {value}"


def _known(value: str, kinds: Any, *path: str | int) -> Iterator[Broken]:
    if value not in get_args(kinds):
        yield path, f"must be one of {', '.join(get_args(kinds))}, but got {value!r}"


def _divisors(n: int, near: int) -> str:
    """The divisors of n that lie nearest to a value, in words."""
    divisors = sorted((d for d in range(1, n + 1) if n % d == 0), key=lambda d: (abs(d - near), d))
    return " or ".join(map(str, sorted(divisors[:2])))


def _multiples(near: int, of: int) -> str:
    """The multiples of a number on both sides of a value, in words."""
    below = near // of * of
    return " or ".join(str(m) for m in (below, below + of) if m > 0)
