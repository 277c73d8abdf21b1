"""The rules of an architecture.

Each rule reads only some parts of the architecture. Candidates of a space share most of their
parts, so the results of rules are cached.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, get_args

from sret_search.architecture.parts import (
    CACHED,
    NLL,
    Injection,
    Loop,
    LoopEmbedding,
    NLLShare,
    Norm,
    Order,
    Permutation,
    Readout,
    Relax,
    Residual,
    ResidualKind,
    Stage,
    Stem,
    hidden_of,
    sides,
)

Place = tuple[str | int, ...]
Broken = tuple[Place, str]
"""A broken rule: the path of a field, and a message."""

MAX_STRIDE = 4
MOST_STREAMS = 16
MOST = 1_000_000
"""Largest allowed size or count. With larger numbers, sums would no longer be exact."""
_LOOKED_AT = 10_000
"""Numbers on each side of a wrong number among which the nearest valid numbers are searched."""


@lru_cache(maxsize=CACHED)
def of_network(
    image_size: int, in_channels: int, classes: int,
    stem: str, strides: tuple[int, ...], order: str, permutation: str,
    nll: NLL, residual: Residual, relax: Relax, loop: Loop, norm: str, drop_path: float,
    stages: int,
) -> Broken | None:  # fmt: skip
    """The first broken rule among the rules that read no stage; None if all hold.

    Args:
        stages: number of stages.
    """

    def every() -> Iterator[Broken | None]:
        yield _positive(("image_size",), image_size)
        yield _positive(("in_channels",), in_channels)
        yield _positive(("classes",), classes)
        yield _known(("stem",), Stem, stem)
        yield _known(("order",), Order, order)
        yield _known(("permutation",), Permutation, permutation)
        yield _strides(stem, strides, image_size)
        yield None if stages else (("stages",), "at least one stage is needed")
        yield _known(("nll", "share"), NLLShare, nll.share)
        yield _positive(("nll", "ratio"), nll.ratio)
        yield _positive(("nll", "rank"), nll.rank)
        yield _known(("residual", "kind"), ResidualKind, residual.kind)
        yield _positive(("residual", "init"), residual.init)
        yield _positive(("residual", "lam"), residual.lam)
        yield _finite(("residual", "p"), residual.p)
        yield _finite(("residual", "q"), residual.q)
        yield _positive(("relax", "experts"), relax.experts)
        yield _positive(("relax", "lora"), relax.lora)
        yield _known(("loop", "injection"), Injection, loop.injection)
        yield _known(("loop", "embedding"), LoopEmbedding, loop.embedding)
        yield _known(("loop", "readout"), Readout, loop.readout)
        yield _streams(loop.streams)
        yield _known(("norm",), Norm, norm)
        yield _drop_path(drop_path)

    return next(filter(None, every()), None)


@lru_cache(maxsize=CACHED)
def of_stage(
    i: int, stage: Stage, nll: NLL, image_size: int, strides: tuple[int, ...], previous: int
) -> Broken | None:
    """The first broken rule of a stage; None if all hold.

    Args:
        i: index of the stage.
        previous: width of the stage before it; 0 for the first stage.
    """
    width = stage.width

    def every() -> Iterator[Broken | None]:
        for name in ("width", "heads", "unique", "mlp_ratio"):
            yield _positive(("stages", i, name), getattr(stage, name), of=f"stage {i}: ")
        yield _loops(i, stage.unique, stage.loops)
        yield _heads(i, width, stage.heads)
        yield _hidden(i, width, stage.mlp_ratio)
        yield _nll_hidden(i, width, nll)
        if i == 0:
            yield _even(width, strides)
        yield _groups(i, stage.groups, image_size, strides)
        if i > 0:
            yield _multiple(i, width, previous)

    return next(filter(None, every()), None)


def _strides(stem: str, strides: tuple[int, ...], image_size: int) -> Broken | None:
    if not strides:
        return ("stem_strides",), "the stem needs at least one convolution"
    if stem == "convolutions":
        for i, stride in enumerate(strides):
            if not 1 <= stride <= MAX_STRIDE:
                return ("stem_strides", i), f"a stride is 1 to {MAX_STRIDE}, but got {stride}"
        return None
    if len(strides) != 1:
        message = f"a patch stem has one stride, the side of a patch, but got {list(strides)}"
        return ("stem_strides",), message
    if strides[0] < 1 or image_size % strides[0]:
        message = (
            f"patches must tile the image, but got patches of {strides[0]} for {image_size} pixels;"
            f" {_divisors(image_size, strides[0])} would do"
        )
        return ("stem_strides", 0), message
    return None


def _streams(streams: int) -> Broken | None:
    if 1 <= streams <= MOST_STREAMS:
        return None
    return ("loop", "streams"), f"`1 <= streams <= {MOST_STREAMS}` must hold, but got {streams}"


def _drop_path(rate: float) -> Broken | None:
    if 0 <= rate < 1:
        return None
    return ("drop_path",), f"`0 <= drop_path < 1` must hold, but got {rate}"


def _loops(i: int, unique: int, loops: int | tuple[int, ...]) -> Broken | None:
    here, of = ("stages", i, "loops"), f"stage {i}: "
    if isinstance(loops, int):
        return _positive(here, loops, of=of)
    if len(loops) != unique:
        message = (
            f"{of}loops needs one number for all blocks, or one for each of the {unique}"
            f" unique blocks, but got {len(loops)}: {list(loops)}"
        )
        return here, message
    for block, runs in enumerate(loops):
        if runs <= 0:
            return (*here, block), f"{of}`loops > 0` must hold, but block {block} has {runs}"
        if runs > MOST:
            return _positive((*here, block), runs, of=of)
    return None


def _heads(i: int, width: int, heads: int) -> Broken | None:
    if width % heads == 0:
        return None
    message = (
        f"stage {i}: heads must divide the width, but got {width} channels for {heads} heads;"
        f" {_divisors(width, heads)} divide it"
    )
    return ("stages", i, "heads"), message


def _hidden(i: int, width: int, ratio: float) -> Broken | None:
    if hidden_of(width, ratio):
        return None
    message = f"stage {i}: mlp_ratio {ratio} leaves no hidden channel; {_least(width)}"
    return ("stages", i, "mlp_ratio"), message


def _nll_hidden(i: int, width: int, nll: NLL) -> Broken | None:
    if nll.share == "none" or nll.hidden(width):
        return None
    message = f"stage {i}: nll ratio {nll.ratio} leaves no hidden channel; {_least(width)}"
    return ("nll", "ratio"), message


def _even(width: int, strides: tuple[int, ...]) -> Broken | None:
    if len(strides) == 1 or width % 2 == 0:
        return None
    message = (
        f"stage 0: a stem of several convolutions starts at half the width, but {width} is odd;"
        f" {_multiples(width, 2)} would do"
    )
    return ("stages", 0, "width"), message


def _groups(
    i: int, groups: tuple[int, ...], image_size: int, strides: tuple[int, ...]
) -> Broken | None:
    here = ("stages", i, "groups")
    if not groups:
        return here, f"stage {i}: groups needs at least one entry"
    tokens = sides(image_size, strides, i + 1)[i] ** 2
    for loop, number in enumerate(groups):
        if number <= 0 or tokens % number:
            message = (
                f"stage {i}: {tokens} tokens cannot be cut into {number} groups;"
                f" {_divisors(tokens, number)} would do"
            )
            return (*here, loop), message
    return None


def _multiple(i: int, width: int, previous: int) -> Broken | None:
    if width % previous == 0:
        return None
    message = (
        f"stage {i}: the width must be a multiple of the previous stage's {previous}, but got"
        f" {width}; {_multiples(width, previous)} would do"
    )
    return ("stages", i, "width"), message


@lru_cache(maxsize=CACHED)
def of_scale(i: int, stage: Stage, residual: Residual, blocks: int) -> Broken | None:
    """Check that the constant weights of a stage's branches are positive and finite; None if so.

    Args:
        blocks: unique blocks of the whole network.
    """
    if residual.kind != "scaled":
        return None
    p, q = residual.p, residual.q
    for loops in stage.blocks_by_loops:
        try:
            scale = residual.branch_scale(loops, blocks)
        except OverflowError:
            scale = math.inf
        if not 0 < scale < math.inf:
            message = (
                f"stage {i}: lam · loops^-p · unique^-q must be a positive number, but with {loops}"
                f" loops, {blocks} unique blocks, p {p:g} and q {q:g} it is {scale:g}"
            )
            return ("residual", "p" if abs(p) > abs(q) else "q"), message
    return None


def _positive(path: Place, value: float | None, of: str = "") -> Broken | None:
    """Check that a number is above 0 and at most `MOST`; None if it is, or if it is not given."""
    if value is None or 0 < value <= MOST:
        return None
    name = next(part for part in reversed(path) if isinstance(part, str))
    bound = f"{name} <= {MOST:,}" if MOST < value < math.inf else f"{name} > 0"
    return path, f"{of}`{bound}` must hold, but got {value}"


def _finite(path: Place, value: float) -> Broken | None:
    return None if math.isfinite(value) else (path, f"`{path[-1]}` must be finite, but got {value}")


def _known(path: Place, kinds: Any, value: str) -> Broken | None:
    if value in get_args(kinds):
        return None
    return path, f"must be one of {', '.join(get_args(kinds))}, but got {value!r}"


def _divisors(n: int, near: int) -> str:
    """The divisors of n that are nearest to a value, in words."""
    near = min(max(near, 1), n)
    steps = range(min(_LOOKED_AT, max(near, n - near)) + 1)
    around = (d for step in steps for d in ((near - step, near + step) if step else (near,)))
    nearest = [
        d for d, _ in zip((d for d in around if 0 < d <= n and n % d == 0), "ab", strict=False)
    ]
    return " or ".join(map(str, sorted(nearest) or [1]))


def _multiples(near: int, of: int) -> str:
    """The multiples of a number on both sides of a value, in words."""
    below = near // of * of
    return " or ".join(str(m) for m in (below, below + of) if m > 0)


def _least(width: int) -> str:
    return f"at least {math.ceil(1e6 / width) / 1e6:g} is needed for width {width}"
