"""A survey against going through the same candidates one by one."""

import itertools
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from candidates import SPACE
from points import points_of

from sret_search.config.space_file import Budget, Limit
from sret_search.config.study_file import Objective
from sret_search.planning import space_statistics
from sret_search.planning.space_statistics import Survey, combinations, survey
from sret_search.space.candidate import COSTS, COUNTS, STORED, CostContext
from sret_search.space.feasible_set import AT_MOST
from sret_search.space.screening import screen
from sret_search.study import Study, StudyError, load_study

KNOWN = set(COSTS) - {"seconds"}
FINITE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages:
    - {width: 16, heads: 2, unique: 2, loops: 2, groups: [4, 2], mlp_ratio: 2}
    - {width: 32, heads: 4, unique: 1, loops: 3, mlp_ratio: 1.5}
  nll: {share: block}
  residual: {kind: scaled}
axes:
  stages.0.width: {choices: [8, 12, 16]}
  stages.1.width: {same_as: stages.0.width, times: 2}
  stages.*.loops: {low: 1, high: 4}
  stages.0.groups: {divisors: tokens, high: 4, entries: 2}
  nll.share: {choices: [none, stage, block]}
  nll.ratio: {choices: [0.5, 1.0], when: {nll.share: [stage, block]}}
  stages.1.heads: {choices: [4, 6], when: {nll.share: [none]}}
  recipe: RECIPE
"""
RECIPE = "recipe.depth_training: {choices: [fixed, mixed]}"


def study(folder: Path, budget: str = "", recipe: str = RECIPE, search: str = "random") -> Study:
    space = FINITE.replace("recipe: RECIPE", recipe)
    (folder / "space.yaml").write_text(space + (f"budget: {budget}\n" if budget else ""))
    trials = "" if search == "grid" else ", trials: 3"
    text = f"study: s\nspace: space.yaml\nsearch: {{sampler: {search}{trials}}}\n"
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml")


def one_by_one(made: Study):
    """Candidates that can be built, and those of them that fit."""
    built, fits = [], []
    for values in points_of(made.space):
        try:
            candidate = made.space.candidate(values)
        except ValueError:
            continue
        built.append(candidate)
        if made.space.over_budget(candidate, made.terms) is None:
            fits.append(candidate)
    return built, fits


BUDGETS = {
    "none": "",
    "params": "{params: {max: 12_000}}",
    "all": "{params: {max: 20_000}, macs: {min: 70_000}, train_macs: {max: 5e9},"
    " executions: {max: 10}, memory: {max: 3MB}}",
}


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
def test_a_finite_space_is_counted_exactly(tmp_path, budget):
    made = study(tmp_path, budget)
    built, fits = one_by_one(made)
    found = survey(made)
    distinct = {c.name: c for c in reversed(fits)}
    assert found.exact
    assert found.looked_at == found.combinations == len(points_of(made.space))
    assert (found.built, found.feasible) == (len(built), len(fits))
    assert found.distinct == len(distinct) < len(fits)
    assert found.share_interval == (found.share, found.share)
    for name in KNOWN - set(STORED):
        known = sorted(c.known(name, made.terms) for c in distinct.values())
        of = found.costs[name]
        assert (of.least, of.most) == (known[0], known[-1]), name
        assert of.median == np.median(known)
    assert set(found.costs) == KNOWN - set(STORED)
    points = {(c.cost.params, c.cost.macs) for c in distinct.values()}
    assert set(zip(found.params.tolist(), found.macs.tolist(), strict=True)) == points
    assert {c.name for c in made.points.all()} == set(distinct)
    assert [c.values for c in made.points.all()] == [
        next(c.values for c in fits if c.name == name) for name in dict.fromkeys(c.name for c in fits)
    ]  # fmt: skip
    assert found.closest is None


def sampled(made: Study, draws: int, monkeypatch: pytest.MonkeyPatch) -> Survey:
    """A survey by a number of draws, whatever the size of the space."""
    monkeypatch.setattr(space_statistics, "_DRAWS", draws)
    vars(made)["points"] = replace(made.points, at_most=draws)
    return survey(made)


def test_combinations_are_counted_without_going_through_them(tmp_path, monkeypatch):
    made = study(tmp_path)
    assert combinations(made.space) == len(points_of(made.space))
    found = sampled(made, 100, monkeypatch)
    assert (found.exact, found.looked_at) == (False, 100)
    assert found.combinations == combinations(made.space)
    endless = study(tmp_path, recipe="recipe.lr: {low: 1e-3, high: 1e-2}")
    assert sampled(endless, 100, monkeypatch).combinations is None


def test_draws_give_an_interval_of_the_share(tmp_path, monkeypatch):
    made = study(tmp_path, "{params: {max: 12_000}}")
    rng = random.Random(1)
    drawn = [made.feasible(made.space.draw(rng)) is not None for _ in range(3000)]
    low, high = sampled(made, 1000, monkeypatch).share_interval
    assert low < sum(drawn) / len(drawn) < high
    assert high - low < 0.07


@pytest.mark.parametrize("search", ["random", "grid"])
@pytest.mark.parametrize("recipe", [RECIPE, "recipe.lr: {choices: [1e-3, 2e-3]}"])
def test_an_impossible_budget_is_refused_with_the_closest_candidate(tmp_path, search, recipe):
    whole, _ = one_by_one(study(tmp_path, recipe=recipe))
    least = min(c.cost.params for c in whole)
    with pytest.raises(StudyError) as caught:
        study(tmp_path, f"{{params: {{max: {least - 1}}}}}", recipe, search)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (20, 9)
    assert f"the closest has {least:,} params, " in problem.message
    assert f"({least:,} params are more than {least - 1:,})" in problem.message
    assert study(tmp_path, f"{{params: {{max: {least}}}}}", recipe, search).points.whole is not None


def test_a_candidate_that_is_asked_for_again_is_the_same_object(tmp_path: Path) -> None:
    points = study(tmp_path, "{}").points
    first = next(points.all())
    assert points.whole is not None and next(points.all()) is first
    assert points.whole.candidate(int(points.whole.distinct[0])) is first


def test_the_closest_misses_the_worst_limit_by_the_smallest_factor(tmp_path):
    made = study(tmp_path)
    limits = {"params": 3000, "macs": 40_000}
    budget = Budget(**{name: Limit(max=most) for name, most in limits.items()})
    found = survey(replace(made, space=replace(made.space, budget=budget)))
    assert (found.feasible, found.distinct, found.costs) == (0, 0, {})
    worst = min(max(c.cost.params / 3000, c.cost.macs / 40_000) for c in one_by_one(made)[0])
    known = found.closest.costs
    assert max(known["params"] / 3000, known["macs"] / 40_000) == worst
    assert "are more than" in found.closest.reason
    assert set(known) == KNOWN


def test_bytes_of_weights_are_shown_to_those_who_name_them(tmp_path):
    made = study(tmp_path, "{bytes_int8: {max: 20e3}}")
    file = made.file.model_copy(update={"objectives": {"accuracy": "max", "bytes": "min"}})
    found = survey(replace(made, file=file))
    assert set(found.costs) == KNOWN - {"bytes_bf16"}
    assert found.costs["bytes_int8"].most <= 20_000 < found.costs["bytes"].most
    assert found.costs["bytes"].least == 4 * found.costs["params"].least


def test_every_cost_that_a_study_names_is_in_the_one_table():
    assert set(Budget.model_fields) == set(COSTS)
    assert set(get_args(Objective)) - {"accuracy", "loss", "latency_ms"} < set(COSTS)
    assert COUNTS == ("params", "macs", "executions")


def test_any_points_are_screened_as_they_are_built_one_by_one():
    rng = random.Random(2)
    points = [SPACE.draw(rng) for _ in range(4000)]
    terms = CostContext(images=1000, processes=2)
    screened = screen(SPACE, points, terms)
    places = np.arange(len(screened.candidates))
    memory = screened.cost("memory", places)
    train = screened.cost("train_macs", places)
    names: dict[int, str] = {}
    expected = []
    for values in points:
        try:
            candidate = SPACE.candidate(values)
        except ValueError:
            continue
        place = len(expected)
        expected.append(values)
        for name in ("params", "macs", "executions"):
            assert screened.costs[name][place] == getattr(candidate.cost, name)
        assert train[place] == candidate.known("train_macs", terms)
        assert memory[place] == candidate.known("memory", terms)
        assert names.setdefault(int(screened.identity[place]), candidate.name) == candidate.name
    assert [candidate.values for candidate in screened.candidates] == expected
    assert len(expected) > 300
    assert len(set(names.values())) == len(names) == len(screened.distinct)


LARGE = """\
architecture: sret_digits
axes:
  stages.0.width: {choices: [8, 16, 24, 32, 40, 48, 56, 64]}
  stages.0.heads: {choices: [1, 2, 4, 8]}
  stages.0.unique: {low: 1, high: 5}
  stages.0.loops: {choices: LOOPS}
  stages.0.groups: {divisors: tokens, high: 8, entries: 2}
  nll.share: {choices: [none, stage, block, execution]}
  nll.ratio: {choices: [0.5, 1.0], when: {nll.share: [stage, block, execution]}}
