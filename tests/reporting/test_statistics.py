"""Intervals cover, fronts are not dominated, hypervolumes are areas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sret_search import pareto
from sret_search.reporting.statistics import intervals
from sret_search.reporting.statistics.pooled_variance import Variances

REPETITIONS = 2000


@pytest.mark.parametrize(("accuracy", "images"), [(0.5, 180), (0.9, 180), (0.97, 180), (0.97, 359)])
def test_the_interval_of_an_accuracy_covers(accuracy: float, images: int) -> None:
    rng = np.random.default_rng(0)
    measured = rng.binomial(images, accuracy, REPETITIONS) / images
    bounds = np.array([intervals.proportion(value, images) for value in measured])
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
    mask = pareto.pareto(accuracies, costs)
    for (a, c), on_front in zip(points, mask, strict=True):
        beaten = any((b >= a and d <= c) and (b > a or d < c) for b, d in points)
        assert on_front == (not beaten)


@given(POINTS)
def test_only_the_front_has_volume(points: list[tuple[float, int]]) -> None:
    accuracies, costs = np.array(points).T
    whole = pareto.hypervolume(accuracies, costs, 0.1, 10)
    mask = pareto.pareto(accuracies, costs)
    assert pareto.hypervolume(accuracies[mask], costs[mask], 0.1, 10) == pytest.approx(whole)
    assert whole >= 0


def test_hypervolume_is_the_area_under_the_stairs() -> None:
    # Two steps: 0.5 above the reference over two decades, 0.2 more over one.
    area = pareto.hypervolume([0.6, 0.8, 0.3], [1e3, 1e4, 1e4], 0.1, 1e5)
    assert area == pytest.approx(0.5 * 2 + 0.2 * 1)
    assert pareto.hypervolume([0.05, 0.9], [1e3, 1e5], 0.1, 1e5) == 0


def test_a_candidate_alone_has_its_own_spread() -> None:
    values = [0.91, 0.93, 0.925]
    alone = Variances.from_accuracies(["a"] * 3, range(3), values, 500)
    assert alone.interval(values, "a") == pytest.approx(intervals.accuracy(values, 500))
    assert alone.interval([0.9]) == intervals.proportion(0.9, 500)
    # What nothing is known of beside its own seeds is as good as alone.
    none = Variances.from_accuracies(["a", "b"], [0, 0], [0.9, 0.8], 500)
    assert none.interval(values) == pytest.approx(intervals.accuracy(values, 500))


@pytest.mark.parametrize(("seeds", "narrower"), [(2, 1.5), (5, 1)])
def test_candidates_tell_together_how_far_seeds_spread(seeds: int, narrower: float) -> None:
    """Their variances differ fourfold, and with accuracy as log odds have it."""
    rng = np.random.default_rng(0)
    levels, factors = np.linspace(0.6, 0.97, 12), np.resize([0.7, 1, 1.4], 12)
    held, width, width_alone = [], 0.0, 0.0
    for _ in range(60):
        spread = 0.2 * levels * (1 - levels) * factors
        drawn = levels + rng.normal(0, spread, (seeds, 12))
        names = list("abcdefghijkl")
        variances = Variances.from_accuracies(
            names * seeds, np.repeat(range(seeds), 12), drawn.ravel(), 2000
        )
        for name, level, values in zip(names, levels, drawn.T.tolist(), strict=True):
            low, high = variances.interval(values, name)
            held.append(low <= level <= high)
            width += high - low
            width_alone += np.subtract(*intervals.accuracy(values, 2000)[::-1])
    assert 0.93 <= np.mean(held) <= 0.995
    assert width_alone > narrower * width


def shared(
    candidates: int, seeds: int, of_seed: float, of_training: float, count: int = 300
) -> tuple[list[Variances], np.ndarray]:
    """Studies of equal candidates, all trained with the same seeds (studies, candidates, seeds): their
    spreads, and their accuracies."""
    rng = np.random.default_rng((candidates, seeds))
    reached = 0.9 + rng.normal(0, of_seed, (count, 1, seeds))
    reached = reached + rng.normal(0, of_training, (count, candidates, seeds))
    names = [str(i) for i in range(candidates) for _ in range(seeds)]
    seed_numbers = list(range(seeds)) * candidates
    return [
        Variances.from_accuracies(names, seed_numbers, study.ravel(), 10_000) for study in reached
    ], reached


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_seeds_that_all_candidates_share_are_no_evidence_of_each_other(seeds: int) -> None:
    names = [str(i) for i in range(12)]
    held = []
    for variances, reached in zip(*shared(12, seeds, 0.0066, 0.002), strict=True):
        low, high = variances.intervals(reached.mean(1), np.full(12, seeds), names)
        held.append(np.mean((low <= 0.9) & (high >= 0.9)))
    assert 0.93 <= np.mean(held) <= 0.985


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_interval_of_the_best_of_many_holds_its_truth(seeds: int) -> None:
    held, alone = [], []
    for variances, reached in zip(*shared(25, seeds, 0.003, 0.012), strict=True):
        best = int(np.argmax(reached.mean(1)))
        for chosen_from, covers in ((25, held), (1, alone)):
            low, high = variances.interval(list(reached[best]), str(best), chosen_from)
            covers.append(low <= 0.9 <= high)
    assert np.mean(held) >= 0.93
    assert np.mean(held) > np.mean(alone)
    assert seeds < 5 or np.mean(alone) < 0.85


def test_the_interval_of_the_best_of_many_single_trainings_holds_its_truth() -> None:
    best = np.random.default_rng(0).binomial(360, 0.9, (REPETITIONS, 25)).max(1) / 360
    lows = np.array(
        [[intervals.proportion(a, 360, chosen_from)[0] for chosen_from in (25, 1)] for a in best]
    )
    held, alone = np.mean(lows <= 0.9, axis=0)
    assert held >= 0.93
    assert alone < 0.85


def test_candidates_may_lack_seeds() -> None:
    rng = np.random.default_rng(0)
    reached = 0.9 + rng.normal(0, 0.01, 5) + rng.normal(0, 0.002, (20, 5))
    table = [(str(c), s, reached[c, s]) for c in range(20) for s in range(5 if c < 15 else 2)]
    names, seeds, values = zip(*table, strict=True)
    crossed = Variances.from_accuracies(names, seeds, values, 10_000)
    assert crossed.shared_dof == 4
    assert crossed.rest_share == pytest.approx(1 / 17, rel=0.1)  # candidates of a seed
    assert crossed.dof.sum() == pytest.approx(len(table) - 20 - 4)
    assert 0.002 / 2 < np.sqrt(np.mean(crossed.variance)) * 0.09 < 0.002 * 2
    # Each with seeds of its own: no two candidates share anything.
    nested = Variances.from_accuracies(names, range(len(table)), values, 10_000)
    assert nested.shared_dof == len(table) - 20
    assert nested.rest_share == pytest.approx(1)
    assert nested.dof.sum() == pytest.approx(0, abs=1e-9)


def test_seeds_with_images_of_their_own_spread_no_less_than_images() -> None:
    values = [1.0] * 5
    names, seeds = list("abc") * 5, np.repeat(range(5), 3)
    five_seeds = Variances.from_accuracies(names, seeds, np.ones(15), 36, folds=5)
    assert five_seeds.interval(values, "a")[0] <= intervals.proportion(1.0, 180)[0]
    # The sixth seed has the images of the first.
    six_seeds = Variances.from_accuracies(
        list("abc") * 6, np.repeat(range(6), 3), np.ones(18), 36, folds=5
    )
    assert six_seeds.interval([1.0] * 6, "a")[0] <= intervals.proportion(1.0, 180)[0]
