"""The canonical form of an architecture: equal for all architectures that build the same network.

Fields without effect are left out: slice groups of loops that do not run, the ratio of an NLL
with a rank, the relaxation of stages without loops, and others. Two architectures with the same
canonical form have the same weights under the same names. They also draw the same initial
weights, and their outputs are equal to the last bit.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from sret_search.architecture.parts import CACHED, NLL, Loop, Relax, Residual, Stage

Loops = int | tuple[int, ...]


def of_residual(residual: Residual, relax: Relax, unique: int) -> tuple[Any, ...]:
    """Canonical form of the residual fields and the experts, common to all stages.

    Args:
        unique: unique blocks of the whole network.
    """
    strength = {"lrc": None, "layerscale": residual.init, "scaled": residual.lam}[residual.kind]
    power = residual.q if residual.kind == "scaled" and unique > 1 else None
    return relax.experts, (residual.kind, strength), power


@lru_cache(maxsize=CACHED)
def of_stage(
    s: Stage, order: str, permutation: str, nll: NLL, residual: Residual, relax: Relax
) -> tuple[Any, ...]:
    """Canonical form of a stage."""
    loops, loop = s.most_loops, s.most_loops > 1
    return (
        s.width,
        s.heads,
        s.unique,
        s.hidden,
        _loops(s),
        _groups(s.groups, loops),
        _order(order, s),
        _permutation(permutation, s.groups, loops),
        _nll(nll, s),
        (relax.norm, relax.gain, relax.lora) if loop else None,
        residual.p if residual.kind == "scaled" and loop else None,
    )


def of_loop(loop: Loop, loops: list[int]) -> tuple[Any, ...]:
    """Canonical form of the injection, the embedding and the streams; empty without any.

    Args:
        loops: largest number of loops of each stage. Stages without loops have none of them.
    """
    if replace(loop, readout="last") == Loop() or max(loops) == 1:
        return ()
    return (("loop", loop.injection, loop.embedding, loop.streams),)


def _loops(s: Stage) -> Loops:
    different = s.blocks_by_loops.keys()
    return next(iter(different)) if len(different) == 1 else s.loops


def _groups(groups: tuple[int, ...], loops: int) -> tuple[int, ...]:
    """Slice groups of the loops that run, without repeated entries at the end."""
    used = groups[:loops]
    while len(used) > 1 and used[-1] == used[-2]:
        used = used[:-1]
    return used


def _order(order: str, s: Stage) -> str:
    """Order of the blocks. "cycle" matters only for neighbours with an equal number of loops."""
    if isinstance(s.loops, int):
        turns = s.loops > 1 and s.unique > 1
    else:
        turns = any(loops == other > 1 for loops, other in pairwise(s.loops))
    return order if turns else "sequence"


def _permutation(permutation: str, groups: tuple[int, ...], loops: int) -> str:
    """Permutation of the tokens: "none" if attention is global in all loops after the first."""
    used = _groups(groups, loops)
    later = used[1:] or (used if loops > 1 else ())
    return permutation if any(number > 1 for number in later) else "none"


def _nll(nll: NLL, s: Stage) -> tuple[str, int] | None:
    share: str = nll.share
    if share == "none":
        return None
    if (share == "stage" and s.unique == 1) or (share == "execution" and s.most_loops == 1):
        share = "block"
    return share, nll.hidden(s.width)
