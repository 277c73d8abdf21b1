"""Grids of connectivity: right labels, even lengths, and little that gives the label away."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sret_search.job import Data
from sret_search.tasks import connectivity, paths
from sret_search.tasks.connectivity import FREE, MARK, WALL

SIZED = {
    "grids_of_8": Data("connectivity", images=800),
    "grids_of_5_in_8": Data("connectivity", images=400, grid=5, split_seed=1),
    "tests_are_larger": Data("connectivity", images=400, image_size=12, grid=8, test_grid=12),
    "grids_of_32": Data("connectivity", images=80, image_size=32, val=0.3),
}
FOUR = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


@pytest.fixture(scope="module", params=SIZED.values(), ids=SIZED.keys())
def made(request):
    return request.param, connectivity.split(request.param)


def _marks(part):
    """(I, 2, 2): row and column of both."""
    places = np.argwhere(part.cells == MARK).reshape(len(part), 2, 3)
    assert np.array_equal(places[..., 0], np.arange(len(part))[:, None].repeat(2, 1))
    return places[..., 1:]


def _joined(cells, marks):
    """Whether a flood from one mark reaches the other."""
    regions, _ = ndimage.label(cells != WALL, FOUR)
    first, second = (regions[tuple(mark)] for mark in marks)
    return first == second


def test_a_flood_fill_agrees_with_every_label(made):
    for part in made[1]:
        marks = _marks(part)
        flooded = [_joined(*one) for one in zip(part.cells, marks, strict=True)]
        assert flooded == list(part.labels == 1)


def test_the_lengths_are_those_of_the_shortest_paths(made):
    for part in made[1]:
        steps = paths.distances(part.cells != WALL, _marks(part)[:, 0])
        goals = steps[np.arange(len(part)), *_marks(part)[:, 1].T]
        assert list(goals[::2]) == list(part.lengths[::2])
        assert set(goals[1::2]) == {-1}
        assert list(part.lengths[1::2]) == list(part.lengths[::2])


def test_a_shortest_path_goes_from_mark_to_mark_through_free_cells(made):
    part = made[1][2]
    for number in range(0, len(part), 2):
        cells, marks = part.cells[number], _marks(part)[number]
        path = paths.shortest(cells != WALL, *marks)
        assert len(path) == part.lengths[number] + 1
        assert np.array_equal(path[[0, -1]], marks)
        assert set(np.abs(np.diff(path, axis=0)).sum(1)) == {1}
        assert WALL not in cells[*path.T]


def test_parts_are_balanced_and_spread_evenly_over_lengths(made):
    data, parts = made
    assert tuple(len(part) for part in parts) == data.sizes
    for part, grid in zip(parts, data.grids, strict=True):
        assert list(part.labels) == [1, 0] * (len(part) // 2)
        counts = [np.sum(part.lengths == length) // 4 for length in connectivity.lengths(grid)]
        assert sum(counts) == len(part) // 4
        assert max(counts) - min(counts) <= 1


def test_no_grid_comes_twice(made):
    cells = [one.tobytes() for part in made[1] for one in part.cells]
    assert len(set(cells)) == len(cells)


def test_neither_the_walls_alone_nor_the_marks_alone_tell_the_label(made):
    for part in made[1]:
        walls, marks = part.cells == WALL, _marks(part)
        for once, again in ((0, 3), (1, 2)):
            assert np.array_equal(walls[once::4], walls[again::4])
        for once, again in ((0, 1), (2, 3)):
            assert np.array_equal(marks[once::4], marks[again::4])
        assert not np.array_equal(marks[::4], marks[2::4])
        # Two grids of a four differ in one wall, which is elsewhere.
        assert set((walls[::4] != walls[1::4]).sum((1, 2))) == {2}


def test_grids_lie_anywhere_in_walls_and_grow_with_the_test():
    train, val, test = connectivity.split(SIZED["tests_are_larger"])
    for part in (train, val):
        extent = [np.ptp(np.argwhere(one != WALL), axis=0).max() + 1 for one in part.cells]
        assert max(extent) <= 8
    corners = np.array([np.argwhere(one != WALL).min(0) for one in train.cells])
    assert corners.min() == 0
    assert corners.max() >= 4
    assert max(test.lengths) == 16
    assert max(train.lengths) == 12


def test_one_seed_gives_the_same_bytes_and_another_does_not():
    data = SIZED["tests_are_larger"]
    first, again = connectivity.split(data), connectivity.split(data)
    other = connectivity.split(replace(data, split_seed=1))
    for one, same, different in zip(first, again, other, strict=True):
        assert one.images.tobytes() == same.images.tobytes()
        assert one.images.tobytes() != different.images.tobytes()
    test = connectivity.test_part(data)
    assert test.images.tobytes() == first[2].images.tobytes()


def test_images_show_each_kind_of_cell_in_a_colour():
    part = connectivity.test_part(SIZED["grids_of_8"])
    assert part.images.shape == (len(part), 3, 8, 8)
    assert part.images.dtype == np.uint8
    assert set(np.unique(part.images)) == {0, 255}
    for channel, kind in enumerate((WALL, FREE, MARK)):
        assert np.array_equal(part.images[:, channel] == 255, part.cells == kind)


# Shortcuts: what can be counted without following a path.


def _counted(part):
    """Distances, and free cells: in all, near the marks, between them, and beside each other."""
    marks, free, side = _marks(part), part.cells != WALL, part.cells.shape[-1]
    row, column = np.mgrid[:side, :side]
    rows, columns = np.abs(row - marks[..., :1, None]), np.abs(column - marks[..., 1:, None])
    walk, apart = rows + columns, np.maximum(rows, columns)
    found = [np.ptp(marks, axis=1).sum(1), np.ptp(marks, axis=1).max(1), free.sum((1, 2))]
    for reach in (1, 2, 3):
        for far in (walk, apart):
            near = ((far <= reach) & free[:, None]).sum((2, 3))
            found += [near.min(1), near.max(1)]
    for more in (0, 1, 2):
        low, high = marks.min(1) - more, marks.max(1) + more
        box = (row >= low[:, :1, None]) & (row <= high[:, :1, None])
        box &= (column >= low[:, 1:, None]) & (column <= high[:, 1:, None])
        found += [box.sum((1, 2)), (box & ~free).sum((1, 2))]
    padded = np.pad(free, ((0, 0), (1, 1), (1, 1))).astype(int)
    sides = padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1] + padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2]
    for count in range(5):
        for kind in (free, ~free):
            found.append((kind & (sides == count)).sum((1, 2)))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("image_size", [8, 12])
def test_shortcuts_stay_near_chance_on_fresh_grids(image_size):
    data = Data("connectivity", image_size=image_size, images=6000, val=0.01, test=0.5)
    train, _, test = connectivity.split(data)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    for model in (linear, HistGradientBoostingClassifier(max_iter=40, random_state=0)):
        model.fit(_counted(train), train.labels)
        assert model.score(_counted(test), test.labels) <= 0.58


def test_a_count_that_follows_paths_is_no_shortcut_but_the_answer():
    """The same models do learn where a feature tells: what they are held against is fair."""
    data = Data("connectivity", images=2000)
    train, _, test = connectivity.split(data)

    def reached(part):
        steps = paths.distances(part.cells != WALL, _marks(part)[:, 0])
        return (steps >= 0).sum((1, 2))[:, None], steps[np.arange(len(part)), *_marks(part)[:, 1].T]

    model = HistGradientBoostingClassifier(random_state=0)
    model.fit(np.column_stack(reached(train)), train.labels)
    assert model.score(np.column_stack(reached(test)), test.labels) == 1
