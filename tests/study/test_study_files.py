"""Study and space files: what is right is read as written, what is wrong is named by its place."""

import json
import random
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from points import points_of

from sret_search.architecture import NLL, Stage
from sret_search.architecture.variants import VARIANTS
from sret_search.cost import cost
from sret_search.job import RECIPES, Data, Recipe
from sret_search.planning import preflight
from sret_search.study import StudyError, load_study

SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages:
    - {width: 16, heads: 2, unique: 2, loops: 1, groups: [4, 2], mlp_ratio: 2}
    - {width: 32, heads: 4, unique: 1, loops: 3, mlp_ratio: 1.5}
  nll: {share: block}
  residual: {kind: scaled}
axes:
  stages.*.loops: {choices: [1, 2, 4]}
budget:
  params: {max: 50_000}
"""
STUDY = """\
study: small
space: space.yaml
data: {name: digits, split_seed: 0}
recipe: {epochs: 3, batch_size: 64, lr: 5e-3}
objectives: {accuracy: max, params: min}
search: {sampler: grid, seeds: 2}
arms: {axis: stages.*.loops, reference: 1}
controls: [rerun]
"""
AXES = "  stages.*.loops: {choices: [1, 2, 4]}\n"
LOOPS = "{choices: [1, 2, 4]}"
ARMS = "arms: {axis: stages.*.loops, reference: 1}\ncontrols: [rerun]\n"
SEARCH = "search: {sampler: grid, seeds: 2}\n"
RANDOM = "search: {sampler: random, trials: 8}\n"
RECIPE = ("study.yaml", "recipe: {epochs: 3, batch_size: 64, lr: 5e-3}")
MARK = "»"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Writes both files with some of their text replaced; problems name them from this folder."""
    monkeypatch.chdir(tmp_path)

    def write(*edits):
        texts = {"study.yaml": STUDY, "space.yaml": SPACE}
        for name, old, new in edits:
            assert texts[name].count(old) == 1, f"{old!r} must stand once in {name}"
            texts[name] = texts[name].replace(old, new)
        for name, text in texts.items():
            Path(name).write_text(text.replace(MARK, ""), encoding="utf-8")
        return texts

    return write


def load(files, *edits):
    files(*edits)
    return load_study(Path("study.yaml"))


def load_axes(files, axes, *edits):
    """A study of a grid without arms over these axes."""
    text = "".join(f"  {axis}\n" for axis in axes)
    edits = edits or (("study.yaml", ARMS, ""),)
    return load(files, ("space.yaml", AXES, text), *edits)


def space(old, new):
    return [("space.yaml", old, new)]


def study(old, new):
    return [("study.yaml", old, new)]


def scheduled(text, *edits):
    """A study that draws its candidates, under a scheduler."""
    plain = ("study.yaml", f"{SEARCH}{ARMS}", RANDOM)
    return [plain, ("study.yaml", RANDOM, f"{RANDOM}scheduler: {{{text}}}\n"), *edits]


def axis(text):
    """Another axis, in a study without arms."""
    return [("space.yaml", AXES, f"{AXES}  {text}\n"), ("study.yaml", ARMS, "")]


def frontier(objectives):
    """A study of the sampler frontier, with these objectives."""
    old = "objectives: {accuracy: max, params: min}"
    sampled = ("study.yaml", SEARCH, "search: {sampler: frontier, trials: 8}\n")
    return [("study.yaml", ARMS, ""), sampled, *study(old, f"objectives: {objectives}")]


