"""A training that is killed and goes on ends with the same bits as one that never was."""

import os
import random
import shutil
import time
from dataclasses import replace

import pytest
import torch
from ends import assert_same_end

from sret_search.architecture import NLL, Architecture, Loop, Residual, Stage
from sret_search.job import Augment, Data, DepthTraining, Distill, Job, Recipe, timetable
from sret_search.model import SReT, save
from sret_search.training import checkpoints, train
from sret_search.training.trainer import Trainer

torch.set_num_threads(1)

NEVER = 1e9
FEW, IMAGES = Data(val=0.1, test=0.7), 359
TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=8, heads=2, unique=1, loops=3, groups=(4, 2), mlp_ratio=2.0),),
    nll=NLL("block"), residual=Residual("lrc"), permutation="official", drop_path=0.3,
)  # fmt: skip
AUGMENT = Augment(
    crop=(0.5, 1.0), flip=True, rotate=10.0, shear=5.0, translate=0.1, zoom=1.1, color_jitter=0.3,
    randaugment=5, erasing=0.25, mixup=0.8, cutmix=1.0, repeats=2,
)  # fmt: skip
ALL = Recipe(
    epochs=4, warmup=1, decay=1.5, batch_size=50, accumulate=2, lr=1e-2, lr_start=1e-4, lr_end=1e-5,
    schedule="wsd", weight_decay=0.1, label_smoothing=0.1, clip_grad_norm=0.5, ema=0.9,
    augment=AUGMENT, depth_training="sampled",
)  # fmt: skip
EVERYTHING = Job(TINY, ALL, FEW, seed=3, monitor=True, reruns=(TINY.at_loops(2),))


# All that loops may exchange, and all that a training of loops may do.
EXCHANGING = replace(
    TINY, loop=Loop("gate", "film", "each", streams=2), norm="sandwich", permutation="stride"
)
LOOPS = {
    "loops": replace(
        ALL, depth_training=DepthTraining(
            kind="sampled", law="poisson_lognormal", mean=2, backprop=2, supervise="each"
        ),
        optimizer="muon", lr_other=3e-3, parametrization="mup", epochs=None, warmup=None,
        decay=None, macs=1.2e8,
    ),
    "curriculum": replace(
        ALL, depth_training=DepthTraining(
            kind="curriculum", grow=((0.0, 1), (0.3, 2), (0.6, "all")), backprop=1
        ),
        parametrization="mup", epochs=2, decay=1,
    ),
}  # fmt: skip


class Killed(BaseException):
    """Nothing catches it, as nothing catches a signal."""


