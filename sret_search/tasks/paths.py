"""Shortest paths of free cells, from side to side.

Shapes: B grids of G cells a side; L cells of a path.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Steps = NDArray[np.int16]

_SIDES = np.array(((0, 1), (1, 0), (0, -1), (-1, 0)))


def distances(free: Bools, start: Ints, limit: int | None = None) -> Steps:
    """Steps (B, G, G) from a cell to each other; -1 where none, or more than `limit`, lead.

    Args:
        free: (B, G, G).
        start: (B, 2), row and column.
    """
    count, grid, _ = free.shape
    wide = grid + 2
    # Within walls, all grids are one line, in which a step is a shift: short rows would be slow.
    fresh = np.pad(free, ((0, 0), (1, 1), (1, 1))).ravel()
    front = np.zeros_like(fresh)
    front[(np.arange(count) * wide + start[:, 0] + 1) * wide + start[:, 1] + 1] = True
    steps = np.where(front, 0, -1).astype(np.int16)
    fresh &= ~front
    for step in range(1, (grid * grid if limit is None else limit) + 1):
        beside = np.zeros_like(front)
        for shift in (1, wide):
            beside[shift:] |= front[:-shift]
            beside[:-shift] |= front[shift:]
        front = beside & fresh
        if not front.any():
            break
        np.putmask(steps, front, step)
        fresh &= ~front
    return steps.reshape(count, wide, wide)[:, 1:-1, 1:-1]


def shortest(free: Bools, start: Ints, end: Ints) -> Ints:
    """The cells (L, 2) of a shortest path in a grid (G, G), of those that there are one.

    Args:
        start, end: row and column (2,) of cells that a path joins.
    """
    steps = np.pad(distances(free[None], start[None])[0], 1, constant_values=-1)
    path = [end + 1]
    while steps[*path[-1]] > 0:
        beside = path[-1] + _SIDES
        nearer = steps[*beside.T] == steps[*path[-1]] - 1
        path.append(beside[nearer.argmax()])
    return np.array(path[::-1]) - 1