# Each: edits, of which one has a mark at the place that must be named; a part of the message.
WRONG = {
    # The text itself.
    "key_twice": (study("space: s", "»study: again\nspace: s"), "study stands here twice"),
    "inner_key_twice": (space("heads: 2", "heads: 2, »width: 8"), "width stands here twice"),
    "tab": (study("controls: [rerun]\n", "controls: [rerun]\n»\tx: 1\n"), "not valid YAML"),
    "open_bracket": (study("5e-3}\nobjectives:", "5e-3\nobjectives»:"), "not valid YAML"),
    "undefined_alias": (study("study: small", "study: »*other"), "undefined alias"),
    "python_object": (study("study: small", "study: »!!python/object:a b"), "not plain data"),
    "key_is_a_list": (study("study: small", "? »[a, b]\n: 1\nstudy: small"), "plain word"),
    # Keys.
    "unknown_key": (study("search: {", "»serch: {"), "unknown key serch; did you mean search?"),
    "unknown_inner_key": (study("epochs: 3", "»epocs: 3"), "did you mean epochs?"),
    "unknown_stage_key": (space("heads: 2", "heads: 2, »lops: 1"), "did you mean loops?"),
    "unknown_space_key": (space("budget:", "»budgt:"), "did you mean budget?"),
    "unknown_limit_key": (space("max: 5", "»maks: 5"), "did you mean max?"),
    "unknown_axis_key": (space(LOOPS, "{»choice: [1]}"), "did you mean choices?"),
    "missing_key": (space("nll: {share: block}", "nll: {»shares: block}"), "unknown key shares"),
    "no_space": ([("study.yaml", "study: small\nspace: space.yaml", "»study: small")], "space is needed"),
    "no_width": (space("{width: 16, ", "»{"), "width is needed"),
    "numeric_key": (study("study: small", "study: small\n»7: 8"), "unknown key 7"),
    # Types.
    "word_for_number": (space("width: 16", "width: »wide"), 'whole number is needed, but got "wide"'),
    "fraction": (space("width: 16", "width: »16.5"), "whole number is needed, but got 16.5"),
    "truth_value": (space("width: 16", "width: »true"), "whole number is needed, but got true"),
    "number_for_list": (space("groups: [4, 2]", "groups: »4"), "a list is needed, but got 4"),
    "number_for_word": (study("study: small", "study: »010"), "a word is needed, but got 10"),
    "list_for_mapping": (study("{epochs: 3, batch_size: 64, lr: 5e-3}", "»[3]"), "a mapping is needed"),
    "word_for_mapping": (study("recipe: {epochs: 3, batch_size: 64, lr: 5e-3}", "recipe: »fast"), "unknown recipe"),
    "yaml_1_1_base_60": (study("lr: 5e-3", "lr: »1:30"), 'a number is needed, but got "1:30"'),
    "word_for_list": (study("[rerun]", "»rerun"), "a list is needed"),
    "axis_is_a_list": (space(LOOPS, "»[1, 2, 4]"), "a mapping is needed"),
    # Values.
    "no_seeds": (study("seeds: 2", "seeds: »0"), "at least 1 is needed, but got 0"),
    "negative_seed": (study("seeds: 2", "seed: »-1"), "at least 0 is needed, but got -1"),
    "no_epochs": (study("recipe: {epochs: 3", "recipe: »{epochs: 0"), "`epochs > 0` must hold, but got 0"),
    "negative_lr": (study("recipe: {epochs: 3, batch_size: 64, lr: 5e-3", "recipe: »{lr: -1"), "`lr > 0` must hold"),
    "infinite_lr": (study("recipe: {epochs: 3, batch_size: 64, lr: 5e-3", "recipe: »{lr: .inf"), "lr"),
    "long_warmup": (study("recipe: {epochs: 3", "recipe: »{warmup: 4, epochs: 3"), "4 of 3"),
    "two_durations": (study("recipe: {epochs: 3", "recipe: »{steps: 5, epochs: 3"), "one of `epochs`"),
    "misspelt_recipe": (study("recipe: {epochs: 3", "recipe: {name: »smal, epochs: 3"), "did you mean small?"),
    "depths_of_a_fixed_depth": (study("recipe: {epochs: 3", "recipe: »{depths: [1], epochs: 3"), "depth_training"),
    "macs_beside_epochs": (study("recipe: {epochs: 3", "recipe: »{macs: 1e12, epochs: 3"), "one of `epochs`, `steps`, `samples`, `macs` is enough, but got ['epochs', 'macs']"),
    "no_macs": (study("recipe: {epochs: 3", "recipe: »{macs: 0"), "`macs > 0` must hold, but got 0.0"),
    "negative_macs": (study("recipe: {epochs: 3", "recipe: »{macs: -2e12"), "`macs > 0` must hold"),
    "endless_macs": (study("recipe: {epochs: 3", "recipe: »{macs: .inf"), "`macs <= "),
    "too_few_macs_for_a_step": (study("recipe: {epochs: 3", "recipe: {macs: »1e4"), "less than one step of any candidate, which takes"),
    "misspelt_depth_training": (study("recipe: {epochs: 3", "recipe: {depth_training: »mixd, epochs: 3"), "'sandwich' or 'curriculum' is needed, but got"),
    "misspelt_kind": (study("recipe: {epochs: 3", "recipe: {depth_training: {kind: »mixd}, epochs: 3"), "'sandwich' or 'curriculum' is needed, but got"),
    "misspelt_key_of_depth_training": (study("recipe: {epochs: 3", "recipe: {depth_training: {»backprob: 3}, epochs: 3"), "did you mean backprop?"),
    "depth_training_is_a_number": (study("recipe: {epochs: 3", "recipe: {depth_training: »3, epochs: 3"), "a mapping is needed"),
    "no_loops_to_lead_gradients_through": (study("recipe: {epochs: 3", "recipe: {depth_training: »{backprop: 0}, epochs: 3"), "a number of loops from 1, but got 0"),
    "gradients_through_more_loops_than_there_are": (study("recipe: {epochs: 3", "recipe: {depth_training: {backprop: »5}, epochs: 3"), "more than the 4 loops of any candidate"),
    "growth_without_a_curriculum": (study("recipe: {epochs: 3", "recipe: {depth_training: »{grow: [[0, 1]]}, epochs: 3"), "`grow` is that of `kind: curriculum`"),
    "decay_of_a_cosine": (study("recipe: {epochs: 3", "recipe: »{decay: 1, epochs: 3"), "wsd"),
    "crop_beyond_the_image": (study("recipe: {epochs: 3", "recipe: {augment: »{crop: [0.5, 2.0]}, epochs: 3"), "within 0 to 1"),
    "unknown_augmentation": (study("recipe: {epochs: 3", "recipe: {augment: {»flp: true}, epochs: 3"), "did you mean flip?"),
    "trial_without_a_number": (study("recipe: {epochs: 3", "recipe: {distill: »{teacher: trial x}, epochs: 3"), "trial N"),
    "folder_and_name": (study("data: {name: digits, split_seed: 0}", "data: »{imagefolder: a, root: b}"), "stands alone"),
    "no_root": (study("data: {name: digits, split_seed: 0}", "data: »{name: cifar10}"), "needs `root`"),
    "folds_of_a_set_with_a_test_part": (study("data: {name: digits, split_seed: 0}", "data: »{name: cifar10, root: a, folds: 5}"), "test part of its own"),
    "a_fold_too_many": (study("data: {", "data: »{folds: 2, fold: 2, "), "2 of 2"),
    "no_unit_of_time": (study(SEARCH, f'{SEARCH}compute: {{checkpoint_every: »"10"}}\n'), "10"),
    "weights_of_one_depth": ([("study.yaml", "recipe: {epochs: 3", "recipe: {depth_training: sampled, epochs: 3"), ("study.yaml", ARMS, ""), ("space.yaml", "nll: {share: block}", "nll: {share: execution}"), ("space.yaml", "axes:\n  stages.*.loops: {choices: [1, 2, 4]}", "axes:\n  stages.*.loops: {choices: [1, »2, 4]}")], "weights that fit every depth"),
    "nothing_to_train_on": (study("data: {", "data: »{val: 0.5, test: 0.6, "), "0.5 and 0.6"),
    "negative_split_seed": (study("data: {name: digits, split_seed: 0", "data: »{split_seed: -1"), "split_seed"),
    "empty_validation_part": (study("data: {", "data: »{val: 0.0001, "), "val"),
    "unknown_data": (study("data: {name: digits", "data: »{name: digit"), "did you mean digits?"),
    "unknown_sampler": (study("sampler: grid", "sampler: »gird"), "did you mean grid?"),
    "unknown_scheduler": (study(SEARCH, f"{SEARCH}scheduler: {{name: »ash}}\n"), "'none', 'asha' or 'mo_asha' is needed"),
    "unknown_address": (study(SEARCH, f"{SEARCH}compute: {{address: »here}}\n"), '"here"'),
    "name_with_a_space": (study("study: small", "study: »small study"), "small study"),
    "infinite_budget": (space("max: 50_000", "max: ».inf"), "finite"),
    # The architecture.
    "heads": (space("heads: 2", "heads: »3"), "stage 0: heads must divide the width, but got 16 channels for 3 heads; 2 or 4"),
    "groups": (space("[4, 2]", "[4, »3]"), "stage 0: 16 tokens cannot be cut into 3 groups; 2 or 4 would do"),
    "width": (space("width: 32", "width: »40"), "stage 1: the width must be a multiple of the previous stage's 16, but got 40; 32 or 48"),
    "no_loops": (space("loops: 3", "loops: »0"), "`loops > 0` must hold, but got 0"),
    "no_stage": (space("stages:\n    - {width: 16, heads: 2, unique: 2, loops: 1, groups: [4, 2], mlp_ratio: 2}\n    - {width: 32, heads: 4, unique: 1, loops: 3, mlp_ratio: 1.5}", "stages: »[]"), "at least one stage"),
    "residual_kind": (space("kind: scaled", "kind: »scale"), "'lrc', 'layerscale' or 'scaled' is needed"),
    "unknown_variant": (space(SPACE[:SPACE.index("axes")], "architecture: »sret_digit\n"), "unknown architecture 'sret_digit'; did you mean sret_digits?"),
    "no_architecture": (space(SPACE[:SPACE.index("axes")], "architecture: »5\n"), "a mapping is needed"),
    "classes_of_the_data": (space("classes: 10", "classes: »9"), "digits has classes 10, but here it is 9"),
    "size_of_the_data": (space("image_size: 8", "image_size: »12"), "digits has image_size 8, but here it is 12"),
    "channels_of_the_data": (space("in_channels: 1", "in_channels: »3"), "digits has in_channels 1, but here it is 3"),
    # Axes.
    "no_such_field": (axis("»stages.*.loop: {choices: [1]}"), "did you mean stages.*.loops?"),
    "no_such_recipe": (axis("»recipe.lrr: {choices: [1]}"), "did you mean recipe.lr?"),
    "no_such_stage": (axis("»stages.2.width: {choices: [64]}"), "has 2 stages, counted from 0"),
    "same_field_twice": (axis("»stages.1.loops: {choices: [1]}"), "the same field as stages.*.loops"),
    "no_values": (axis("nll.rank: {choices: »[]}"), "at least one value is needed"),
    "neither_choices_nor_range": (axis("drop_path: »{}"), "axis drop_path is empty"),
    "half_a_range": (axis("drop_path: »{low: 0.1}"), "axis drop_path is empty"),
    "choices_and_range": (axis("drop_path: »{choices: [0.1], low: 0.2}"), "stand alone"),
    "reversed_range": (axis("stages.1.unique: »{low: 5, high: 2}"), "`low <= high` must hold, but got 5 and 2"),
    "logarithm_of_zero": (axis("stages.1.unique: {low: »0, high: 2, log: true}"), "`low > 0`, but got 0"),
    "value_twice": (axis("stages.1.unique: {choices: [2, 1, »2]}"), "2 stands here twice"),
    "value_of_the_wrong_type": (axis("stages.1.unique: {choices: [2, »two]}"), "'two' does not fit stages.1.unique"),
    "bound_of_the_wrong_type": (axis("stages.1.unique: {low: 1, high: »2.5}"), "2.5 does not fit stages.1.unique"),
    "unknown_word": (axis("nll.share: {choices: [none, »blok]}"), "'blok' does not fit nll.share"),
    "groups_of_an_axis": (axis("stages.1.groups: {choices: [[1], »[3, 1]]}"), "stage 1: 4 tokens cannot be cut into 3 groups; 2 or 4 would do"),
    "recipe_of_an_axis": (axis("recipe.lr: {choices: [1e-3, »0]}"), "`lr > 0` must hold, but got 0"),
    "data_of_an_axis": (axis("image_size: {choices: [8, »16]}"), "image_size 8"),
    "when_on_no_axis": (axis("nll.ratio: {choices: [1], when: {»nll.share: [block]}}"), "nll.share must be an axis that stands above nll.ratio"),
    "when_without_list": (axis("nll.ratio: {choices: [1], when: {stages.*.loops: »1}}"), "a list is needed"),
    "tie_to_no_axis": (axis("stages.1.width: {same_as: »stages.0.width}"), "stages.0.width must be an axis that stands above"),
    "tie_to_itself": (axis("stages.1.width: {same_as: »stages.1.width}"), "must be an axis that stands above"),
    "tie_and_choices": (axis("nll.rank: »{same_as: stages.*.loops, choices: [1]}"), "`same_as` stands alone"),
    "tie_and_log": (axis("nll.rank: »{same_as: stages.*.loops, log: true}"), "not with `log`"),
    "times_without_tie": (axis("nll.rank: »{choices: [1], times: 2}"), "`times` and `plus` belong to `same_as"),
    "tie_to_fractions": (axis("nll.rank: {same_as: »stages.*.loops, times: 0.5}"), "takes whole numbers, but 1 of stages.*.loops gives 0.5"),
    "tie_of_words": (axis("nll.share: {choices: [none, stage]}\n  nll.rank: »{same_as: nll.share, times: 2}"), "are for numbers, but nll.share can be none"),
    "tie_of_another_type": (axis("nll.share: {same_as: »stages.*.loops}"), "1 does not fit nll.share"),
    "tie_of_a_continuous_axis": (axis("drop_path: {low: 0.1, high: 0.2}\n  nll.rank: {same_as: »drop_path}"), "takes whole numbers, which not all values"),
    "times_of_a_word": (axis("nll.rank: {same_as: stages.*.loops, times: »two}"), "a number is needed"),
    "divisors_of_width": (axis("stages.0.heads: »{divisors: tokens}"), "are for the slice groups of a stage"),
    "divisors_of_pixels": (axis("stages.0.groups: {divisors: »pixels, entries: 1}"), "'tokens' is needed"),
    "divisors_without_entries": (axis("stages.0.groups: »{divisors: tokens}"), "`entries: 1` makes one"),
    "divisors_out_of_reach": (axis("stages.0.groups: »{divisors: tokens, low: 5, high: 7, entries: 1}"), "no divisor of 16 tokens lies from 5 to 7"),
    "divisors_and_choices": (axis("stages.0.groups: »{divisors: tokens, choices: [[1]]}"), "`choices` stand alone"),
    "divisors_reversed": (axis("stages.0.groups: »{divisors: tokens, low: 4, high: 2, entries: 1}"), "`low <= high`"),
    "no_entries": (axis("stages.0.groups: {divisors: tokens, entries: »0}"), "at least 1 is needed"),
    "entries_of_a_number": (axis("stages.0.width: {choices: [16], entries: »2}"), "stages.0.width is a single value"),
    "entries_without_end": (axis("stages.1.groups: {divisors: tokens, entries: »40}"), "3^40 lists are more than 10,000"),
    "entries_of_fractions": (axis("recipe.augment.crop: »{low: 0.1, high: 0.9, entries: 2}"), "whole numbers or divisors"),
    "entry_of_the_wrong_type": (axis("stages.0.loops: {choices: [1, »one], entries: 2}"), "'one' does not fit stages.0.loops"),
    "list_of_loops_too_long": (axis("stages.1.groups: {choices: [[1]]}\n  stages.0.heads: {choices: [2, »5]}"), "heads must divide"),
    "a_whole_stage": (axis("»stages.0: {choices: [{width: 16, heads: 2}]}"), "name a field of it"),
    "all_stages": (axis("»stages: {choices: [[{width: 16, heads: 2}]]}"), "name a field of it"),
    "condition_on_an_axis_below": (axis("nll.rank: {choices: [1], when: {»drop_path: [0.1]}}\n  drop_path: {choices: [0.1]}"), "must be an axis that stands above"),
    "unknown_budget": (space("params: {max: 50_000}", "»flops: {max: 1}"), "unknown key flops"),
    "memory_of_apples": (space("params: {max: 50_000}", "memory: {max: »2 apples}"), '"2 apples"'),
    "memory_of_nobody": (space("params: {max: 50_000}", "»memory: {max: 1}"), "bytes of memory are more than 1"),
    "training_of_nobody": (space("params: {max: 50_000}", "»train_macs: {max: 1}"), "train_macs are more than 1"),
    "reversed_budget": (space("params: {max: 50_000}", "params: »{min: 9, max: 3}"), "`min <= max` must hold, but got 9 and 3"),
    "seconds_of_nobody_knows": (space("params: {max: 50_000}", "»seconds: {max: 9}"), "budget.seconds needs a calibration"),
    "too_large_a_number": (space("width: 16", "width: »99999999999999999999"), "too large"),
    "too_wide": (space("width: 16", "width: »2000000"), "`width <= 1,000,000` must hold, but got 2000000"),
    "too_many_loops": (space("loops: 3", "loops: »3000000"), "`loops <= 1,000,000`"),
    "no_steps": (study("recipe: {epochs: 3", "recipe: »{steps: 0"), "`steps > 0` must hold"),
    "endless_training": (study("recipe: {epochs: 3", "recipe: »{epochs: 1e300"), "`epochs <= 1,000,000,000,000`"),
    "too_many_depths": ([*study("recipe: {epochs: 3", "recipe: {depth_training: sampled, epochs: 3"), *study(ARMS, ""), *space(AXES, "  stages.*.loops: {choices: [1, »2000]}\n")], "at most 1,000 depths can be trained, not 2,000"),
    "a_list_in_lists": (space("groups: [4, 2]", f"groups: {'[' * 46}»[[1{']' * 48}"), "more than 50 lists"),
    "budget_nobody_meets": (space("params: {max: 50_000}", "»params: {max: 100}"), "no candidate meets the budget; the closest has"),
    "budget_of_words": (space("max: 50_000", "max: »many"), 'a number is needed, but got "many"'),
    # Search, objectives, arms, controls.
    "endless_grid": (axis("recipe.lr: »{low: 1e-4, high: 1e-2, log: true}"), "a grid needs `choices` for recipe.lr"),
    "boundless_grid": (axis("recipe.batch_size: {low: 1, high: 5000}\n  recipe.accumulate: {low: 1, high: 900}") + study("sampler: grid", "sampler: »grid"), "more than 2,000,000 combinations"),
    "grid_with_trials": (study("seeds: 2", "trials: »3"), "the space gives the number of trials of a grid"),
    "random_without_trials": ([("study.yaml", f"{SEARCH}{ARMS}", "search: {sampler: »random}\n")], "random needs `trials`"),
    "tpe_without_trials": ([("study.yaml", f"{SEARCH}{ARMS}", "search: {sampler: »tpe}\n")], "tpe needs `trials`"),
    "wrong_direction": (study("accuracy: max", "accuracy: »min"), "accuracy can only be max"),
    "wrong_direction_of_cost": (study("params: min", "params: »max"), "params can only be min"),
    "unknown_objective": (study("accuracy: max", "»acuracy: max"), "'memory', 'bytes', 'bytes_bf16', 'bytes_int8' or 'latency_ms' is needed"),
    "wrong_direction_of_memory": (study("params: min", "memory: »max"), "memory can only be min"),
    "latency_that_nobody_asks_for": (study(SEARCH, f"{SEARCH}»latency: {{batch_size: 8}}\n"), "`latency` is for the objective latency_ms"),
    "latency_of_no_image": (study(SEARCH, f"{SEARCH}latency: {{batch_size: »0}}\n"), "at least 1 is needed, but got 0"),
    "nothing_to_learn": (study("objectives: {accuracy: max, params: min}", "objectives: »{params: min}"), "one objective must be accuracy or loss"),
    "two_to_learn": (frontier("{accuracy: max, »loss: min, params: min}"), "the sampler frontier learns one objective"),
    "no_known_cost": (frontier("»{accuracy: max}"), "needs a known cost among the objectives"),
    "measured_cost": (frontier("{accuracy: max, params: min, »latency_ms: min}"), "latency_ms is measured"),
    "no_objective": (study("objectives: {accuracy: max, params: min}", "objectives: »{}"), "at least one value is needed"),
    "arms_on_no_axis": (study("axis: stages.*.loops", "axis: »stages.0.loops"), "the space has no axis stages.0.loops; did you mean stages.*.loops?"),
    "reference_not_a_value": (study("reference: 1", "reference: »3"), "3 is not a value of stages.*.loops; 1, 2, 4"),
    "asha_of_two_objectives": (scheduled("name: »asha"), "asha ranks by one objective, but there are accuracy, params: mo_asha"),
    "strata_of_asha": (scheduled("name: asha, »strata: 2"), "`strata` is for mo_asha"),
    "grace_of_nothing": (scheduled("»grace: 2"), "`grace` is for asha and mo_asha"),
    "no_halving": (scheduled("name: mo_asha, eta: »1"), "at least 2 is needed, but got 1"),
    "grace_until_the_end": (scheduled("name: mo_asha, grace: »3"), "`grace < epochs` must hold, but got 3 and 3"),
    "rungs_of_steps": (scheduled("name: mo_asha", ("study.yaml", "epochs: 3", "»steps: 3")), "give `epochs` in place of `steps`"),
    "rungs_of_half_epochs": (scheduled("name: mo_asha", ("study.yaml", "epochs: 3", "epochs: »2.5")), "whole epochs, but got 2.5"),
    "rungs_of_several_lengths": (scheduled("name: »mo_asha", ("space.yaml", LOOPS, f"{LOOPS}\n  recipe.epochs: {{choices: [2, 3]}}")), "the space has recipe.epochs"),
    "stopped_seeds": (scheduled("name: mo_asha", ("study.yaml", RANDOM, "search: {sampler: random, trials: 4, seeds: »2}\n")), "some seeds of a candidate"),
    "stopped_arms": (study(SEARCH, "search: {sampler: grid}\nscheduler: {name: mo_asha}\n»"), "arms are compared at the end"),
    "stopped_twins": (scheduled("name: mo_asha}\n»controls: [unshared]\nstorage: {"), "twins stand beside"),
    "arms_of_random": (study(f"{SEARCH}arms: ", f"{RANDOM}arms: »"), "they need the grid sampler"),
    "unknown_control": (study("[rerun]", "[»reruns]"), "did you mean rerun?"),
    "controls_without_arms": (study(ARMS, "controls: [»rerun]\n"), "rerun controls need `arms`"),
    "rerun_without_its_control": (study("controls: [rerun]", "controls: []\n»rerun: all"), "is for `controls: [rerun]`"),
    "unknown_rerun": (study("controls: [rerun]", "controls: [rerun]\nrerun: »some"), "'reference' or 'all' is needed"),
    "controls_with_weights": ([*space("share: block", "share: execution"), *study("[rerun]", "[»rerun]")], "cannot run as"),
}  # fmt: skip