@pytest.fixture(autouse=True, scope="module")
def no_wait():
    """Killed processes leave what they wrote, forced to disk or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


def _ignore(metrics):
    pass


def _trained(job, attempt, earlier=(), checkpoint_every=NEVER):
    """The result of a training, and the steps that it took itself."""
    taken, take = [], Trainer._take_step

    def counted(trainer, *args):
        taken.append(trainer.step)
        take(trainer, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_take_step", counted)
        result = train.train(job, attempt, _ignore, earlier, checkpoint_every).to_dict()
    return result, taken


def _kill(job, attempt, earlier, place, step, checkpoint_every=0.0):
    """An attempt that ends at this step: before it, after it, while it is written, in the
    evaluation that follows it, or between that one's checkpoint and its report."""

    def killing(wrapped, here):
        def run(first, *args):
            if here(first, *args):
                raise Killed
            return wrapped(first, *args)

        return run

    def reporting(metrics):
        if place == "report" and metrics.step >= step:
            raise Killed

    def half_written(state, file):
        file.write(b"PK half of a checkpoint")
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        if place == "step":
            patch.setattr(
                Trainer, "_take_step", killing(Trainer._take_step, lambda t, *_: t.step >= step)
            )
        if place == "checkpoint":
            saving = killing(checkpoints.save_checkpoint, lambda _, state: state["step"] >= step)
            patch.setattr(checkpoints, "save_checkpoint", saving)
        if place == "half a checkpoint":
            write = torch.save
            patch.setattr(
                torch, "save", lambda s, f: (half_written if s["step"] >= step else write)(s, f)
            )
        if place == "evaluation":
            patch.setattr(
                Trainer, "evaluate", killing(Trainer.evaluate, lambda t, *_: t.step >= step)
            )
        with pytest.raises(Killed):
            train.train(job, attempt, reporting, earlier, checkpoint_every)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A model file to learn from and to start from."""
    torch.manual_seed(8)
    path = tmp_path_factory.mktemp("teacher") / "model.safetensors"
    save(SReT(TINY), path)
    return str(path)


@pytest.mark.parametrize(
    ("kind", "kills"),
    [("sampled", 10), ("sandwich", 3), ("distilled", 3), ("loops", 5), ("curriculum", 4)],
)
def test_a_training_killed_at_random_moments_ends_with_the_same_bits(
    tmp_path, teacher, kind, kills
):
    job = EVERYTHING
    if kind == "sandwich":
        job = replace(
            job, recipe=replace(ALL, depth_training="sandwich", precision="bf16", epochs=2)
        )
    if kind == "distilled":
        still = Augment(repeats=2)
        recipe = replace(
            ALL, depth_training="mixed", distill=Distill(teacher, 2.0), init=teacher, augment=still,
            optimizer="sgd", epochs=None, decay=None, steps=13, warmup=5, schedule="cosine",
        )  # fmt: skip
        job = replace(job, recipe=recipe)
    if kind in LOOPS:
        job = replace(job, architecture=EXCHANGING, recipe=LOOPS[kind], reruns=())
    whole, taken = _trained(job, tmp_path / "whole")
    total = timetable(job.architecture, job.recipe, IMAGES).total
    assert taken == list(range(total))

    rng = random.Random(7)
    places = 2 * ["step", "checkpoint", "half a checkpoint", "evaluation", "report"]
    moments = sorted(rng.sample(range(1, total * 5 // 8), kills))
    attempts = []
    for place, step in zip(rng.sample(places, kills), moments, strict=True):
        every = rng.choice([0.0, 0.0, NEVER])
        _kill(job, attempt := tmp_path / f"attempt-{len(attempts)}", attempts, place, step, every)
        attempts.append(attempt)
        torch.manual_seed(rng.randrange(1000))
    result, left = _trained(job, tmp_path / "last", attempts)
    assert 0 < len(left) < total
    assert_same_end(tmp_path / "last", result, tmp_path / "whole", whole)


@pytest.fixture(scope="module")
def calm():
    """Two epochs without anything special."""
    return Job(TINY, Recipe(epochs=2, batch_size=80, lr=1e-2), FEW, seed=1)


@pytest.fixture(scope="module")
def calmly(calm, tmp_path_factory):
    attempt = tmp_path_factory.mktemp("calm") / "attempt-1"
    return attempt, _trained(calm, attempt)[0]


@pytest.mark.parametrize(
    ("place", "step", "left"),
    [
        ("step", 1, 9),
        ("step", 4, 6),
        ("evaluation", 5, 5),
        ("checkpoint", 5, 6),
        ("half a checkpoint", 7, 4),
        ("report", 5, 5),
        ("evaluation", 10, 0),
        ("report", 10, 0),
    ],
)
def test_a_training_goes_on_after_its_last_checkpoint(tmp_path, calm, calmly, place, step, left):
    _kill(calm, tmp_path / "attempt-1", [], place, step)
    result, taken = _trained(calm, tmp_path / "attempt-2", [tmp_path / "attempt-1"])
    assert len(taken) == left
    assert [m["epoch"] for m in result["history"]] == [1, 2]
    assert_same_end(tmp_path / "attempt-2", result, *calmly)


def test_an_attempt_that_goes_on_in_its_own_folder_ends_with_the_same_bits(tmp_path, calm, calmly):
    _kill(calm, tmp_path / "attempt-1", [], "step", 8)
    result, taken = _trained(calm, tmp_path / "attempt-1")
    assert taken == [8, 9]
    assert_same_end(tmp_path / "attempt-1", result, *calmly)


def test_without_checkpoints_within_epochs_a_training_goes_on_from_the_last_epoch(tmp_path, calm):
    _kill(calm, tmp_path / "attempt-1", [], "step", 8, NEVER)
    _, taken = _trained(calm, tmp_path / "attempt-2", [tmp_path / "attempt-1"])
    assert taken == [5, 6, 7, 8, 9]


def test_time_between_checkpoints_is_kept(tmp_path, calm, monkeypatch):
    saved, save_checkpoint, take = [], checkpoints.save_checkpoint, Trainer._take_step
    now = 0.0

    def slow(trainer, *args):
        nonlocal now
        now += 10.0
        take(trainer, *args)

    def noted(attempt, state):
        saved.append(state["step"])
        save_checkpoint(attempt, state)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(Trainer, "_take_step", slow)
    monkeypatch.setattr(checkpoints, "save_checkpoint", noted)
    _trained(replace(calm, recipe=replace(calm.recipe, epochs=1)), tmp_path, (), 15.0)
    assert saved == [2, 4, 5]


# More epochs of the same.


MIXED = Augment(rotate=10.0, mixup=0.8, cutmix=1.0, repeats=2)
WSD = replace(ALL, decay=None, batch_size=80, augment=MIXED)
FOUR, EIGHT = (replace(EVERYTHING, recipe=replace(WSD, epochs=epochs)) for epochs in (4, 8))


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """The attempt of a finished training of 4 epochs."""
    attempt = tmp_path_factory.mktemp("four") / "attempt-1"
    _trained(FOUR, attempt)
    return attempt


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    attempt = tmp_path_factory.mktemp("eight") / "attempt-1"
    return attempt, _trained(EIGHT, attempt)[0]


def test_a_longer_training_goes_on_before_the_decay_of_a_shorter_one(tmp_path, four, eight):
    result, taken = _trained(EIGHT, tmp_path / "attempt-2", [four])
    assert taken == list(range(16, 40))
    assert_same_end(tmp_path / "attempt-2", result, *eight)


def test_a_longer_training_that_was_killed_too_goes_on_from_both(tmp_path, four, eight):
    _kill(EIGHT, tmp_path / "attempt-2", [four], "step", 27)
    result, taken = _trained(EIGHT, tmp_path / "attempt-3", [four, tmp_path / "attempt-2"])
    assert taken == list(range(27, 40))
    assert_same_end(tmp_path / "attempt-3", result, *eight)


def test_a_longer_training_goes_on_where_no_decay_was_asked_for(tmp_path, eight):
    shorter = replace(EVERYTHING, recipe=replace(WSD, epochs=2.5, decay=0))
    _trained(shorter, tmp_path / "attempt-1")
    result, taken = _trained(EIGHT, tmp_path / "attempt-2", [tmp_path / "attempt-1"])
    # Its end, in the middle of an epoch, was evaluated, as no longer one's is.
    assert taken == list(range(10, 40))
    assert_same_end(tmp_path / "attempt-2", result, *eight)


def test_a_shorter_training_takes_nothing_from_beyond_its_own_stable_part(tmp_path, four, eight):
    assert checkpoints.newest_checkpoint([eight[0]], EIGHT, 32)["step"] == 40
    (tmp_path / "eight").mkdir()
    shutil.copy(eight[0] / "stable.pt", tmp_path / "eight")
    times = EIGHT.recipe.timetable(IMAGES)
    assert torch.load(tmp_path / "eight" / "stable.pt")["step"] == times.stable_until == 32
    assert checkpoints.newest_checkpoint([tmp_path / "eight"], FOUR, 16) is None
    assert checkpoints.newest_checkpoint([tmp_path / "eight", four], EIGHT, 32)["step"] == 32
    near = replace(EIGHT, recipe=replace(WSD, epochs=7, decay=0.5))
    assert checkpoints.newest_checkpoint([tmp_path / "eight"], near, 33)["step"] == 32


@pytest.mark.parametrize(
    "other",
    [
        replace(EIGHT, seed=4),
        replace(EIGHT, threads=2),
        replace(EIGHT, data=replace(FEW, split_seed=1)),
        replace(EIGHT, architecture=replace(TINY, drop_path=0.2)),
        replace(EIGHT, recipe=replace(WSD, epochs=8, lr=2e-2)),
        replace(EIGHT, recipe=replace(WSD, epochs=8, warmup=None)),
        replace(EIGHT, recipe=replace(WSD, epochs=8, augment=replace(MIXED, rotate=9.0))),
        replace(EIGHT, recipe=replace(WSD, epochs=8, schedule="cosine")),
    ],
    ids=["seed", "threads", "data", "architecture", "lr", "warmup", "augment", "schedule"],
)
def test_another_training_takes_nothing_from_this_one(four, other):
    assert checkpoints.newest_checkpoint([four], EIGHT, 32)["step"] == 16
    assert checkpoints.newest_checkpoint([four], other, 32) is None


def test_under_cosine_a_longer_training_starts_anew(tmp_path, calm, calmly):
    longer = replace(calm, recipe=replace(calm.recipe, epochs=3, warmup=0.2))
    assert longer.recipe.warmup == calm.recipe.warmup_in_units
    _, taken = _trained(longer, tmp_path / "attempt-2", [calmly[0]])
    assert taken == list(range(15))
    assert not (calmly[0] / "stable.pt").exists()
