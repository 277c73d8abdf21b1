"""A training stops when it is asked to, and keeps what it needs to go on, and no more."""

import errno
import json
import os
import random
import shutil
import time
from itertools import count
from pathlib import Path

import pytest
import torch
from ends import assert_same_end

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.artifacts.names import HANG, PREDICTIONS, RESULT, WEIGHTS
from sret_search.job import Augment, Data, Job, Recipe
from sret_search.training import checkpoints, train
from sret_search.training.results import CheckpointSaved, EpochMetrics, TrainingStopped
from sret_search.training.trainer import Trainer
from sret_search.writing import write_whole

torch.set_num_threads(1)

NEVER = 1e9
TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=8, heads=2, unique=1, loops=2, groups=(4, 2), mlp_ratio=2.0),),
    nll=NLL("block"), residual=Residual("lrc"), permutation="stride", drop_path=0.3,
)  # fmt: skip
# Two epochs of five steps, in which much is drawn at random, and two reruns.
RECIPE = Recipe(
    epochs=2, batch_size=80, accumulate=2, lr=1e-2, ema=0.9, depth_training="sampled",
    augment=Augment(rotate=10.0, mixup=0.8, cutmix=1.0),
)  # fmt: skip
JOB = Job(
    TINY, RECIPE, Data(val=0.1, test=0.7), seed=3, reruns=(TINY.at_loops(1), TINY.at_loops(3))
)


@pytest.fixture(autouse=True, scope="module")
def no_wait():
    """Nothing is forced to disk, and each moment is one to ask at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        patch.setattr(train, "_ASKED_AFTER", 0.0)
        yield


def _trained(job, attempt, earlier=(), every=NEVER, stopping=lambda: False):
    """The result of a training, the steps that it took itself, and what it reported."""
    taken, reported, take = [], [], Trainer._take_step

    def counted(trainer, *args):
        taken.append(trainer.step)
        take(trainer, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_take_step", counted)
        result = train.train(job, attempt, reported.append, earlier, every, stopping=stopping)
    return result, taken, reported


def _at_question(number):
    """Yes to this question, counted from 1."""
    questions = count(1)
    return lambda: next(questions) == number


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nobody stopped."""
    attempt = tmp_path_factory.mktemp("whole") / "attempt-1"
    return attempt, _trained(JOB, attempt)[0].to_dict()


# Questions: 1 before the first step, 2 to 6 after those of the first epoch, 7 after the epoch,
# 8 to 12 and 13 of the second one, 14 and 15 before the reruns.
@pytest.mark.parametrize(
    ("question", "steps", "epochs"),
    [(1, 0, 0), (4, 3, 0), (6, 5, 0), (7, 5, 1), (12, 10, 1), (13, 10, 2), (15, 10, 2)],
)
def test_a_training_stops_when_asked_and_goes_on_from_there(
    tmp_path, whole, question, steps, epochs
):
    first, second = tmp_path / "attempt-1", tmp_path / "attempt-2"
    result, taken, reported = _trained(JOB, first, stopping=_at_question(question))
    assert result == TrainingStopped(steps, result.seconds)
    assert taken == list(range(steps))
    assert [m.epoch for m in reported if isinstance(m, EpochMetrics)] == list(range(1, epochs + 1))
    assert not {path.name for path in first.iterdir()} & {RESULT, WEIGHTS, PREDICTIONS, HANG}
    torch.manual_seed(99)
    result, left, reported = _trained(JOB, second, [first])
    assert taken + left == list(range(10))
    assert [m.epoch for m in reported if isinstance(m, EpochMetrics)] == list(range(epochs + 1, 3))
    assert_same_end(second, result.to_dict(), *whole)


def test_a_training_ends_at_a_rung_and_goes_on_from_there(tmp_path, whole):
    attempts = [tmp_path / f"attempt-{i}" for i in range(1, 6)]
    reached = train.train(JOB, attempts[0], print, until=1).to_dict()
    kept = json.loads((attempts[0] / "rung-1.json").read_text())
    assert reached == kept
    assert (kept["state"], kept["job"], kept["epoch"]) == ("rung", JOB.identity, 1)
    history = whole[1]["history"]
    for name in ("step", "val_accuracy", "val_loss", "train_loss"):
        assert kept[name] == history[0][name]
    assert not {path.name for path in attempts[0].iterdir()} & {RESULT, WEIGHTS, PREDICTIONS}
    # A worker that died before it said so: nothing is trained again.
    (attempts[0] / "rung-1.json").unlink()
    assert train.train(JOB, attempts[1], print, attempts[:1], until=1).to_dict() == reached
    assert list(attempts[1].glob("*.pt")) == []
    # Nor is it where one went further meanwhile.
    further, taken, _ = _trained(JOB, attempts[2], attempts[:1], stopping=_at_question(3))
    assert (further.steps, taken) == (7, [5, 6])
    assert train.train(JOB, attempts[3], print, attempts[:3], until=1).to_dict() == reached
    # The training's own end is no rung.
    result = train.train(JOB, attempts[4], print, attempts[:4], until=2).to_dict()
    assert_same_end(attempts[4], result, *whole)