@pytest.mark.parametrize(("edits", "fragment"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named_by_its_line_and_column(files, edits, fragment):
    texts = files(*edits)
    (name, before), *others = [
        (name, text.partition(MARK)[0]) for name, text in texts.items() if MARK in text
    ]
    assert not others
    place = f"{name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "
    with pytest.raises(StudyError) as caught:
        load_study(Path("study.yaml"))
    lines = [line for line in str(caught.value).splitlines() if line.startswith(place)]
    assert lines, f"nothing is said of {place}\n{caught.value}"
    assert any(fragment in line for line in lines), lines


def test_a_missing_study_lists_what_lies_beside_it(files):
    files()
    with pytest.raises(StudyError, match=r"^stduy\.yaml: no such file.*space\.yaml, study\.yaml"):
        load_study(Path("stduy.yaml"))


def test_a_missing_space_is_named_where_the_study_names_it(files):
    with pytest.raises(StudyError, match=r"^study\.yaml:2:8: no such space: other\.yaml"):
        load(files, ("study.yaml", "space.yaml", "other.yaml"))


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"- a\n- b\n", b"word\n"])
def test_a_file_must_be_a_mapping(files, content):
    files()
    Path("space.yaml").write_bytes(content)
    with pytest.raises(StudyError, match=r"^space\.yaml:1:1: a mapping of keys to values"):
        load_study(Path("study.yaml"))


