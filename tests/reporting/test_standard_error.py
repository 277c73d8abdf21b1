"""Standard errors, p-values and the seeds that a difference needs."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sret_search.reporting.statistics import intervals, standard_error
from sret_search.reporting.statistics.standard_error import OverBoth, OverSeeds

GAINS = [0.01, 0.02, 0.03]


def test_over_seeds_it_is_the_t_test_of_pairs() -> None:
    spread = OverSeeds.from_differences(GAINS, 10_000)
    test = stats.ttest_1samp(GAINS, 0)
    assert standard_error.p_value(0.02, spread) == pytest.approx(test.pvalue)
    assert standard_error.interval(0.02, spread) == pytest.approx(test.confidence_interval(0.95))
    assert standard_error.interval(0.02, spread) == pytest.approx(
        intervals.difference(GAINS, 10_000)
    )


def test_seeds_that_agree_leave_some_doubt() -> None:
    spread = OverSeeds.from_differences([0.01, 0.01, 0.01], 100)
    assert spread.deviation == pytest.approx(math.sqrt(2) * 0.25 / 100)
    assert 0 < standard_error.p_value(0.01, spread) < 0.05
    assert OverSeeds.from_differences([0.01] * 3, 100, pairs=4).deviation == pytest.approx(
        spread.deviation / 2
    )


def table(seeds: int, images: int, of_seed: float, of_image: float, of_rest: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (
        rng.normal(0, of_seed, (seeds, 1))
        + rng.normal(0, of_image, images)
        + rng.normal(0, of_rest, (seeds, images))
    )


def test_components_are_found_again() -> None:
    spread = OverBoth.from_differences(table(200, 2000, 0.02, 0.3, 0.5))
    true = math.sqrt(0.02**2 / 5 + 0.3**2 / 2000 + 0.5**2 / (5 * 2000))
    assert spread.error(5) == pytest.approx(true, rel=0.05)


def test_mean_squares_are_those_of_an_analysis_of_variance() -> None:
    differences = np.array([[1.0, 0, 0, -1], [1, 1, 0, 0], [0, 1, 0, 0]])
    spread = OverBoth.from_differences(differences)
    padded = np.hstack([differences, np.full((3, 1), 0.15), np.full((3, 1), -0.15)])
    total = ((padded - padded.mean()) ** 2).sum()
    of_seeds = 6 * padded.mean(1).var(ddof=1)
    assert of_seeds * 2 + spread.of_images * 5 + spread.of_rest * 10 == pytest.approx(total)
    # That of seeds is over the images alone which were tested.
    assert spread.of_seeds == pytest.approx(6 * differences.mean(1).var(ddof=1))
    sums = spread.of_seeds + spread.of_images - spread.of_rest
    assert spread.error(3) == pytest.approx(math.sqrt(max(sums, spread.of_seeds) / 18))


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.995])
def test_the_claim_for_other_images_too_is_never_the_surer_one(seeds: int, accuracy: float) -> None:
    rng = np.random.default_rng(seeds)
    for _ in range(100):
        right = rng.random((2, seeds, 200)) < accuracy + rng.normal(0, 0.02, (2, seeds, 1))
        differences = right[0].astype(float) - right[1]
        gains, mean = [float(gain) for gain in differences.mean(1)], float(differences.mean())
        over_seeds, over_both = (
            OverSeeds.from_differences(gains, 200),
            OverBoth.from_differences(differences),
        )
        assert standard_error.p_value(mean, over_both) >= standard_error.p_value(
            mean, over_seeds
        ) * (1 - 1e-9)
        narrow, wide = (standard_error.interval(mean, spread) for spread in (over_seeds, over_both))
        assert wide[0] <= narrow[0] + 1e-12
        assert narrow[1] <= wide[1] + 1e-12


def test_images_bound_what_seeds_can_show() -> None:
    spread = OverBoth.from_differences(table(5, 100, 0.01, 0.3, 0.1))
    # More seeds help, but not beyond the images: 0.3 / √100 = 0.03.
    assert spread.error(5) > spread.error(50) > spread.error(5000) > 0.02
    assert standard_error.seeds_needed(0.005, spread) is None
    assert standard_error.seeds_needed(0.2, spread) is not None


@pytest.mark.parametrize(("difference", "deviation"), [(0.005, 0.005), (0.005, 0.01), (0.02, 0.01)])
def test_the_seeds_needed_have_the_power_and_one_fewer_has_not(
    difference: float, deviation: float
) -> None:
    spread = OverSeeds(3, deviation)
    seeds = standard_error.seeds_needed(difference, spread)
    assert seeds is not None
    assert standard_error.power(difference, spread, seeds) >= 0.8
    assert seeds == 2 or standard_error.power(difference, spread, seeds - 1) < 0.8


def test_power_is_how_often_a_t_test_shows_a_difference() -> None:
    rng = np.random.default_rng(0)
    spread = OverSeeds(5, 0.01)
    draws = rng.normal(0.012, 0.01, (20_000, 5))
    p = stats.ttest_1samp(draws, 0, axis=1).pvalue
    assert standard_error.power(0.012, spread, 5) == pytest.approx(np.mean(p < 0.05), abs=0.01)
    # 15.7 σ²/δ² for two groups is 7.85 for pairs, and two more for the t of few seeds.
    assert standard_error.seeds_needed(0.005, spread) == 34
    assert standard_error.power(standard_error.detectable(spread), spread, 5) == pytest.approx(
        0.8, abs=1e-6
    )


def test_power_is_that_of_the_level_that_decides() -> None:
    rng = np.random.default_rng(0)
    spread, level = OverSeeds(5, 0.01), 0.05 / 6
    difference = standard_error.detectable(spread, level)
    assert difference > standard_error.detectable(spread)
    p = stats.ttest_1samp(rng.normal(difference, 0.01, (20_000, 5)), 0, axis=1).pvalue
    assert np.mean(p < level) == pytest.approx(0.8, abs=0.01)
    needed = standard_error.seeds_needed(0.005, spread, level)
    assert needed is not None
    assert standard_error.power(0.005, spread, needed, level) >= 0.8
    assert standard_error.power(0.005, spread, needed - 1, level) < 0.8


def test_the_documented_power_is_that_of_the_first_step_of_holm() -> None:
    text = (
        (Path(__file__).parents[2] / "docs/comparisons.md")
        .read_text(encoding="utf-8")
        .split("| seeds | 1 test |")[1]
    )
    rows = [list(map(float, row.split("|")[1:-1])) for row in text.split("\n\n")[0].split("\n")[2:]]
    assert [row[0] for row in rows] == [2, 3, 5, 10]
    for seeds, *documented in rows:
        computed = [
            standard_error.detectable(OverSeeds(int(seeds), 1.0), 0.05 / n) for n in (1, 3, 6, 14)
        ]
        assert documented == pytest.approx(computed, rel=0.05)


def test_a_difference_below_a_bound_is_a_one_sided_t_test() -> None:
    spread = OverSeeds.from_differences(GAINS, 10_000)
    test = stats.ttest_1samp(GAINS, 0.04, alternative="less")
    assert standard_error.p_below(0.02, spread, 0.04) == pytest.approx(test.pvalue)


def test_holm_multiplies_by_what_is_left() -> None:
    assert standard_error.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert standard_error.holm([0.5, 0.9]) == [1, 1]
    assert standard_error.holm([]) == []
