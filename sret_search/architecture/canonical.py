"""What an architecture builds: the same for all that build the same, however they are written.

Fields without effect fall away: slice groups of loops that do not run, the ratio of an NLL that
has a rank, what loops need not share where nothing loops, and so on. Two networks of the same
pieces have the same weights under the same names, draw them alike, and run alike to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from sret_search.architecture.parts import NetworkFields, hidden_of, loops_by_block, nll_hidden

Loops = int | tuple[int, ...]


def canonical_form(a: NetworkFields) -> tuple[Any, ...]:
    """Plain data that two architectures have in common just if they build the same."""
    return tuple(piece(*fields) for piece, fields in pieces(a))


def pieces(a: NetworkFields) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Each piece of what is built, as a function and the fields that it reads. Nothing is
    computed here, so that a field may also be a column of many values."""
    for field in (a.image_size, a.in_channels, a.classes, a.stem, a.stem_strides, a.drop_path):
        yield _same, (field,)
    yield _same, (a.relax.experts,)
    yield _residual, (a.residual.kind, a.residual.init, a.residual.lam)
    yield _power_of_unique, (a.residual.kind, a.residual.q, *(s.unique for s in a.stages))
    for s in a.stages:
        runs = (s.unique, s.loops)
        for field in (s.width, s.heads, s.unique):
            yield _same, (field,)
        yield hidden_of, (s.width, s.mlp_ratio)
        yield _loops, runs
        yield _groups, (s.groups, *runs)
        yield _order, (a.order, *runs)
        yield _permutation, (a.permutation, s.groups, *runs)
        yield _nll, (s.width, a.nll.share, a.nll.ratio, a.nll.rank, *runs)
        yield _relax, (a.relax.norm, a.relax.gain, a.relax.lora, *runs)
        yield _power_of_loops, (a.residual.kind, a.residual.p, *runs)


def most_loops(unique: int, loops: Loops) -> int:
    """The most executions of any one block."""
    return max(loops_by_block(unique, loops))


def _same(field: Any) -> Any:
    return field


def _loops(unique: int, loops: Loops) -> Loops:
    found = loops_by_block(unique, loops)
    return next(iter(found)) if len(found) == 1 else loops


def _groups(groups: tuple[int, ...], unique: int, loops: Loops) -> tuple[int, ...]:
    """Those of the loops that run, without the last ones that only repeat."""
    used = groups[: most_loops(unique, loops)]
    while len(used) > 1 and used[-1] == used[-2]:
        used = used[:-1]
    return used


def _order(order: str, unique: int, loops: Loops) -> str:
    """Blocks take turns only with neighbours that loop as often."""
    if isinstance(loops, int):
        turns = loops > 1 and unique > 1
    else:
        turns = any(one == other > 1 for one, other in pairwise(loops))
    return order if turns else "sequence"


def _permutation(permutation: str, groups: tuple[int, ...], unique: int, loops: Loops) -> str:
    """The first loop is not permuted, nor is global attention."""
    used = _groups(groups, unique, loops)
    later = used[1:] or (used if most_loops(unique, loops) > 1 else ())
    return permutation if any(own > 1 for own in later) else "none"


def _nll(
    width: int, share: str, ratio: float, rank: int | None, unique: int, loops: Loops
) -> tuple[str, int] | None:
    if share == "none":
        return None
    most = most_loops(unique, loops)
    if (share == "stage" and unique == 1) or (share == "execution" and most == 1):
        share = "block"
    return share, nll_hidden(width, "block", ratio, rank)


def _relax(norm: bool, gain: bool, lora: int | None, unique: int, loops: Loops) -> Any:
    return (norm, gain, lora) if most_loops(unique, loops) > 1 else None


def _residual(kind: str, init: float, lam: float) -> tuple[str, float | None]:
    return kind, {"lrc": None, "layerscale": init, "scaled": lam}[kind]


def _power_of_unique(kind: str, q: float, *uniques: int) -> float | None:
    return q if kind == "scaled" and sum(uniques) > 1 else None


def _power_of_loops(kind: str, p: float, unique: int, loops: Loops) -> float | None:
    return p if kind == "scaled" and most_loops(unique, loops) > 1 else None
