"""Grids with two marked cells: does a path of free cells join them?

The kind of task on which recurrent depth was studied: Linsley et al., 2018 (Pathfinder,
1805.08315); Schwarzschild et al., 2021 ("deep thinking", 2106.04537).

Shapes: I images of S pixels a side, one a cell; G cells a side of a grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sret_search.job import Data
from sret_search.tasks.fours import draw
from sret_search.tasks.paths import Ints

WALL, FREE, MARK = range(3)
TOGETHER = 4
"""Grids that are made together, and that no cut parts."""

_CELLS = 2**18  # that are drawn at a time


@dataclass(frozen=True, eq=False)
class Grids:
    """Grids and what is true of them. Four follow each other: 4k and 4k + 2 are joined; 4k + 1 and
    4k + 3 are their partners, which have the same marks and are not. The walls of 4k are those of
    4k + 3, and the walls of 4k + 2 those of 4k + 1.

    Attributes:
        cells: (I, S, S), `WALL`, `FREE` or, two of them, `MARK`.
        labels: (I,), 1 where a path joins the marks.
        lengths: (I,), steps of the shortest path; of the partner's, where there is none.
    """

    cells: NDArray[np.uint8]
    labels: Ints
    lengths: Ints

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> NDArray[np.uint8]:
        """(I, 3, S, S): walls are red, free cells green, the marked ones blue."""
        channels = [self.cells == kind for kind in (WALL, FREE, MARK)]
        return 255 * np.stack(channels, axis=1).astype(np.uint8)


def split(data: Data) -> tuple[Grids, Grids, Grids]:
    """Training, validation and test of the data set connectivity, with no grid in common."""
    test, val, train = _parts(data, slice(None))
    return train, val, test


def test_part(data: Data) -> Grids:
    """The test alone, as `split` has it."""
    (test,) = _parts(data, slice(1))
    return test


def _parts(data: Data, wanted: slice) -> list[Grids]:
    """The test, validation and training, made in this order, or the first of them."""
    known, sizes = data.facts, data.sizes
    assert known is not None
    assert sizes is not None
    seen: set[bytes] = set()
    random = np.random.default_rng(data.split_seed)
    return [
        _placed(_made(images // TOGETHER, grid, random, seen), known.image_size, random)
        for images, grid in list(zip(sizes, data.grids, strict=True))[::-1][wanted]
    ]


def lengths(grid: int) -> range:
    """The path lengths, in steps, that grids are spread over evenly."""
    return range(5, min(3 * grid // 2, grid + 4) + 1)


def _made(fours: int, grid: int, random: np.random.Generator, seen: set[bytes]) -> Grids:
    """Fours whose path lengths follow each other in turn, and that are not yet in `seen`."""
    every = np.array(lengths(grid))
    in_turn = every[np.arange(fours) % len(every)]
    waiting = {length: list(np.flatnonzero(in_turn == length)[::-1]) for length in every}
    cells = np.zeros((fours, TOGETHER, grid, grid), np.uint8)
    wanted = np.bincount(in_turn)
    while wanted.any():
        drawn = draw(grid, wanted, max(_CELLS // grid**2, 1), random)
        for free, marks, length in zip(*drawn, strict=True):
            four = np.where(free, FREE, WALL).astype(np.uint8)[[0, 1, 1, 0]]
            for one, joined in zip(four, (0, 0, 1, 1), strict=True):
                one[*marks[joined].T] = MARK
            keys = {one.tobytes() for one in four}
            if wanted[length] and seen.isdisjoint(keys):
                seen |= keys
                wanted[length] -= 1
                cells[waiting[length].pop()] = four
    labels = np.tile([1, 0, 1, 0], fours)
    return Grids(cells.reshape(-1, grid, grid), labels, in_turn.repeat(TOGETHER))


def _placed(made: Grids, image_size: int, random: np.random.Generator) -> Grids:
    """Each four somewhere in an image of walls."""
    side, fours = made.cells.shape[-1], len(made) // TOGETHER
    cells = np.full((len(made), image_size, image_size), WALL, np.uint8)
    places = random.integers(0, image_size - side + 1, (fours, 2)).repeat(TOGETHER, axis=0)
    for image, grid, (row, column) in zip(cells, made.cells, places, strict=True):
        image[row : row + side, column : column + side] = grid
    return Grids(cells, made.labels, made.lengths)
