"""Intervals cover, fronts are not dominated, hypervolumes are areas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sret_search.reporting import intervals
from sret_search.reporting.variances import Variances
from sret_search.search import front

REPETITIONS = 2000


@pytest.mark.parametrize(("accuracy", "images"), [(0.5, 180), (0.9, 180), (0.97, 180), (0.97, 359)])
def test_the_interval_of_an_accuracy_covers(accuracy: float, images: int) -> None:
    rng = np.random.default_rng(0)
    found = rng.binomial(images, accuracy, REPETITIONS) / images
    bounds = np.array([intervals.proportion(value, images) for value in found])
    covered = np.mean((bounds[:, 0] <= accuracy) & (accuracy <= bounds[:, 1]))
    assert 0.93 <= covered <= 0.98


@pytest.mark.parametrize(("gained", "lost"), [(0.01, 0.01), (0.03, 0.01), (0.10, 0.05)])
def test_the_interval_of_a_paired_difference_covers(gained: float, lost: float) -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(REPETITIONS):
        draw = rng.random(359)
        first, second = draw < 0.8 + gained, (draw < 0.8) | (draw > 1 - lost)
        low, high = intervals.paired_proportions(first, second)
        covered += low <= gained - lost <= high
    assert 0.93 <= covered / REPETITIONS <= 0.99


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_interval_of_a_mean_over_seeds_covers(seeds: int) -> None:
    rng = np.random.default_rng(2)
    draws = rng.normal(0.95, 0.01, (REPETITIONS, seeds))
    bounds = np.array([intervals.mean(list(draw)) for draw in draws])
    covered = np.mean((bounds[:, 0] <= 0.95) & (bounds[:, 1] >= 0.95))
    assert 0.93 <= covered <= 0.97


POINTS = st.lists(
    st.tuples(st.integers(0, 10).map(lambda a: a / 10), st.integers(1, 12)), min_size=1, max_size=25
)


@given(POINTS)
def test_the_front_is_what_no_other_point_beats(points: list[tuple[float, int]]) -> None:
    accuracies, costs = zip(*points, strict=True)
    found = front.pareto(accuracies, costs)
    for (a, c), on_front in zip(points, found, strict=True):
        beaten = any((b >= a and d <= c) and (b > a or d < c) for b, d in points)
        assert on_front == (not beaten)


@given(POINTS)
def test_only_the_front_has_volume(points: list[tuple[float, int]]) -> None:
    accuracies, costs = np.array(points).T
    whole = front.hypervolume(accuracies, costs, 0.1, 10)
    kept = front.pareto(accuracies, costs)
    assert front.hypervolume(accuracies[kept], costs[kept], 0.1, 10) == pytest.approx(whole)
    assert whole >= 0


def test_hypervolume_is_the_area_under_the_stairs() -> None:
    # Two steps: 0.5 above the reference over two decades, 0.2 more over one.
    area = front.hypervolume([0.6, 0.8, 0.3], [1e3, 1e4, 1e4], 0.1, 1e5)
    assert area == pytest.approx(0.5 * 2 + 0.2 * 1)
    assert front.hypervolume([0.05, 0.9], [1e3, 1e5], 0.1, 1e5) == 0


def test_a_candidate_alone_has_its_own_spread() -> None:
    values = [0.91, 0.93, 0.925]
    alone = Variances.of(["a"] * 3, values, 500)
    assert alone.interval(values) == pytest.approx(intervals.accuracy(values, 500))
    assert alone.interval([0.9]) == intervals.proportion(0.9, 500)


@pytest.mark.parametrize(("seeds", "narrower"), [(2, 2), (5, 1)])
def test_candidates_tell_together_how_far_seeds_spread(seeds: int, narrower: float) -> None:
    """Their variances differ fourfold, and with accuracy as log odds have it."""
    rng = np.random.default_rng(0)
    levels, factors = np.linspace(0.6, 0.97, 12), np.resize([0.7, 1, 1.4], 12)
    held, width, own = [], 0.0, 0.0
    for _ in range(60):
        spread = 0.2 * levels * (1 - levels) * factors
        drawn = levels + rng.normal(0, spread, (seeds, 12))
        found = Variances.of(list("abcdefghijkl") * seeds, drawn.ravel(), 2000)
        for level, values in zip(levels, drawn.T.tolist(), strict=True):
            low, high = found.interval(values)
            held.append(low <= level <= high)
            width += high - low
            own += np.subtract(*intervals.accuracy(values, 2000)[::-1])
    assert 0.93 <= np.mean(held) <= 0.99
    assert own > narrower * width
