"""Every kind of axis and budget: what it offers, what follows it, and what is refused."""

import itertools
import random
import re
from pathlib import Path

import pytest

from sret_search.config.space_file import Axis, Budget
from sret_search.job import step_memory, train_macs
from sret_search.machine.step_time import StepTime
from sret_search.space import feasible_set
from sret_search.space.candidate import CostContext
from sret_search.space.feasible_set import FeasibleSet
from sret_search.study import Study, StudyError, load_study

ARCHITECTURE = """\
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
"""
GRID = "{sampler: grid}"
RANDOM = "{sampler: random, trials: 12}"


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def made(axes="", search=GRID, budget="", extra="", architecture=ARCHITECTURE) -> Study:
        lines = "".join(f"  {line}\n" for line in axes.splitlines())
        space = architecture + (f"axes:\n{lines}" if axes else "")
        space += f"budget: {budget}\n" if budget else ""
        Path("space.yaml").write_text(space)
        Path("study.yaml").write_text(f"study: s\nspace: space.yaml\nsearch: {search}\n{extra}")
        return load_study(Path("study.yaml"))

    return made


def stages(study, field):
    return {tuple(getattr(s, field) for s in c.architecture.stages) for c in study.grid}


def test_an_axis_may_follow_another(load):
    study = load(
        "stages.0.width: {choices: [16, 24]}\n"
        "stages.1.width: {same_as: stages.0.width, times: 2}\n"
        "stages.1.unique: {low: 1, high: 2}\n"
        "stages.0.unique: {same_as: stages.1.unique, plus: 1}"
    )
    assert study.space.size == 4
    assert stages(study, "width") == {(16, 32), (24, 48)}
    assert stages(study, "unique") == {(2, 1), (3, 2)}
    assert len(study.grid) == 4
    assert {c.values["stages.1.width"] for c in study.grid} == {32, 48}


def test_an_axis_that_follows_one_without_effect_follows_the_space_s_value(load):
    study = load(
        "nll.share: {choices: [none, stage]}\n"
        "nll.rank: {choices: [4, 8], when: {nll.share: [stage]}}\n"
        "stages.1.width: {choices: [32, 64], when: {nll.share: [stage]}}\n"
        "stages.1.heads: {same_as: stages.1.width, times: 0.125}"
    )
    found = {(c.values.get("stages.1.width"), c.values["stages.1.heads"]) for c in study.grid}
    assert found == {(None, 4), (32, 4), (64, 8)}
    assert study.space.axes["stages.1.heads"].choices == [4, 8]
    rng = random.Random(0)
    for _ in range(50):
        values = study.space.draw(rng)
        assert values["stages.1.heads"] == values.get("stages.1.width", 32) // 8


def test_what_follows_is_not_searched_by_a_model_and_is_kept_in_the_values(load):
    for sampler in ("random", "tpe"):
        study = load(
            "stages.0.mlp_ratio: {low: 1.0, high: 3.0}\n"
            "stages.1.mlp_ratio: {same_as: stages.0.mlp_ratio, times: 0.5, plus: 1}",
            search=f"{{sampler: {sampler}, trials: 4}}",
        )
        for candidate in itertools.islice(study.points.at_random(), 8):
            one, other = (s.mlp_ratio for s in candidate.architecture.stages)
            assert other == one * 0.5 + 1
            assert study.space.holds("stages.1.mlp_ratio", other, candidate.values)
            assert not study.space.holds("stages.1.mlp_ratio", other + 0.1, candidate.values)


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("stages.0.groups: {divisors: tokens, entries: 1}", [[1], [2], [4], [8], [16]]),
        ("stages.0.groups: {divisors: tokens, low: 2, high: 8, entries: 1}", [[2], [4], [8]]),
        ("stages.*.groups: {divisors: tokens, high: 2, entries: 2}", [[1, 1], [1, 2], [2, 1], [2, 2]]),
        ("stages.1.groups: {divisors: tokens, low: 2, entries: 1}", [[2], [4]]),
        ("stages.0.groups.1: {divisors: tokens, low: 4}", [4, 8, 16]),
        ("stages.1.loops: {low: 1, high: 2, entries: 1}", [[1], [2]]),
        ("stages.0.loops: {choices: [1, 4], entries: 2}", [[1, 1], [1, 4], [4, 1], [4, 4]]),
    ],
)  # fmt: skip
def test_divisors_and_lists_are_written_out(load, axis, values):
    study = load(axis, search=RANDOM)
    (found,) = study.space.axes.values()
    assert found.choices == values


def test_divisors_are_those_of_every_number_of_tokens_that_there_can_be(load):
    study = load(
        "stem_strides: {choices: [[1, 2], [2, 2]]}\nstages.0.groups: {divisors: tokens, entries: 1}"
    )
    assert study.space.axes["stages.0.groups"].choices == [[1], [2], [4], [8], [16]]
    found = {(c.architecture.stem_strides, c.architecture.stages[0].groups) for c in study.grid}
    assert found == {((1, 2), (g,)) for g in (1, 2, 4, 8, 16)} | {((2, 2), (g,)) for g in (1, 2, 4)}


