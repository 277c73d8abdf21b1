"""Candidates that are spread over what they cost."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_samplers import Driver, study

from sret_search.search.samplers.stratified import STRATA, stratum
from sret_search.space.screening import Screened
from sret_search.study import Study

FINITE = """\
architecture: sret_digits
axes:
  stages.*.width: {choices: [8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96]}
  stages.*.unique: {low: 1, high: 12}
  stages.*.loops: {choices: [1, 2, 4, 8]}
  stages.*.mlp_ratio: {choices: [1.0, 2.0, 3.0]}
budget: {params: {min: 2_000, max: 600_000}}
"""
ENDLESS = FINITE.replace("{choices: [1.0, 2.0, 3.0]}", "{low: 1.0, high: 3.0}")
RARE = """\
architecture: sret_digits
axes:
  stages.*.width: {choices: [8, 96]}
  stages.*.unique: {choices: [4]}
  stages.*.loops: {choices: [1, 2, 4, 8]}
  stages.*.mlp_ratio: {choices: [1.0, 1.5, 2.0]}
"""


def _ends(sample: Screened, cost: str) -> list[int]:
    """Places of the cheapest and the dearest feasible candidates."""
    places = sample.distinct
    order = places[np.argsort(sample.cost(cost, places))]
    return [int(order[0]), int(order[-1])]


def shares(made: Study, cost: str, trials: int) -> np.ndarray:
    """Logarithms of a cost of the first trials, 0 the least and 1 the most of the space."""
    found = [entry.cost[cost] for entry in Driver(made).run(limit=trials).entries]
    sample = made.points.sample(16_384)
    every = [sample.candidate(i).known(cost, made.terms) for i in _ends(sample, cost)]
    low, high = np.log(min(every)), np.log(max(every))
    return np.asarray((np.log(found) - low) / (high - low))


@pytest.mark.parametrize("space", [FINITE, ENDLESS])
@pytest.mark.parametrize("seed", [0, 1])
def test_any_prefix_covers_the_whole_range_of_the_cost(
    seed: int, space: str, tmp_path: Path
) -> None:
    made = study(tmp_path, f"{{sampler: stratified, trials: 64, seed: {seed}}}", space)
    found = shares(made, "params", 64)
    for parts in (2, 4, 8, 16):
        for start in range(0, 64, parts):
            # One trial in each part: the space has candidates in every slice.
            part = np.minimum(found[start : start + parts] * parts, parts - 1).astype(int)
            assert sorted(part) == list(range(parts))


def test_chance_does_not_cover_it_so(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 64}", FINITE)
    counts = np.histogram(shares(made, "params", 64), 8, (0, 1))[0]
    assert counts.min() <= 4 < 12 <= counts.max()


@given(st.integers(0, 2**31), st.integers(0, 5), st.integers(0, 1000))
def test_aligned_places_are_for_different_parts_of_the_range(
    seed: int, digits: int, block: int
) -> None:
    parts = 2**digits
    places = range(block * parts, (block + 1) * parts)
    wanted = [stratum(seed, place) * parts // STRATA for place in places]
    assert sorted(wanted) == list(range(parts))


def test_another_seed_takes_another_way(tmp_path: Path) -> None:
    ways = {tuple(stratum(seed, place) for place in range(STRATA)) for seed in range(8)}
    assert len(ways) > 4


def test_where_a_slice_is_empty_the_nearest_stands_for_it(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: stratified, trials: 100}", RARE)
    found = shares(made, "params", 100)
    # Two widths far apart, and half of the slices nearer to each of them.
    assert len(found) == 2 * 4 * 3
    assert sorted(found[:16] > 0.5) == [False] * 8 + [True] * 8


@pytest.mark.parametrize(
    ("space", "objectives", "cost"),
    [
        (FINITE, "{accuracy: max}", "params"),
        (FINITE, "{accuracy: max, macs: min, params: min}", "params"),
        (FINITE, "{accuracy: max, train_macs: min, macs: min}", "macs"),
        (FINITE, "{accuracy: max, train_macs: min}", "train_macs"),
        (ENDLESS, "{accuracy: max, memory: min}", "memory"),
        (ENDLESS, "{accuracy: max, bytes_int8: min}", "bytes_int8"),
    ],
)
def test_the_cost_is_the_first_objective_that_is_one(
    space: str, objectives: str, cost: str, tmp_path: Path
) -> None:
    search = "{sampler: stratified, trials: 16}"
    made = study(tmp_path, search, space, f"objectives: {objectives}\n")
    assert sorted((shares(made, cost, 8) * 8).clip(max=7).astype(int)) == list(range(8))