def test_a_file_must_be_utf_8_text(files):
    files()
    Path("space.yaml").write_bytes(b"architecture: sret_t\n# gr\xfc\xdfe\n")
    with pytest.raises(StudyError, match=r"^space\.yaml:2:5: cannot be read: it is not UTF-8 text"):
        load_study(Path("study.yaml"))


def test_a_mapping_that_holds_itself_is_refused(files):
    with pytest.raises(StudyError, match=r"^study\.yaml:1:"):
        load(files, ("study.yaml", "study: small", "study: &a [*a]"))


def test_a_key_without_value_is_named_on_its_own_line(files):
    with pytest.raises(StudyError, match=r"^study\.yaml:4:"):
        load(files, ("study.yaml", "recipe: {epochs: 3, batch_size: 64, lr: 5e-3}", "recipe:"))


def test_everything_wrong_in_both_files_is_told_at_once(files):
    edits = [
        ("study.yaml", "epochs: 3", "epocs: 3"),
        ("study.yaml", "sampler: grid", "sampler: gird"),
        ("space.yaml", "heads: 2", "heads: two"),
        ("space.yaml", "budget:", "budgt:"),
    ]
    with pytest.raises(StudyError) as caught:
        load(files, *edits)
    assert [str(p).split(": ")[0] for p in caught.value.problems] == [
        "study.yaml:4:10",
        "study.yaml:6:19",
        "space.yaml:7:26",
        "space.yaml:13:1",
    ]


