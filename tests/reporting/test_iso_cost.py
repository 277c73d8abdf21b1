"""Depths of equal cost are told apart where they differ, and on no more than 5 % of other pages."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sret_search.reporting.analyses.scaling.iso_cost import Slice, slices
from sret_search.reporting.analyses.scaling.sentences import headlines
from sret_search.reporting.statistics.pooled_variance import Variances

COUNT = 60


def page(rng: np.random.Generator, seeds: int, gain: float = 0.0) -> dict[str, list[Slice]]:
    """The slices of 60 candidates that are equally accurate on 360 images; those with one
    execution are better by so much."""
    table = pd.DataFrame({
        "candidate": [str(i) for i in range(COUNT)], "executions": 2 ** rng.integers(0, 5, COUNT),
        "params": np.exp(rng.uniform(9, 9.6, COUNT)), "macs": np.exp(rng.uniform(14, 14.6, COUNT)),
    })  # fmt: skip
    level = 0.8 + gain * (table.executions.to_numpy() == 1)[:, None]
    truth = level + rng.normal(0, 0.01, seeds) + rng.normal(0, 0.015, (COUNT, seeds))
    reached = rng.binomial(360, truth) / 360
    names, seed_numbers = np.repeat(table.candidate, seeds), np.tile(range(seeds), COUNT)
    spread = Variances.from_accuracies(names, seed_numbers, reached.ravel(), 360)
    sound = table.assign(val_accuracy=reached.mean(1), seeds=seeds)
    results = SimpleNamespace(sound=sound, spreads={"val": spread})
    return {cost: slices(results, cost) for cost in ("params", "macs")}


def has_best_depth(by_cost: dict[str, list[Slice]]) -> bool:
    return any(not iso_slice.is_open for iso_slices in by_cost.values() for iso_slice in iso_slices)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_equal_depths_are_not_told_apart(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    pages = [page(rng, seeds) for _ in range(15)]
    assert all(len(iso_slices) >= 5 for by_cost in pages for iso_slices in by_cost.values())
    assert sum(map(has_best_depth, pages)) <= 2


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_better_depth_is_told_apart(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    pages = [page(rng, seeds, gain=0.12) for _ in range(5)]
    assert all(map(has_best_depth, pages))
    decided = [iso_slice for iso_slice in pages[0]["params"] if not iso_slice.is_open]
    assert {iso_slice.interval for iso_slice in decided} == {(1, 1)}


def test_one_seed_tells_no_depths_apart() -> None:
    by_cost = page(np.random.default_rng(0), 1, gain=0.12)
    assert not has_best_depth(by_cost)
    scaling = SimpleNamespace(recurrence=None, without=None, **by_cost)
    for sentence in headlines(scaling):
        assert sentence.endswith("one seed cannot tell which depth is best.")
