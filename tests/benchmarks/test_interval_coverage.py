"""Intervals hold what they are for, in a few simulated studies; a bootstrap over seeds does not."""

import interval_coverage
import pytest
from interval_coverage import BOOTSTRAP, Cell

REPETITIONS = 300


@pytest.mark.parametrize(
    "cell",
    [
        Cell(0.92, 0.01, images=100, seeds=1, pairs=1),
        Cell(0.92, 0.01, images=100, seeds=3, pairs=1),
        Cell(0.97, 0.005, images=359, seeds=5, pairs=1),
        Cell(0.8, 0.03, images=100, seeds=3, pairs=4),
    ],
)
def test_intervals_cover(cell: Cell) -> None:
    found = interval_coverage.simulate(cell, REPETITIONS)
    assert len(found) == {(1, 1): 2, (3, 1): 5, (5, 1): 5, (3, 4): 2}[cell.seeds, cell.pairs]
    assert interval_coverage.outside(found) == []
    for one in found:
        assert one["interval"] != BOOTSTRAP or one["coverage"] < 0.9


def test_the_band_of_fronts_covers() -> None:
    assert interval_coverage.outside([interval_coverage.fronts(5, REPETITIONS)]) == []


@pytest.mark.parametrize("seeds", [2, 5])
def test_intervals_cover_with_shared_seeds_and_of_the_best_of_many(seeds: int) -> None:
    found = interval_coverage.shared("as depth_scaling_full", 0.92, 10, seeds, 360, 150)
    assert len(found) == 3
    assert interval_coverage.outside(found) == []


def test_low_p_values_that_come_too_often_are_named() -> None:
    one = {"interval": "contrast over seeds", "seeds": 3, "coverage": 0.95, "repetitions": 1000, "sparse": False}  # fmt: skip
    wrong = [one | {"p below 0.01": 0.03}, one | {"p below 0.001": 0.01}]
    assert interval_coverage.outside([one | {"p below 0.01": 0.012}, *wrong]) == wrong


def test_what_does_not_cover_is_named() -> None:
    fine = {
        "interval": "accuracy",
        "seeds": 3,
        "coverage": 0.95,
        "repetitions": 1000,
        "sparse": False,
    }
    wrong = [fine | {"coverage": 0.85}, fine | {"coverage": 1.0}]
    assert interval_coverage.outside([fine, *wrong]) == wrong
    # Where next to no image is wrong, an interval may be too wide but not too narrow.
    sparse = [fine | {"sparse": True, "coverage": 1.0}, wrong[0] | {"sparse": True}]
    assert interval_coverage.outside(sparse) == sparse[1:]