def test_a_study_is_read_as_it_is_written(files):
    study = load(files)
    assert study.name == "small"
    assert study.file.data == Data("digits", split_seed=0)
    assert study.space.recipe == Recipe(epochs=3, batch_size=64, lr=5e-3)
    assert study.file.objectives == {"accuracy": "max", "params": "min"}
    a = study.space.architecture
    assert a.stages == (
        Stage(16, 2, unique=2, loops=1, groups=(4, 2), mlp_ratio=2.0),
        Stage(32, 4, unique=1, loops=3, groups=(1,), mlp_ratio=1.5),
    )
    assert a.nll == NLL("block")
    assert a.residual.kind == "scaled"
    assert study.trials == 3 * 2


def test_a_space_may_name_a_variant_and_have_no_axes(files):
    edits = [
        ("space.yaml", SPACE, "architecture: sret_digits\n"),
        ("study.yaml", ARMS, ""),
    ]
    study = load(files, *edits)
    assert [c.architecture for c in study.grid] == [VARIANTS["sret_digits"]]


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "studies").rglob("*.yaml")), ids=lambda p: p.stem
)
def test_the_studies_that_come_with_the_project_are_right(path):
    assert load_study(path).trials > 0


def test_a_named_recipe_is_written_out_under_what_the_file_adds(files):
    assert load(files, (*RECIPE, "recipe: deit")).space.recipe == Recipe.from_dict(RECIPES["deit"])
    changed = load(files, (*RECIPE, "recipe: {name: deit, steps: 90, warmup: 9, lr: 1e-4}"))
    recipe = changed.space.recipe
    assert (recipe.unit, recipe.length, recipe.warmup, recipe.lr) == ("steps", 90, 9, 1e-4)
    assert recipe.augment == Recipe.from_dict(RECIPES["deit"]).augment


