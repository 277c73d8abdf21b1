"""What must hold of an architecture: each rule, with the fields that it reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_args

from sret_search.architecture.parts import (
    NetworkFields,
    NLLShare,
    Order,
    Permutation,
    ResidualKind,
    Stem,
    hidden_of,
    loops_by_block,
    nll_hidden,
    scale_of,
    sides,
)

Place = tuple[str | int, ...]
Broken = tuple[Place, str]
"""The path of a field, and what is wrong with it."""

Rule = Callable[..., Broken | None]

MAX_STRIDE = 4
MOST = 1_000_000
"""Of any number that is a size or a count: beyond it, sums would no longer be exact."""
_LOOKED_AT = 10_000
"""Numbers on both sides of a wrong one, among which the nearest right ones are looked for."""


def broken(a: NetworkFields) -> Broken | None:
    """The first rule that is broken; None where all hold."""
    for rule, values in checks(a):
        found = rule(*values)
        if found is not None:
            return found
    return None


def checks(a: NetworkFields) -> Iterator[tuple[Rule, tuple[Any, ...]]]:
    """Every rule with the values that it reads, the network's first; later rules rely on those
    before them. Nothing is computed here, so that a field may also be a column of many values.
    """
    for name in ("image_size", "in_channels", "classes"):
        yield partial(_positive, (name,)), (getattr(a, name),)
    for name, kinds in (("stem", Stem), ("order", Order), ("permutation", Permutation)):
        yield partial(_known, (name,), kinds), (getattr(a, name),)
    yield _strides, (a.stem, a.stem_strides, a.image_size)
    if not a.stages:
        yield _no_stage, ()
    yield partial(_known, ("nll", "share"), NLLShare), (a.nll.share,)
    yield partial(_positive, ("nll", "ratio")), (a.nll.ratio,)
    yield partial(_positive, ("nll", "rank")), (a.nll.rank,)
    yield partial(_known, ("residual", "kind"), ResidualKind), (a.residual.kind,)
    for name in ("init", "lam"):
        yield partial(_positive, ("residual", name)), (getattr(a.residual, name),)
    for name in ("p", "q"):
        yield partial(_finite, ("residual", name)), (getattr(a.residual, name),)
    yield partial(_positive, ("relax", "experts")), (a.relax.experts,)
    yield partial(_positive, ("relax", "lora")), (a.relax.lora,)
    yield _drop_path, (a.drop_path,)
    for i, stage in enumerate(a.stages):
        of = f"stage {i}: "
        for name in ("width", "heads", "unique", "mlp_ratio"):
            yield partial(_positive, ("stages", i, name), of=of), (getattr(stage, name),)
        yield partial(_loops, i), (stage.unique, stage.loops)
        yield partial(_heads, i), (stage.width, stage.heads)
        yield partial(_hidden, i), (stage.width, stage.mlp_ratio)
        yield partial(_nll_hidden, i), (stage.width, a.nll.share, a.nll.ratio, a.nll.rank)
        if i == 0:
            yield _even, (stage.width, a.stem_strides)
        yield partial(_groups, i), (stage.groups, a.image_size, a.stem_strides)
        if i > 0:
            yield partial(_multiple, i), (stage.width, a.stages[i - 1].width)
    uniques = [stage.unique for stage in a.stages]
    residual = (a.residual.kind, a.residual.lam, a.residual.p, a.residual.q)
    for i, stage in enumerate(a.stages):
        yield partial(_scale, i), (*residual, stage.loops, stage.unique, *uniques)


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


def _no_stage() -> Broken:
    return ("stages",), "at least one stage is needed"


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
    for block, own in enumerate(loops):
        if own <= 0:
            return (*here, block), f"{of}`loops > 0` must hold, but block {block} has {own}"
        if own > MOST:
            return _positive((*here, block), own, of=of)
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


def _nll_hidden(
    i: int, width: int, share: NLLShare, ratio: float, rank: int | None
) -> Broken | None:
    if share == "none" or nll_hidden(width, share, ratio, rank):
        return None
    message = f"stage {i}: nll ratio {ratio} leaves no hidden channel; {_least(width)}"
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
    for loop, own in enumerate(groups):
        if own <= 0 or tokens % own:
            message = (
                f"stage {i}: {tokens} tokens cannot be cut into {own} groups;"
                f" {_divisors(tokens, own)} would do"
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


def _scale(
    i: int, kind: str, lam: float, p: float, q: float,
    loops: int | tuple[int, ...], unique: int, *uniques: int,
) -> Broken | None:  # fmt: skip
    if kind != "scaled":
        return None
    blocks = sum(uniques)
    for own in loops_by_block(unique, loops):
        try:
            scale = scale_of(lam, p, q, own, blocks)
        except OverflowError:
            scale = math.inf
        if not 0 < scale < math.inf:
            message = (
                f"stage {i}: lam · loops^-p · unique^-q must be a positive number, but with {own}"
                f" loops, {blocks} unique blocks, p {p:g} and q {q:g} it is {scale:g}"
            )
            return ("residual", "p" if abs(p) > abs(q) else "q"), message
    return None


def _positive(path: Place, value: float | None, of: str = "") -> Broken | None:
    """A number above 0 and not beyond what can be counted, or no number at all."""
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
    """The divisors of n that lie nearest to a value, in words."""
    near = min(max(near, 1), n)
    steps = range(min(_LOOKED_AT, max(near, n - near)) + 1)
    around = (d for step in steps for d in ((near - step, near + step) if step else (near,)))
    found = [
        d for d, _ in zip((d for d in around if 0 < d <= n and n % d == 0), "ab", strict=False)
    ]
    return " or ".join(map(str, sorted(found) or [1]))


def _multiples(near: int, of: int) -> str:
    """The multiples of a number on both sides of a value, in words."""
    below = near // of * of
    return " or ".join(str(m) for m in (below, below + of) if m > 0)


def _least(width: int) -> str:
    return f"at least {math.ceil(1e6 / width) / 1e6:g} is needed for width {width}"
