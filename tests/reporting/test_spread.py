"""Standard errors, p-values and the seeds that a difference needs."""

import math

import numpy as np
import pytest
from scipy import stats

from sret_search.reporting import intervals, spread
from sret_search.reporting.spread import OverBoth, OverSeeds

GAINS = [0.01, 0.02, 0.03]


def test_over_seeds_it_is_the_t_test_of_pairs() -> None:
    found = OverSeeds.of(GAINS, 10_000)
    test = stats.ttest_1samp(GAINS, 0)
    assert spread.p_value(0.02, found) == pytest.approx(test.pvalue)
    assert spread.interval(0.02, found) == pytest.approx(test.confidence_interval(0.95))
    assert spread.interval(0.02, found) == pytest.approx(intervals.difference(GAINS, 10_000))


def test_seeds_that_agree_leave_some_doubt() -> None:
    found = OverSeeds.of([0.01, 0.01, 0.01], 100)
    assert found.deviation == pytest.approx(math.sqrt(2) * 0.25 / 100)
    assert 0 < spread.p_value(0.01, found) < 0.05
    assert OverSeeds.of([0.01] * 3, 100, pairs=4).deviation == pytest.approx(found.deviation / 2)


def table(seeds: int, images: int, of_seed: float, of_image: float, of_rest: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (
        rng.normal(0, of_seed, (seeds, 1))
        + rng.normal(0, of_image, images)
        + rng.normal(0, of_rest, (seeds, images))
    )


def test_components_are_found_again() -> None:
    found = OverBoth.of(table(200, 2000, 0.02, 0.3, 0.5))
    true = math.sqrt(0.02**2 / 5 + 0.3**2 / 2000 + 0.5**2 / (5 * 2000))
    assert found.error(5) == pytest.approx(true, rel=0.05)


def test_mean_squares_are_those_of_an_analysis_of_variance() -> None:
    own = np.array([[1.0, 0, 0, -1], [1, 1, 0, 0], [0, 1, 0, 0]])
    found = OverBoth.of(own)
    padded = np.hstack([own, np.full((3, 1), 0.15), np.full((3, 1), -0.15)])
    total = ((padded - padded.mean()) ** 2).sum()
    parts = found.of_seeds * 2 + found.of_images * 5 + found.of_rest * 10
    assert parts == pytest.approx(total)
    # Satterthwaite, as one would do it by hand.
    sums = found.of_seeds + found.of_images - found.of_rest
    below = found.of_seeds**2 / 2 + found.of_images**2 / 5 + found.of_rest**2 / 10
    assert found.freedom(3) == pytest.approx(max(sums**2 / below, 2))
    assert found.error(3) == pytest.approx(math.sqrt(max(sums, found.of_seeds) / 18))


def test_images_bound_what_seeds_can_show() -> None:
    found = OverBoth.of(table(5, 100, 0.01, 0.3, 0.1))
    # More seeds help, but not beyond the images: 0.3 / √100 = 0.03.
    assert found.error(5) > found.error(50) > found.error(5000) > 0.02
    assert spread.seeds_needed(0.005, found) is None
    assert spread.seeds_needed(0.2, found) is not None


@pytest.mark.parametrize(("difference", "deviation"), [(0.005, 0.005), (0.005, 0.01), (0.02, 0.01)])
def test_the_seeds_needed_have_the_power_and_one_fewer_has_not(
    difference: float, deviation: float
) -> None:
    found = OverSeeds(3, deviation)
    seeds = spread.seeds_needed(difference, found)
    assert seeds is not None
    assert spread.power(difference, found, seeds) >= 0.8
    assert seeds == 2 or spread.power(difference, found, seeds - 1) < 0.8


def test_power_is_how_often_a_t_test_shows_a_difference() -> None:
    rng = np.random.default_rng(0)
    found = OverSeeds(5, 0.01)
    draws = rng.normal(0.012, 0.01, (20_000, 5))
    p = stats.ttest_1samp(draws, 0, axis=1).pvalue
    assert spread.power(0.012, found, 5) == pytest.approx(np.mean(p < 0.05), abs=0.01)
    # 15.7 σ²/δ² for two groups is 7.85 for pairs, and two more for the t of few seeds.
    assert spread.seeds_needed(0.005, found) == 34
    assert spread.power(spread.detectable(found), found, 5) == pytest.approx(0.8, abs=1e-6)


def test_holm_multiplies_by_what_is_left() -> None:
    assert spread.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert spread.holm([0.5, 0.9]) == [1, 1]
    assert spread.holm([]) == []
