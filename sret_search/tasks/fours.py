"""Fours of grids in which neither the walls alone nor the marks alone tell whether a path joins.

Three regions of free cells lie in a grid, and two walls, of which one parts the first region from
the second, the other the first from the third. One grid has the one opened, another the other;
in both of them one mark is in the first region, and the other mark in the second or in the third.
So each grid comes twice, and each pair of marks comes twice: once joined, once not. Where the
walls lie from the marks tells little, too: for both pairs of marks they are about as far from
both together, and either both on a straight way between them or neither.

Shapes: B grids of G cells a side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sret_search.tasks.paths import Bools, Ints, distances

_WALLS = (0.3, 0.5)  # of all cells: with more or with fewer, hardly a grid has such regions
_BESIDE = [[[0] * 3] * 3, [[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[0] * 3] * 3]


class Fours(NamedTuple):
    """Grids with either wall opened (B, 2, G, G), in which each cell that is not one is free;
    the marks that either joins (B, 2, 2, 2); and the steps of the path, with both (B,)."""

    free: Bools
    marks: Ints
    lengths: Ints


def draw(grid: int, wanted: Ints, count: int, random: np.random.Generator) -> Fours:
    """The draws that allow a four.

    Args:
        grid: cells a side.
        wanted: how many paths are wanted of each number of steps, from 0 on.
        count: of draws.
    """
    walls = random.uniform(*_WALLS, (count, 1, 1))
    free = random.random((count, grid, grid), np.float32) >= walls
    regions, _ = ndimage.label(free, _BESIDE)
    first, second, shared, some = _two_walls(free, regions, random)
    free, regions, shared = free[some], regions[some], shared[some]
    openings = [first[some], second[some]]

    at_one = regions == shared[:, None, None]
    apart = free & np.logical_and(*(np.abs(_off(grid, wall)).max(1) > 1 for wall in openings))
    start, some = _any_of(apart & at_one, random)
    steps = []
    for wall, other in (openings, openings[::-1]):
        far = distances(_with(free, wall), start, len(wanted) - 1)
        end = apart & ~at_one & _alike(grid, start, wall, other) & (far > 0)
        steps.append(np.where(end, far, 0))
    lengths, there = _common(steps, wanted, random)
    marks = []
    for far in steps:
        end, _ = _any_of(far == lengths[:, None, None], random)
        marks.append(np.stack([start, end], axis=1))
    some &= there
    opened = np.stack([_with(free, wall) for wall in openings], axis=1)
    return Fours(opened[some], np.stack(marks, axis=1)[some], lengths[some])


def _common(
    steps: list[NDArray[np.int16]], wanted: Ints, random: np.random.Generator
) -> tuple[Ints, Bools]:
    """Steps (B,) that are wanted and come in both of two grids (B, G, G), and whether there are
    such; the more they are wanted, the likelier."""
    count, most = len(steps[0]), len(wanted)
    there = np.ones((count, most), bool)
    for far in steps:
        keys = np.arange(count)[:, None, None] * most + far
        there &= np.bincount(keys.ravel(), minlength=count * most).reshape(count, most) > 0
    drawn = there * (1 - random.random(there.shape)) * wanted
    drawn[:, 0] = 0
    best: Ints = drawn.argmax(1)
    return best, drawn.max(1) > 0


def _two_walls(
    free: Bools, regions: NDArray[np.int32], random: np.random.Generator
) -> tuple[Ints, Ints, NDArray[np.int32], Bools]:
    """Two walls (B, 2) that touch one region in common, and each at least one other; the number
    of that region (B,); and whether there are such walls (B,)."""
    b = np.arange(len(free))
    padded = np.pad(regions, ((0, 0), (1, 1), (1, 1)))
    sides = (padded[:, 1:-1, 2:], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, :-2, 1:-1])
    touched = np.sort(np.stack(sides), axis=0)
    touched[1:][touched[1:] == touched[:-1]] = 0  # each region once
    parting = ~free & ((touched > 0).sum(0) > 1)
    first, some = _any_of(parting, random)
    own = touched[:, b, first[:, 0], first[:, 1]]
    both = (touched[:, None] == own[:, :, None, None]) & (touched[:, None] > 0)
    common = both.any(1)  # of the regions that a cell touches, those that the first wall does
    second, there = _any_of(parting & (common.sum(0) == 1), random)
    place = (slice(None), b, second[:, 0], second[:, 1])
    shared = np.where(common[place], touched[place], 0).max(0)
    return first, second, shared, some & there


def _alike(grid: int, start: Ints, wall: Ints, other: Ints) -> Bools:
    """For the other mark at each cell (B, G, G): whether two walls lie alike beside the marks."""
    straight = np.abs(_off(grid, start)).sum(1)
    ways = []
    for cell in (wall, other):
        from_start = np.abs(start - cell).sum(1)[:, None, None]
        ways.append(from_start + np.abs(_off(grid, cell)).sum(1))
    between = [way == straight for way in ways]
    near = np.abs(ways[0] - ways[1]) <= max(2, grid // 4)
    alike: Bools = near & (between[0] == between[1])
    return alike


def _off(grid: int, cell: Ints) -> Ints:
    """Rows and columns (B, 2, G, G) from a cell (B, 2) to each."""
    return np.mgrid[:grid, :grid] - cell[..., None, None]


def _any_of(allowed: Bools, random: np.random.Generator) -> tuple[Ints, Bools]:
    """One cell (B, 2) of those allowed (B, G, G), and whether there is one (B,)."""
    side = allowed.shape[-1]
    drawn = (allowed * (1 - random.random(allowed.shape, np.float32))).reshape(-1, side * side)
    return np.stack(np.divmod(drawn.argmax(1), side), axis=1), np.any(allowed, axis=(1, 2))


def _with(free: Bools, place: Ints) -> Bools:
    """Grids with one more free cell (B, 2)."""
    opened = free.copy()
    opened[np.arange(len(free)), place[:, 0], place[:, 1]] = True
    return opened
