"""Candidates from a Sobol sequence."""

import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp, qmc
from test_samplers import SPACE, Driver, study

from sret_search.study import Study

EVEN = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4, 8]}
  residual.kind: {choices: [lrc, scaled]}
  drop_path: {low: 0.0, high: 0.3}
  recipe.lr: {low: 1e-4, high: 1e-1, log: true}
"""


def points(made: Study, trials: int) -> np.ndarray:
    """The first trials by drop path and learning rate (trials, 2), evenly from 0 to 1."""
    entries = Driver(made).run(limit=trials).entries
    lr = [math.log10(entry.values["recipe.lr"] / 1e-4) / 3 for entry in entries]
    return np.column_stack([[entry.values["drop_path"] / 0.3 for entry in entries], lr])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("trials", [16, 50, 64])
def test_it_fills_a_space_more_evenly_than_chance(trials: int, seed: int, tmp_path: Path) -> None:
    of = {
        sampler: qmc.discrepancy(
            points(
                study(tmp_path, f"{{sampler: {sampler}, trials: 64, seed: {seed}}}", EVEN), trials
            )
        )
        for sampler in ("sobol", "random")
    }
    assert of["sobol"] < of["random"] / 2


@pytest.mark.parametrize("seed", [0, 1])
def test_every_value_comes_equally_often(seed: int, tmp_path: Path) -> None:
    made = study(tmp_path, f"{{sampler: sobol, trials: 64, seed: {seed}}}", EVEN)
    entries = Driver(made).run().entries
    for start in range(0, 64, 16):
        some = entries[start : start + 16]
        assert set(Counter(e.values["stages.*.loops"] for e in some).values()) == {4}
        assert set(Counter(e.values["residual.kind"] for e in some).values()) == {8}


def test_a_longer_study_goes_on_with_the_same_sequence(tmp_path: Path) -> None:
    long = Driver(study(tmp_path, "{sampler: sobol, trials: 70}")).run()
    short = Driver(study(tmp_path, "{sampler: sobol, trials: 20}")).run()
    short.start(long.made)
    short.run()
    assert short.table == long.table
    other = Driver(study(tmp_path, "{sampler: sobol, trials: 20, seed: 1}")).run()
    assert {row[0] for row in other.table} != {row[0] for row in long.table[:20]}


def test_after_another_sampler_the_sequence_begins_at_its_first_point(tmp_path: Path) -> None:
    alone = Driver(study(tmp_path, "{sampler: sobol, trials: 16}", EVEN)).run()
    driver = Driver(study(tmp_path, "{sampler: random, trials: 10}", EVEN)).run()
    driver.start(study(tmp_path, "{sampler: sobol, trials: 26}", EVEN))
    driver.run()
    assert driver.table[10:] == alone.table


KINDS = """\
architecture: sret_digits
axes:
  stages.*.loops: {low: 1, high: 100, log: true}
  stages.*.unique: {low: 2, high: 9}
  residual.kind: {choices: [lrc, scaled, layerscale]}
  drop_path: {low: 0.0, high: 0.3}
  recipe.lr: {low: 1e-4, high: 1e-1, log: true}
"""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("kinds")
    return study(folder, "{sampler: sobol, trials: 8}", KINDS)


@given(share=st.floats(0, 1, exclude_max=True))
def test_every_share_is_a_value_of_its_axis(kinds: Study, share: float) -> None:
    for path in kinds.space.axes:
        assert kinds.space.holds(path, kinds.space.value_at(path, share), {})


def test_shares_are_those_of_random_draws(kinds: Study) -> None:
    shares = ((np.arange(4000) + 0.5) / 4000).tolist()
    chance = random.Random(0)
    drawn = [kinds.space.draw(chance) for _ in range(4000)]
    for path in kinds.space.axes:
        ours, theirs = [kinds.space.value_at(path, s) for s in shares], [one[path] for one in drawn]
        if isinstance(ours[0], str):
            assert set(Counter(ours).values()) <= {1333, 1334}
        else:
            assert ks_2samp(ours, theirs).statistic < 0.03


def test_a_space_without_axes_has_one_candidate(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: sobol, trials: 5}", "architecture: sret_digits\n")
    assert len(Driver(made).run().entries) == 1


def test_conditions_hold_at_every_point(tmp_path: Path) -> None:
    entries = Driver(study(tmp_path, "{sampler: sobol, trials: 64}", SPACE)).run().entries
    ratios = Counter(entry.values.get("nll.ratio") for entry in entries)
    assert min(ratios.values()) > 8
