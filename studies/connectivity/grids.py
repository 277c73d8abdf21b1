"""Grids with two marked cells: does a path of free cells join them?

The kind of task on which recurrent depth was studied: Linsley et al., 2018 (Pathfinder,
1805.08315); Schwarzschild et al., 2021 ("deep thinking", 2106.04537).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_WALLS = 0.45  # of all cells: with more or with fewer, hardly a grid has such marks
_TRIES = 20  # pairs of marks for a grid before another one is drawn


def connectivity(images: int = 3000, size: int = 12, seed: int = 0) -> dict[str, Any]:
    """Images (N, 3, S, S) and labels (N,) of training and test: 1 where the marks are joined.

    Walls are red, free cells green, the two marks blue. Each grid comes twice, joined and not, with
    marks that lie equally far apart, so that neither the walls nor the marks alone tell the label.

    Args:
        images: of training; a quarter as many are for the test.
        size: cells a side, one a pixel.
    """
    random = np.random.default_rng(seed)
    train, test = (_grids(count // 2, size, random) for count in (images, images // 4))
    return {"train": train, "test": test}


def _grids(
    count: int, size: int, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pairs of images of one grid each, and their labels."""
    found: list[NDArray[np.bool_]] = []
    while len(found) < 2 * count:
        free = random.random((size, size)) >= _WALLS
        both = _marks(free, random)
        for marks in both:
            marked = np.zeros_like(free)
            marked[*marks.T] = True
            found.append(np.stack([~free, free & ~marked, marked]))
    return 255 * np.array(found).astype(np.uint8), np.tile([1, 0], count)


def _marks(free: NDArray[np.bool_], random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Two cells (2, 2) that a path joins, and two as far apart that none does; or nothing."""
    regions, _ = ndimage.label(free)
    cells = np.argwhere(free)
    for _ in range(_TRIES):
        start, end = cells[random.choice(len(cells), 2, replace=False)]
        apart = np.abs(start - end)
        if apart.sum() < len(free) // 2 or regions[*start] != regions[*end]:
            continue
        others = [
            pair
            for pair in (cells[random.choice(len(cells), 2, replace=False)] for _ in range(200))
            if regions[*pair[0]] != regions[*pair[1]]
            and sorted(np.abs(pair[0] - pair[1])) == sorted(apart)
        ]
        if others:
            return [np.array([start, end]), others[0]]
    return []