def test_seeds_take_their_folds_in_turn(files):
    study = load(
        files,
        ("study.yaml", "split_seed: 0", "folds: 3"),
        ("study.yaml", "seeds: 2}", "seeds: 2, seed: 10}"),
    )
    folds = [study.job(study.grid[0], seed, "cpu").data.fold for seed in (10, 11, 12, 13)]
    assert folds == [0, 1, 2, 0]


def test_an_elastic_candidate_is_run_at_every_depth(files):
    elastic = "recipe: {depth_training: mixed, depths: [1, 4], epochs: 3"
    study = load(
        files, ("study.yaml", "recipe: {epochs: 3", elastic), ("study.yaml", ARMS, ""),
        ("space.yaml", LOOPS, "{choices: [4]}"),
    )  # fmt: skip
    (candidate,) = study.grid
    assert [a.loops for a in study.reruns(candidate)] == [1, 2, 3]


def test_axes_may_stand_beside_arms_that_they_belong_to(files):
    beside = AXES + "  nll.share: {choices: [none, stage], when: {stages.*.loops: [1]}}\n"
    edits = [("space.yaml", AXES, beside), ("study.yaml", "controls: [rerun]\n", "")]
    assert load(files, *edits).trials == 2 * 4


def test_an_axis_may_replace_a_mapping(files):
    taught = "  recipe.distill: {choices: [null, {teacher: trial 0}]}\n"
    study = load(files, ("space.yaml", AXES, taught), ("study.yaml", ARMS, ""))
    teachers = [c.recipe.distill and c.recipe.distill.teacher for c in study.grid]
    assert sorted(teachers, key=str) == [None, "trial 0"]


def test_missing_weights_are_named_before_anything_starts(files):
    taught = "recipe: {distill: {teacher: no/where.safetensors}, epochs: 3"
    study = load(files, ("study.yaml", "recipe: {epochs: 3", taught))
    with pytest.raises(
        StudyError, match=r"study.yaml:4:\d+: no weights for 'no/where.safetensors'"
    ):
        preflight.check(study)
    fine = load(
        files,
        (
            "study.yaml",
            "recipe: {epochs: 3",
            taught.replace("no/where.safetensors", "torchvision:resnet18"),
        ),
    )
    preflight.check(fine)