def test_a_training_stopped_again_and_again_ends_with_the_same_bits(tmp_path, whole):
    attempts, steps, ends = [], [], [2, 4, 5, 7, 9, 10]
    for number, end in enumerate(ends, 1):
        attempts.append(attempt := tmp_path / f"attempt-{number}")
        result, taken, _ = _trained(JOB, attempt, attempts[:-1], stopping=_at_question(3))
        assert result == TrainingStopped(end, result.seconds)
        steps += taken
        assert [step for _, step in _kept(tmp_path)] == ends[max(number - 2, 0) : number]
    result, taken, _ = _trained(JOB, tmp_path / "attempt-7", attempts)
    assert (steps, taken) == (list(range(10)), [])
    assert_same_end(tmp_path / "attempt-7", result.to_dict(), *whole)


def test_a_stop_is_asked_for_once_a_second(tmp_path, monkeypatch):
    now, asked, take = 100.0, [], Trainer._take_step

    def slow(trainer, *args):
        nonlocal now
        now += 0.25
        take(trainer, *args)

    def stopping():
        asked.append(now)
        return now >= 102.0

    monkeypatch.setattr(train, "_ASKED_AFTER", 1.0)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(Trainer, "_take_step", slow)
    result, *_ = _trained(JOB, tmp_path, stopping=stopping)
    assert asked == [100.0, 101.0, 102.0]
    assert result == TrainingStopped(8, result.seconds)


@pytest.mark.parametrize(
    ("every", "steps"), [(NEVER, [5, 10]), (0.0, [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10])]
)
def test_a_checkpoint_is_reported_once_it_is_on_disk(tmp_path, every, steps):
    reported = []

    def report(progress):
        reported.append(progress)
        if isinstance(progress, CheckpointSaved):
            path = tmp_path / f"checkpoint-{progress.step:08d}.pt"
            assert torch.load(path)["step"] == progress.step

    result = train.train(JOB, tmp_path, report, checkpoint_every=every)
    assert [p.step for p in reported if isinstance(p, CheckpointSaved)] == steps
    assert tuple(p for p in reported if isinstance(p, EpochMetrics)) == result.history
    assert reported[-2:] == [CheckpointSaved(10), result.history[-1]]


# What is kept.


def _state(step, can_go_on=False):
    return {
        "step": step, "job": JOB.identity, "trajectory": JOB.trajectory, "can_go_on": can_go_on,
        "model": torch.full((2000,), float(step)),
    }  # fmt: skip


def _save(attempt, *steps, can_go_on=False):
    for step in steps:
        checkpoints.save_checkpoint(attempt, _state(step, can_go_on))


def _kept(trial):
    """Numbers of the attempts and steps of a trial's checkpoints."""
    found = [
        (int(path.parent.name.removeprefix("attempt-")), int(path.stem.removeprefix("checkpoint-")))
        for path in trial.glob("attempt-*/checkpoint-*.pt")
    ]
    return sorted(found)


def test_attempts_of_a_trial_share_two_checkpoints(tmp_path):
    _save(tmp_path / "attempt-1", 1, 2, 3)
    assert _kept(tmp_path) == [(1, 2), (1, 3)]
    _save(tmp_path / "attempt-2", 5)
    assert _kept(tmp_path) == [(1, 3), (2, 5)]
    _save(tmp_path / "attempt-9", 6)
    _save(tmp_path / "attempt-10", 6)
    assert _kept(tmp_path) == [(9, 6), (10, 6)]
    _save(tmp_path / "attempt-10", 7, 9)
    assert _kept(tmp_path) == [(10, 7), (10, 9)]


def test_attempts_of_other_trials_keep_theirs(tmp_path):
    for trial in ("00001", "00002"):
        _save(tmp_path / trial / "attempt-1", 1, 2, can_go_on=True)
    _save(tmp_path / "00002" / "attempt-2", 3, 4, can_go_on=True)
    assert _kept(tmp_path / "00001") == [(1, 1), (1, 2)]
    assert (tmp_path / "00001" / "attempt-1" / "stable.pt").exists()
    assert _kept(tmp_path / "00002") == [(2, 3), (2, 4)]


def test_a_damaged_checkpoint_costs_no_other_its_place(tmp_path):
    first, second = tmp_path / "attempt-1", tmp_path / "attempt-2"
    _save(first, 10, 20)
    (first / "checkpoint-00000020.pt").write_bytes(b"torn")
    assert checkpoints.newest_checkpoint([first], JOB, 0)["step"] == 10
    _save(second, 12)
    assert _kept(tmp_path) == [(1, 10), (2, 12)]
    (second / "checkpoint-00000012.pt").write_bytes(b"torn")
    assert checkpoints.newest_checkpoint([first, second], JOB, 0)["step"] == 10


def test_what_was_just_saved_stays_and_two_are_kept_in_any_order(tmp_path):
    rng = random.Random(5)
    before = 0
    for _ in range(60):
        attempt, step = rng.randrange(1, 13), rng.randrange(1, 30)
        _save(tmp_path / f"attempt-{attempt}", step)
        kept = _kept(tmp_path)
        assert (attempt, step) in kept
        assert len(kept) >= min(before, 2)
        assert len([each for each in kept if each[0] <= attempt]) <= 2
        before = len(kept)
    assert before >= 2