def test_lists_differ_only_where_they_build_something_else(load):
    study = load("stages.0.groups: {divisors: tokens, high: 2, entries: 3}")
    # Of three entries the block's two loops use two, and the last only repeats.
    assert {c.architecture.stages[0].groups[:2] for c in study.grid} == {
        (1, 1), (1, 2), (2, 1), (2, 2)
    }  # fmt: skip
    assert len(study.grid) == 4


BUDGETS = [
    "params", "macs", "train_macs", "executions", "memory", "bytes", "bytes_bf16", "bytes_int8",
]  # fmt: skip
UNITS = {
    "memory": "bytes of memory", "bytes": "bytes of weights",
    "bytes_bf16": "bytes of weights in bf16", "bytes_int8": "bytes of weights in int8",
}  # fmt: skip


@pytest.mark.parametrize("name", BUDGETS)
def test_every_cost_can_be_bounded_on_both_sides(load, name):
    axes = "stages.1.width: {choices: [32, 48, 64]}\nstages.1.loops: {choices: [1, 2, 5, 9]}"
    whole = load(axes)
    terms = whole.terms
    assert terms == CostContext(1258)
    costs = sorted({c.known(name, terms) for c in whole.grid})
    low, high = costs[1], costs[-2]
    study = load(axes, budget=f"{{{name}: {{min: {low}, max: {high}}}}}")
    assert {c.known(name, terms) for c in study.grid} == set(costs[1:-1])
    drawn = load(axes, RANDOM, budget=f"{{{name}: {{min: {low}, max: {high}}}}}")
    assert {c.name for c in itertools.islice(drawn.points.at_random(), 500)} == {
        c.name for c in study.grid
    }
    for candidate in whole.grid:
        fits = low <= candidate.known(name, terms) <= high
        assert (study.feasible(candidate.values) is not None) == fits
    with pytest.raises(StudyError) as caught:
        load(axes, budget=f"{{{name}: {{max: {costs[0] - 1}}}}}")
    said = str(caught.value)
    assert said.startswith("space.yaml:14:9: no candidate meets the budget; the closest has ")
    assert f"{costs[0]:,} {UNITS.get(name, name)}" in said


def test_memory_may_be_written_as_a_size_and_is_that_of_the_recipe(load):
    axes = "recipe.batch_size: {choices: [8, 64, 512]}\nrecipe.accumulate: {choices: [1, 8]}"
    grid = load(axes).grid
    most = sorted(step_memory(c.architecture, c.recipe) for c in grid)[2]
    study = load(axes, budget=f"{{memory: {{max: {(most + 1) / 1e6:.6f}MB}}}}")
    assert study.space.budget.memory.max == most + 1
    assert max(step_memory(c.architecture, c.recipe) for c in study.grid) == most
    assert {(c.recipe.batch_size, c.recipe.accumulate) for c in study.grid} >= {(8, 1), (8, 8)}
    assert load(axes, budget="{memory: {max: 2GB}}").space.budget.memory.max == 2 * 10**9


def test_a_training_s_multiply_adds_depend_on_recipe_and_depths(load):
    axes = (
        "recipe.depth_training: {choices: [fixed, sampled, mixed]}\n"
        "recipe.epochs: {choices: [1, 2, 4]}\n"
        "stages.1.loops: {choices: [1, 3, 6]}"
    )
    whole = load(axes).grid
    costs = sorted({train_macs(c.architecture, c.recipe, 1258) for c in whole})
    study = load(axes, budget=f"{{train_macs: {{max: {costs[5]}}}}}")
    assert {train_macs(c.architecture, c.recipe, 1258) for c in study.grid} == set(costs[:6])


def test_while_the_images_are_not_known_only_other_limits_count(load, tmp_path):
    extra = "data: {imagefolder: images, image_size: 8}\n"
    architecture = ARCHITECTURE.replace("in_channels: 1", "in_channels: 3")
    axes = "stages.1.loops: {choices: [1, 3, 6]}"
    limits = "{train_macs: {max: 10}, executions: {max: 7}}"
    study = load(axes, budget=limits, extra=extra, architecture=architecture)
    assert study.terms.images == 0
    assert len(study.grid) == 2


class Fake(StepTime):
    """A second for each million multiply-adds of an image."""

    def seconds(self, architecture, recipe, images):
        return train_macs(architecture, recipe, 1) / recipe.images_seen(1) / 3e6


def test_seconds_are_limited_by_what_was_measured_on_this_machine(load, monkeypatch):
    axes = "stages.1.loops: {choices: [1, 3, 6, 60]}"
    plain = load(axes)
    monkeypatch.setattr(StepTime, "known", classmethod(lambda cls, compute: Fake("here")))
    seconds = sorted(Fake("").seconds(c.architecture, c.recipe, 1) for c in plain.grid)
    study = load(axes, budget=f"{{seconds: {{max: {seconds[1]}}}}}")
    assert len(study.grid) == 2
    assert [study.feasible(c.values) is None for c in plain.grid] == [True, True, False, False]
    with pytest.raises(StudyError, match=r"the closest has .* seconds"):
        load(axes, budget=f"{{seconds: {{max: {seconds[0] / 2}}}}}")