def test_numbers_are_those_of_yaml_1_2(files):
    study = load(
        files,
        ("study.yaml", "lr: 5e-3", "lr: 1e-3"),
        ("study.yaml", "seeds: 2", "seeds: 010"),
        ("study.yaml", "study: small", "study: yes"),
        ("space.yaml", "{max: 50_000}", "{max: 200_000}\n  macs: {min: 0x10, max: 20e6}"),
    )
    assert study.file.recipe.lr == 0.001
    assert study.file.search.seeds == 10
    assert study.name == "yes"
    budget = study.space.budget
    assert (budget.params.max, type(budget.params.max)) == (200_000, int)
    assert (budget.macs.max, type(budget.macs.max)) == (20_000_000.0, float)
    assert budget.macs.min == 16


def test_a_star_replaces_the_field_of_every_stage(files):
    study = load(files)
    assert [[s.loops for s in c.architecture.stages] for c in study.grid] == [
        [4, 4],
        [2, 2],
        [1, 1],
    ]
    assert all([s.width for s in c.architecture.stages] == [16, 32] for c in study.grid)


def test_an_axis_may_address_one_stage_a_nested_field_or_the_recipe(files):
    study = load_axes(
        files,
        [
            "stages.1.mlp_ratio: {choices: [0.5]}",
            "stages.0.groups: {choices: [[8, 2]]}",
            "stem_strides: {choices: [[2, 1]]}",
            "nll.rank: {choices: [3]}",
            "residual.kind: {choices: [lrc]}",
            "recipe.lr: {choices: [0.25]}",
        ],
    )
    (candidate,) = study.grid
    base = study.space.architecture
    assert candidate.architecture == replace(
        base,
        stem_strides=(2, 1),
        stages=(replace(base.stages[0], groups=(8, 2)), replace(base.stages[1], mlp_ratio=0.5)),
        nll=replace(base.nll, rank=3),
        residual=replace(base.residual, kind="lrc"),
    )
    assert candidate.recipe == replace(study.space.recipe, lr=0.25)


def test_an_axis_may_address_one_entry_of_a_list(files):
    study = load_axes(
        files,
        ["stem_strides.2: {choices: [2, 4]}", "stages.0.groups.1: {choices: [1, 4]}"],
        ("study.yaml", ARMS, ""),
        ("space.yaml", "[1, 2]", "[1, 1, 2]"),
        ("space.yaml", "unique: 2, loops: 1", "unique: 2, loops: 2"),
    )
    found = {(c.architecture.stem_strides, c.architecture.stages[0].groups) for c in study.grid}
    assert found == {((1, 1, n), (4, g)) for n, g in ((2, 1), (2, 4), (4, 1), (4, 4))}


@pytest.mark.parametrize("path", ["stem_strides.1", "stages.1.groups.1", "stages.*.groups.*"])
def test_an_axis_past_the_end_of_a_list_is_refused(files, path):
    edits = [
        ("study.yaml", f"{SEARCH}{ARMS}", RANDOM),
        ("space.yaml", "stem_strides: [1, 2]", "stem_strides: [2]"),
    ]
    with pytest.raises(StudyError, match=r"^space\.yaml:12:3: axis"):
        load_axes(files, [f"{path}: {{choices: [1]}}"], *edits)


def test_the_grid_has_the_costliest_training_first(files):
    axes = ["stages.0.width: {choices: [16, 32]}", "recipe.epochs: {choices: [2, 1, 9]}"]
    study = load_axes(files, axes)
    found = [(c.architecture.stages[0].width, c.recipe.epochs) for c in study.grid]
    wide, narrow = (
        cost(next(c for c in study.grid if c.architecture.stages[0].width == w).architecture).macs
        for w in (32, 16)
    )
    costs = {(w, e): e * (wide if w == 32 else narrow) for w in (16, 32) for e in (1, 2, 9)}
    assert found == sorted(costs, key=costs.__getitem__, reverse=True)
    assert found[0] == (32, 9)


def test_a_range_of_whole_numbers_is_a_grid_with_both_ends(files):
    study = load_axes(files, ["stages.1.loops: {low: 2, high: 5}"])
    assert [c.architecture.stages[1].loops for c in study.grid] == [5, 4, 3, 2]


def test_combinations_that_cannot_be_built_are_left_out(files):
    axes = ["stages.1.width: {choices: [32, 48]}", "stages.1.heads: {choices: [4, 6]}"]
    study = load_axes(files, axes)
    found = {(c.architecture.stages[1].width, c.architecture.stages[1].heads) for c in study.grid}
    assert found == {(32, 4), (48, 4), (48, 6)}


def test_candidates_over_the_budget_are_left_out_and_its_ends_are_kept(files):
    axes = ["stages.1.mlp_ratio: {choices: [1, 2, 3, 4]}"]
    known = sorted(c.cost.params for c in load_axes(files, axes).grid)
    assert len(known) == 4
    limits = ("space.yaml", "{max: 50_000}", f"{{min: {known[1]}, max: {known[2]}}}")
    study = load_axes(files, axes, ("study.yaml", ARMS, ""), limits)
    assert sorted(c.cost.params for c in study.grid) == known[1:3]
    assert study.trials == 2 * 2


@pytest.mark.parametrize("name", ["params", "macs", "executions"])
def test_every_cost_can_be_bounded(files, name):
    costs = sorted(getattr(c.cost, name) for c in load(files).grid if c.cost)
    # With shared weights every depth has the same parameters.
    bound = costs[0] - 1 if name == "params" else costs[-1] - 1
    edit = ("space.yaml", "params: {max: 50_000}", f"{name}: {{max: {bound}}}")
    if name == "params":
        with pytest.raises(StudyError, match="no candidate meets the budget"):
            load(files, edit)
    else:
        assert sorted(getattr(c.cost, name) for c in load(files, edit).grid) == costs[:-1]