def test_an_orphan_takes_nothing_from_a_later_attempt(tmp_path):
    _save(tmp_path / "attempt-1", 10, can_go_on=True)
    _save(tmp_path / "attempt-2", 11, 12, can_go_on=True)
    _save(tmp_path / "attempt-1", 30, 31, can_go_on=True)
    assert _kept(tmp_path) == [(1, 30), (1, 31), (2, 11), (2, 12)]
    _save(tmp_path / "attempt-2", 13, can_go_on=True)
    assert _kept(tmp_path) == [(2, 12), (2, 13)]
    assert [path.parent.name for path in tmp_path.glob("*/stable.pt")] == ["attempt-2"]


def test_files_that_another_attempt_takes_away_first_are_no_error(tmp_path, monkeypatch):
    _save(tmp_path / "attempt-1", 1, 2, can_go_on=True)
    unlink, link = Path.unlink, os.link

    def too_late(path, missing_ok=False):
        unlink(path, missing_ok=True)
        unlink(path, missing_ok=missing_ok)

    def gone(path, other):
        unlink(path)
        link(path, other)

    monkeypatch.setattr(Path, "unlink", too_late)
    _save(tmp_path / "attempt-2", 3, 4, can_go_on=True)
    assert _kept(tmp_path) == [(2, 3), (2, 4)]
    monkeypatch.setattr(os, "link", gone)
    _save(tmp_path / "attempt-2", 5, can_go_on=True)
    assert _kept(tmp_path) == [(2, 3), (2, 4)]
    assert torch.load(tmp_path / "attempt-2" / "stable.pt")["step"] == 4


@pytest.mark.parametrize("links", [True, False])
def test_the_stable_checkpoint_is_whole_with_and_without_hard_links(tmp_path, monkeypatch, links):
    def impossible(path, other):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", impossible)
    stable = tmp_path / "attempt-1" / "stable.pt"
    stable.parent.mkdir()
    stable.with_name("stable.pt.partial").write_bytes(b"left by a killed process")
    for step in (3, 4):
        _save(stable.parent, step, can_go_on=True)
        assert torch.load(stable)["step"] == step
        twin = stable.with_name(f"checkpoint-{step:08d}.pt")
        assert stable.samefile(twin) == links
        assert stable.read_bytes() == twin.read_bytes()
    _save(stable.parent, 5, 6)
    assert torch.load(stable)["step"] == 4
    assert len(list(stable.parent.iterdir())) == 3


# What is damaged.

SIZES = {"none": 0.0, "begun": 0.01, "half": 0.5, "most": 0.9, "nearly all": 0.9999}


@pytest.mark.parametrize("kind", [*SIZES, "garbage", "zeros", "a byte of a weight"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, kind):
    first, second = tmp_path / "attempt-1", tmp_path / "attempt-2"
    _save(first, 1, 2)
    _save(second, 3)
    newest = second / "checkpoint-00000003.pt"
    content = newest.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    damaged = {kind: content[: int(len(content) * size)] for kind, size in SIZES.items()} | {
        "garbage": random.Random(1).randbytes(len(content)),
        "zeros": bytes(len(content)),
        "a byte of a weight": bytes(flipped),
    }
    newest.write_bytes(damaged[kind])
    attempts = [first, second]
    assert checkpoints.newest_checkpoint(attempts, JOB, 0)["step"] == 2
    newest.write_bytes(content)
    assert checkpoints.newest_checkpoint(attempts, JOB, 0)["step"] == 3
    for path in tmp_path.glob("*/*.pt"):
        path.write_bytes(damaged[kind])
    assert checkpoints.newest_checkpoint(attempts, JOB, 0) is None


def test_of_equally_far_checkpoints_that_of_the_last_attempt_is_taken(tmp_path):
    for number in (2, 9, 10):
        attempt = tmp_path / f"attempt-{number}"
        write_whole(
            attempt / "checkpoint-00000004.pt",
            lambda file, number=number: torch.save(_state(4) | {"by": number}, file),
        )
    attempts = [tmp_path / f"attempt-{number}" for number in (2, 9, 10)]
    assert checkpoints.newest_checkpoint(attempts, JOB, 0)["by"] == 10
    shutil.rmtree(attempts[-1])
    assert checkpoints.newest_checkpoint(attempts, JOB, 0)["by"] == 9


def test_a_training_with_a_damaged_newest_checkpoint_ends_with_the_same_bits(tmp_path, whole):
    first, second = tmp_path / "attempt-1", tmp_path / "attempt-2"
    _trained(JOB, first, every=0.0, stopping=_at_question(5))
    newest = max(first.glob("checkpoint-*.pt"))
    newest.write_bytes(newest.read_bytes()[:-1000])
    result, taken, _ = _trained(JOB, second, [first])
    assert taken == list(range(3, 10))
    assert_same_end(second, result.to_dict(), *whole)