def test_seconds_need_a_calibration(load, monkeypatch):
    monkeypatch.setattr(StepTime, "known", classmethod(lambda cls, compute: None))
    message = r"space\.yaml:11:10: budget\.seconds needs a calibration .* study\.yaml --calibrate"
    with pytest.raises(StudyError, match=message):
        load(budget="{seconds: {max: 10}}")


def test_chance_finds_every_candidate_of_a_finite_space_once(load):
    study = load(
        "stages.*.width: {choices: [8, 16, 24, 32, 40, 48]}\n"
        "stages.*.loops: {low: 1, high: 30}\n"
        "stages.1.unique: {low: 1, high: 20, log: true}",
        search="{sampler: random, trials: 1000}",
        budget="{executions: {min: 40, max: 42}, params: {max: 60_000}}",
    )
    names = {c.name for c in study.points.all()}
    assert 10 < len(names) < 100
    for place in (0, 1, 20):
        found = [c.name for c in study.points.at_random(place)]
        assert found == [c.name for c in study.points.at_random(place)]
        assert set(found) == names
        assert len(found) == len(names)


def test_a_larger_space_is_gone_through_once_chance_has_found_no_more(load, monkeypatch):
    monkeypatch.setattr(feasible_set, "_SMALL", 100)
    monkeypatch.setattr(feasible_set, "_EACH", 256)
    monkeypatch.setattr(feasible_set, "_LAST", 1024)
    study = load(
        "stages.*.width: {choices: [8, 16, 24, 32]}\n"
        "stages.*.loops: {low: 1, high: 50}\n"
        "stages.*.unique: {low: 1, high: 10}",
        search="{sampler: random, trials: 1000}",
        budget="{executions: {min: 600, max: 600}}",
    )
    assert not study.points.is_small
    found = {c.name for c in study.points.at_random(1)}
    assert found == {c.name for c in study.points.all()}
    assert len(found) == 4 * 2  # 10 blocks 30 times, 6 blocks 50 times


def test_a_space_without_end_is_drawn_from_until_it_counts_as_used_up(load, monkeypatch):
    monkeypatch.setattr(feasible_set, "_EACH", 256)
    monkeypatch.setattr(feasible_set, "_LAST", 1024)
    study = load(
        "stages.0.mlp_ratio: {low: 1.0, high: 2.0}\nstages.*.loops: {low: 1, high: 250}",
        search=RANDOM,
        budget="{executions: {max: 6}}",
    )
    found = [c.architecture.executions for c in study.points.at_random(1)]
    assert set(found) <= {3, 6}
    assert 1 <= len(found) < 60


def test_a_draw_is_as_likely_from_a_list_of_all_as_from_the_axes(load):
    axes = (
        "nll.share: {choices: [none, block]}\n"
        "nll.rank: {choices: [1, 2, 3, 4], when: {nll.share: [block]}}\n"
        "stages.0.loops: {low: 1, high: 20, log: true}"
    )
    study = load(axes, search=RANDOM)
    rng = random.Random(0)
    drawn = [study.space.draw(rng) for _ in range(3000)]
    picked = []
    for seed in range(1500):
        other = FeasibleSet(study.space, study.terms, seed)
        vars(other)["whole"], vars(other)["is_small"] = study.points.whole, True
        picked.append(next(other.at_random()).values)

    def part(found, holds):
        return sum(map(holds, found)) / len(found)

    for holds in (lambda v: v["nll.share"] == "none", lambda v: v["stages.0.loops"] == 1):
        assert part(picked, holds) == pytest.approx(part(drawn, holds), abs=0.05)


DOCS = Path(__file__).parents[2] / "docs" / "spaces.md"


def test_the_example_of_the_documentation_is_a_space(load):
    text = DOCS.read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1]
    study = load(search=RANDOM, architecture=example)
    assert study.space.axes["stages.0.groups"].choices[-1] == [8, 8]
    for candidate in itertools.islice(study.points.at_random(), 20):
        width, rank = candidate.values["stages.0.width"], candidate.values.get("nll.rank")
        assert rank in (None, width // 2)
    for name in (*Axis.model_fields, *Budget.model_fields):
        assert f"`{name}" in text or f" {name}" in text, name


def test_an_axis_that_follows_arms_may_stand_beside_them(load):
    study = load(
        "stages.0.loops: {choices: [1, 2, 4]}\nstages.1.loops: {same_as: stages.0.loops}",
        extra="arms: {axis: stages.0.loops, reference: 1}\ncontrols: [rerun]\n",
    )
    (one,) = (c for c in study.grid if c.values["stages.0.loops"] == 1)
    assert {a.executions for a in study.reruns(one)} == {6, 12}
