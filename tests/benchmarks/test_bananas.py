"""The baseline MO-BANANAS, without training."""

import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tabular.bananas import FIRST, MOBananas, _by_rank

from sret_search.pareto import hypervolume
from sret_search.search.samplers.base import Sampler
from sret_search.search.samplers.sequential import Random
from sret_search.space.candidate import Candidate
from sret_search.study import Study, load_study
from sret_search.trials.history import History
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

SPACE = """\
architecture: sret_digits
axes:
  stages.*.width: {choices: [8, 16, 24, 32, 48, 64]}
  stages.*.unique: {low: 1, high: 6}
  stages.*.loops: {choices: [1, 2, 4, 8]}
  residual.kind: {choices: [lrc, scaled, layerscale]}
  nll.share: {choices: [none, block]}
  nll.ratio: {choices: [0.5, 1.0], when: {nll.share: [block]}}
budget: {params: {max: 200_000}}
"""
SMALL = "architecture: sret_digits\naxes: {stages.*.loops: {low: 1, high: 16}}\n"
LOST = 8


def study(folder: Path, trials: int, space: str = SPACE, seed: int = 0) -> Study:
    (folder / "space.yaml").write_text(space)
    search = f"{{sampler: random, trials: {trials}, seed: {seed}}}"
    (folder / "study.yaml").write_text(f"study: s\nspace: space.yaml\nsearch: {search}\n")
    return load_study(folder / "study.yaml")


def made_up_accuracy(candidate: Candidate) -> float:
    """More parameters help less and less; 4 loops and scaled branches are best."""
    a = candidate.architecture
    found = 0.97 - 0.6 * (candidate.cost.params / 800) ** -0.35
    found -= 0.04 * abs(math.log2(a.loops / 4)) + 0.06 * (a.residual.kind != "scaled")
    return found


def run(made: Study, build: Callable[[Study], Sampler], rebuilt: bool = False) -> list[TrialRecord]:
    """One trial after the other, of which every eighth diverges."""
    history, sampler = History(made, ()), build(made)
    while True:
        if rebuilt:
            history, sampler = History(made, history.entries), build(made)
        ask = sampler.ask(history)
        if ask is None:
            return history.entries
        assert ask != "wait"
        number = len(history)
        job = made.job(ask.candidate, ask.seed, "cpu")
        entry = TrialRecord.begun(number, job, ask.candidate.values, 1258, made.origin)
        history.begin(entry)
        accuracy = made_up_accuracy(ask.candidate)
        result = TrialResult("complete", val_accuracy=accuracy, val_loss=1 - accuracy)
        if number % LOST == LOST - 1:
            result = TrialResult("diverged")
        history.end(dataclasses.replace(entry, result=result))


@pytest.mark.parametrize("batch", [1, 10])
def test_built_anew_it_asks_for_the_same(batch: int, tmp_path: Path) -> None:
    made = study(tmp_path, 24)
    build = functools.partial(MOBananas, batch=batch)
    names = [[one.candidate for one in run(made, build, rebuilt)] for rebuilt in (False, True)]
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0]) == 24
    by_chance = [one.candidate for one in run(made, Random)]
    assert names[0][:FIRST] == by_chance[:FIRST]
    assert names[0][FIRST:] != by_chance[FIRST:]


def test_candidates_fit_the_budget_and_are_mutants_of_earlier_ones(tmp_path: Path) -> None:
    made = study(tmp_path, 30)
    entries = run(made, MOBananas)
    assert all(made.feasible(entry.values) is not None for entry in entries)
    for entry in entries[FIRST:]:
        off = [
            sum(entry.values.get(path) != other.values.get(path) for path in made.space.axes)
            for other in entries[: entry.number]
        ]
        # The ratio counts, or does not, with another value of `nll.share`.
        assert 1 <= min(off) <= 2


def test_a_small_space_is_used_up(tmp_path: Path) -> None:
    entries = run(study(tmp_path, 20, SMALL), MOBananas)
    assert len({entry.candidate for entry in entries}) == len(entries) == 16


@pytest.mark.parametrize("batch", [1, 10])
def test_it_finds_a_better_front_than_chance(batch: int, tmp_path: Path) -> None:
    build = functools.partial(MOBananas, batch=batch)
    made, found = study(tmp_path, 50), {}
    for name, sampler in (("bananas", build), ("random", Random)):
        done = [entry for entry in run(made, sampler) if entry.state == "complete"]
        accuracies = [entry.result.val_accuracy for entry in done]
        params = [entry.cost["params"] for entry in done]
        found[name] = hypervolume(accuracies, params, 0.1, 200_000)
    assert found["bananas"] > found["random"] + 0.01


def test_a_lost_trial_is_as_bad_as_the_worst(tmp_path: Path) -> None:
    made = study(tmp_path, 16)
    entries = run(made, Random)
    sampler, history = MOBananas(made), History(made, entries)
    told = sampler._told(history, list(history.firsts))
    for number in (7, 15):
        accuracy, params = told[entries[number].candidate]
        done = [entry.result.val_accuracy for entry in entries if entry.state == "complete"]
        assert accuracy == min(done)
        assert params == -entries[number].cost["params"]


def test_points_that_others_beat_come_after_them() -> None:
    chance = np.random.default_rng(0)
    for _ in range(50):
        points = chance.integers(0, 6, (12, 2)).astype(float)
        place = np.argsort(_by_rank(points, chance))
        beats = (points[:, None] >= points).all(2) & (points[:, None] > points).any(2)
        for better, worse in zip(*np.nonzero(beats), strict=True):
            assert place[better] < place[worse]
