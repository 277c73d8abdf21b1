"""Lengths in multiply-adds: steps, samples and schedules of candidates that cost differently."""

import math

import pytest

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.job import Data, Job, Recipe, image_macs, images_seen, timetable, train_macs
from sret_search.job.lr_schedule import steps_of_macs
from sret_search.space.twins import twins
from sret_search.study import load_study
from sret_search.training.trainer import Trainer

BASE = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(8, 2, unique=2, loops=4, mlp_ratio=2.0),),
    order="cycle", nll=NLL("block"), residual=Residual("lrc"),
)  # fmt: skip
MODES = [
    "fixed", "mixed", "sampled", "sandwich", {"backprop": 1},
    {"kind": "sampled", "law": "poisson_lognormal", "mean": 2.0, "backprop": 2},
    {"kind": "curriculum", "grow": [[0, 1], [0.25, 2], [0.5, "all"]]},
]  # fmt: skip


@pytest.mark.parametrize("training", MODES, ids=str)
@pytest.mark.parametrize("images", [100, 1257])
def test_every_candidate_trains_for_the_same_multiply_adds(training, images):
    for loops in (4, 16, 64):
        a = BASE.at_loops(loops)
        recipe = Recipe(macs=3e10, batch_size=32, depth_training=training)
        each = image_macs(a, recipe)
        reached = each * images_seen(a, recipe, images)
        assert abs(reached - recipe.macs) <= 16 * each * (1 + 1e-12)
        # A curriculum divides into whole steps.
        steps = timetable(a, recipe, images).total
        assert train_macs(a, recipe, images) == pytest.approx(reached, rel=1.5 / steps)


def test_no_other_number_of_steps_is_nearer():
    for images, batch_size in ((100, 32), (96, 32), (7, 32), (1257, 64)):
        of_epoch = math.ceil(images / batch_size)

        def seen(steps, images=images, batch_size=batch_size, of_epoch=of_epoch):
            epochs, rest = divmod(steps, of_epoch)
            return epochs * images + min(rest * batch_size, images)

        for wanted in range(min(batch_size, images), 5 * images, 3):
            steps = steps_of_macs(10.0 * wanted, 10.0, images, batch_size)
            gaps = [abs(seen(n) - wanted) for n in range(1, 6 * of_epoch)]
            assert gaps[steps - 1] == min(gaps)


def test_less_than_a_step_is_refused():
    step = 32 * image_macs(BASE, Recipe())
    assert timetable(BASE, Recipe(macs=step), 100).total == 1
    with pytest.raises(ValueError, match="are less than one step, which takes"):
        Job(BASE, Recipe(macs=0.9 * step), Data(), seed=0)


@pytest.mark.parametrize("macs", [0, -1e9, math.inf, math.nan])
def test_what_is_no_length_is_refused(macs):
    with pytest.raises(ValueError, match="`macs"):
        Recipe(macs=macs)


def test_one_unit_is_enough():
    with pytest.raises(ValueError, match="`macs` is enough, but got"):
        Recipe(macs=1e12, samples=10)


def test_warmup_and_decay_are_in_multiply_adds_too():
    steps = 200 * 32 * image_macs(BASE, Recipe())
    recipe = Recipe(macs=steps, warmup=steps / 4, decay=steps / 2, schedule="wsd")
    times = timetable(BASE, recipe, 3200)
    assert (times.total, times.warmup, times.stable_until) == (200, 50, 100)
    usual = timetable(BASE, Recipe(macs=steps), 3200)
    assert (usual.total, usual.warmup) == (200, 20)


def test_a_training_takes_the_steps_that_are_planned(tmp_path):
    recipe = Recipe(macs=5e8, batch_size=80)
    job = Job(BASE, recipe, Data(test=0.7), seed=0)
    trainer = Trainer(job, tmp_path)
    while not trainer.has_ended:
        for _ in trainer.steps():
            pass
        trainer.end_epoch()
    images = len(trainer.split.train)
    assert trainer.step == timetable(BASE, recipe, images).total > 1
    assert train_macs(BASE, recipe, images) == pytest.approx(5e8, rel=0.5 / trainer.step)


def test_a_twin_trains_for_as_many_multiply_adds(tmp_path, monkeypatch):
    study = _study(tmp_path, monkeypatch, "recipe: {macs: 1e11, depth_training: {backprop: 2}}\n")
    deep = study.grid[0]
    for twin in twins(["shallow", "unshared", "iso_train_macs"], deep, 1000):
        assert twin.candidate.recipe.macs == 1e11
        assert twin.candidate.recipe.depth_training.backprop == "all"
        assert abs(twin.gap) < 0.02


SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  order: cycle
  stages: [{width: 8, heads: 2, unique: 2, loops: 4, mlp_ratio: 2}]
  nll: {share: block}
axes:
  stages.0.loops: {choices: [4, 16]}
"""


def _study(tmp_path, monkeypatch, recipe, axes=""):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.yaml").write_text(SPACE + axes)
    (tmp_path / "study.yaml").write_text(
        "study: s\nspace: space.yaml\nsearch: {sampler: grid}\n" + recipe
    )
    return load_study(tmp_path / "study.yaml")


@pytest.mark.parametrize("recipe", ["", "recipe: {macs: 5e11}\n"])
def test_lengths_may_be_an_axis(tmp_path, monkeypatch, recipe):
    axis = "  recipe.macs: {choices: [1e11, 3e11]}\n"
    study = _study(tmp_path, monkeypatch, recipe, axis)
    lengths = [(c.architecture.loops, c.recipe.macs, c.recipe.epochs) for c in study.grid]
    assert sorted(lengths) == [(4, 1e11, None), (4, 3e11, None), (16, 1e11, None), (16, 3e11, None)]
    spent = [train_macs(c.architecture, c.recipe, 1257) / c.recipe.macs for c in study.grid]
    assert spent == pytest.approx([1] * 4, rel=0.01)


def test_a_mapping_and_its_fields_may_be_axes(tmp_path, monkeypatch):
    axes = (
        "  recipe.depth_training.kind: {choices: [fixed, sampled]}\n"
        "  recipe.depth_training.law: {choices: [uniform, poisson_lognormal],"
        " when: {recipe.depth_training.kind: [sampled]}}\n"
        "  recipe.depth_training.mean: {choices: [2, 4],"
        " when: {recipe.depth_training.law: [poisson_lognormal]}}\n"
        "  recipe.depth_training.backprop: {choices: [2, all]}\n"
    )
    study = _study(tmp_path, monkeypatch, "recipe: {epochs: 2}\n", axes)
    trainings = {
        c.recipe.depth_training.plain
        if isinstance(c.recipe.depth_training.plain, str)
        else tuple(sorted(c.recipe.depth_training.plain.items()))
        for c in study.grid
    }
    assert len(study.grid) == 2 * 2 * (1 + 1 + 2)
    assert len(trainings) == 2 * (1 + 1 + 2)
    assert study.has_elastic


def test_words_and_mappings_may_be_choices(tmp_path, monkeypatch):
    axes = (
        "  recipe.depth_training: {choices: [fixed, {backprop: 2},"
        " {kind: curriculum, grow: [[0, 1], [0.5, all]]}]}\n"
        "  recipe.lr: {choices: [1e-3, 2e-3], when: {recipe.depth_training: [fixed]}}\n"
    )
    study = _study(tmp_path, monkeypatch, "recipe: {epochs: 2}\n", axes)
    assert len(study.grid) == 2 * (2 + 1 + 1)
    assert not study.has_elastic