budget:
  params: {max: 100_000}
  macs: {max: 5e7}
  memory: {max: 100MB}
  train_macs: {max: 2e13}
"""


def large(folder: Path, loops: str) -> Study:
    (folder / "space.yaml").write_text(LARGE.replace("LOOPS", loops))
    (folder / "study.yaml").write_text(
        "study: s\nspace: space.yaml\nsearch: {sampler: random, trials: 9}\n"
    )
    return load_study(folder / "study.yaml")


@pytest.mark.slow
def test_a_hundred_thousand_candidates_take_less_than_half_a_minute_of_one_core(tmp_path):
    begun = time.process_time()
    made = large(tmp_path, "[1, 2, 3, 5, 8, 13, 25, 50, 100]")
    points = made.space.enumerated(1_000_000)
    assert len(points) == 8 * 4 * 5 * 9 * 16 * 7 == 161_280
    found = survey(made)
    assert time.process_time() - begun < 30
    assert not found.exact
    assert (found.combinations, found.looked_at) == (len(points), AT_MOST)
    low, high = found.share_interval
    assert low < found.share < high < low + 0.01


@pytest.mark.slow
def test_a_space_of_almost_as_many_as_are_gone_through_is_looked_at_whole(tmp_path):
    made = large(tmp_path, "[1, 2, 5, 13, 100]")
    begun = time.process_time()
    found = survey(made)
    assert time.process_time() - begun < 30
    assert found.exact
    assert found.looked_at == 8 * 4 * 5 * 5 * 16 * 7 == 89_600
    assert found.looked_at > found.feasible > found.distinct > 1000
    for candidate in itertools.islice(made.points.at_random(), 100):
        assert made.feasible(candidate.values) is not None
