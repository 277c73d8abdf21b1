"""Fronts, hypervolumes and attainment surfaces are those of an independent library."""

import math

import numpy as np
import pytest

from sret_search import pareto
from sret_search.reporting.statistics import attainment

moocore = pytest.importorskip("moocore", reason="moocore is one of the test dependencies")

SETS = 200


def made(seed: int, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Accuracies and costs on a coarse grid, so that many tie, and some twice."""
    rng = np.random.default_rng(seed)
    steps = int(rng.choice([3, 8, 1000]))
    accuracies = rng.integers(0, steps, points) / steps
    costs = 10.0 ** (rng.integers(0, steps, points) / steps * 3)
    repeated = rng.integers(0, points, points // 4)
    return np.append(accuracies, accuracies[repeated]), np.append(costs, costs[repeated])


@pytest.mark.parametrize("first", range(0, SETS, 50))
def test_the_front_and_its_hypervolume(first: int) -> None:
    for seed in range(first, first + 50):
        accuracies, costs = made(seed, 1 + seed % 40)
        points = np.column_stack([-accuracies, np.log10(costs)])
        expected = moocore.is_nondominated(points, keep_weakly=True)
        assert (pareto.pareto(accuracies, costs) == expected).all()
        assert (pareto.nondominated(-points) == expected).all()
        area = pareto.hypervolume(accuracies, costs, 0.2, 500.0)
        reference = moocore.hypervolume(points, ref=[-0.2, math.log10(500)])
        assert area == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize("first", range(0, SETS, 50))
def test_what_so_many_seeds_attain(first: int) -> None:
    for seed in range(first, first + 50):
        number = 1 + seed % 9
        fronts = [made(1000 * seed + i, 1 + (seed + i) % 12) for i in range(number)]
        points = np.concatenate([np.column_stack([-a, c]) for a, c in fronts])
        seed_of_point = np.concatenate([np.full(len(a), i + 1) for i, (a, _) in enumerate(fronts)])
        for level in range(1, number + 1):
            costs, accuracies = attainment.surface(fronts, level)
            # The library rounds a level up from a percentage.
            attained = moocore.eaf(
                points, seed_of_point, percentiles=[100 * (level - 0.5) / number]
            )
            expected = attained[np.argsort(attained[:, 1])]
            assert np.array_equal(costs, expected[:, 1])
            assert np.array_equal(accuracies, -expected[:, 0])


def test_a_surface_of_three_seeds_by_hand() -> None:
    fronts = [([0.5, 0.9], [1, 3]), ([0.6, 0.7], [2, 3]), ([0.4, 0.4, 0.8], [1, 1, 4])]
    expected = {
        1: ([1, 2, 3], [0.5, 0.6, 0.9]),
        2: ([1, 2, 3, 4], [0.4, 0.5, 0.7, 0.8]),
        3: ([2, 4], [0.4, 0.7]),
    }
    for level, stairs in expected.items():
        costs, accuracies = attainment.surface(fronts, level)
        assert (costs.tolist(), accuracies.tolist()) == stairs


@pytest.mark.parametrize(
    ("seeds", "levels"),
    [(5, (5, 1, 0.9375)), (8, (7, 2, 1 - 2 * 9 / 256)), (10, (9, 2, 1 - 2 * 11 / 1024))],
)
def test_the_band_holds_the_median(seeds: int, levels: tuple[int, int, float]) -> None:
    assert attainment.band(seeds) == pytest.approx(levels)