CONDITIONAL = [
    "nll.share: {choices: [none, stage, block]}",
    "nll.ratio: {choices: [0.5, 2], when: {nll.share: [stage, block]}}",
    "nll.rank: {choices: [null, 3], when: {nll.share: [block], nll.ratio: [2]}}",
]


def test_a_grid_leaves_out_axes_whose_conditions_do_not_hold(files):
    found = [c.values for c in load_axes(files, CONDITIONAL).grid]
    wanted = [
        {"nll.share": "none"},
        {"nll.share": "stage", "nll.ratio": 0.5},
        {"nll.share": "stage", "nll.ratio": 2},
        {"nll.share": "block", "nll.ratio": 0.5},
        {"nll.share": "block", "nll.ratio": 2, "nll.rank": None},
        {"nll.share": "block", "nll.ratio": 2, "nll.rank": 3},
    ]
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, wanted))


def test_a_field_whose_axis_does_not_count_keeps_the_space_s_value(files):
    grid = load_axes(files, CONDITIONAL).grid
    built = {json.dumps(c.values): c.architecture.nll for c in grid}
    assert built['{"nll.share": "none"}'] == NLL("none", 1.0, None)
    assert built['{"nll.share": "block", "nll.ratio": 0.5}'] == NLL("block", 0.5, None)
    assert built['{"nll.share": "block", "nll.ratio": 2, "nll.rank": 3}'] == NLL("block", 2.0, 3)


def test_a_condition_on_an_axis_that_does_not_count_reads_the_space_s_value(files):
    axes = [
        "nll.share: {choices: [none, block]}",
        "nll.ratio: {choices: [0.5, 2], when: {nll.share: [block]}}",
        "drop_path: {choices: [0.0, 0.1], when: {nll.ratio: [1]}}",
    ]
    found = [c.values for c in load_axes(files, axes).grid]
    assert {"nll.share": "none", "drop_path": 0.1} in found
    assert len(found) == 2 + 2


def test_a_draw_leaves_out_axes_whose_conditions_do_not_hold(files):
    space = load_axes(files, CONDITIONAL, ("study.yaml", f"{SEARCH}{ARMS}", RANDOM)).space
    rng = random.Random(0)
    found = {json.dumps(space.draw(rng)) for _ in range(300)}
    assert found == {json.dumps(values) for values in points_of(space)}


RANGES = [
    "stages.*.loops: {low: 1, high: 250, log: true}",
    "stages.1.unique: {low: 1, high: 3}",
    "recipe.lr: {low: 1e-4, high: 1e-2, log: true}",
    "drop_path: {low: 0.1, high: 0.3}",
    "stages.0.width: {choices: [16, 32]}",
]


@pytest.fixture(scope="module")
def ranges(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranges")
    axes = "".join(f"  {axis}\n" for axis in RANGES)
    (folder / "space.yaml").write_text(SPACE.replace(AXES, axes))
    (folder / "study.yaml").write_text(STUDY.replace(f"{SEARCH}{ARMS}", RANDOM))
    return load_study(folder / "study.yaml").space


def test_draws_are_the_same_for_the_same_seed(ranges):
    def draws(seed):
        rng = random.Random(seed)
        return [ranges.draw(rng) for _ in range(20)]

    assert draws(3) == draws(3)
    assert draws(3) != draws(4)


def test_draws_keep_to_their_ranges_and_reach_both_ends(ranges):
    rng = random.Random(0)
    drawn = [ranges.draw(rng) for _ in range(3000)]
    loops, unique, lr, drop = ([d[axis.split(":")[0]] for d in drawn] for axis in RANGES[:4])
    assert (min(loops), max(loops)) == (1, 250)
    assert {type(n) for n in loops} == {int}
    assert set(unique) == {1, 2, 3}
    assert 1e-4 <= min(lr) < 1.1e-4
    assert 0.9e-2 < max(lr) <= 1e-2
    assert 0.1 <= min(drop) < 0.11
    assert 0.29 < max(drop) <= 0.3
    # The middle of a logarithmic axis is its geometric mean: of 1/2 and 250 1/2 for the whole
    # numbers from 1 to 250, each of which stands for the interval around it.
    assert 10 <= statistics.median(loops) <= 12
    assert statistics.median(lr) == pytest.approx(1e-3, rel=0.15)
    assert statistics.median(drop) == pytest.approx(0.2, rel=0.05)
    assert [d["stages.0.width"] for d in drawn].count(16) == pytest.approx(1500, rel=0.1)


def test_a_range_of_ranks_is_drawn_in_whole_numbers(files):
    axes = ["nll.rank: {low: 2, high: 5}"]
    space = load_axes(files, axes, ("study.yaml", f"{SEARCH}{ARMS}", RANDOM)).space
    rng = random.Random(0)
    drawn = [space.candidate(space.draw(rng)).architecture.nll.rank for _ in range(100)]
    assert set(drawn) == {2, 3, 4, 5}
    assert {type(rank) for rank in drawn} == {int}


def test_the_reference_is_rerun_as_every_other_arm_and_the_others_as_the_reference(files):
    study = load(files)
    four, two, one = study.grid
    assert {a.executions for a in study.reruns(one)} == {6, 12}
    assert study.reruns(two) == (one.architecture,)
    assert study.reruns(four) == (one.architecture,)
    job = study.job(one, seed=5, device="cpu")
    assert (job.architecture, job.recipe, job.seed) == (one.architecture, one.recipe, 5)
    assert job.reruns == study.reruns(one)


def test_every_arm_is_rerun_as_every_other_arm_if_all_are(files):
    study = load(files, ("study.yaml", "[rerun]\n", "[rerun]\nrerun: all\n"))
    executions = [arm.architecture.executions for arm in study.grid]
    for arm in study.grid:
        ran = [a.executions for a in study.reruns(arm)]
        assert sorted([*ran, arm.architecture.executions]) == sorted(executions)
