"""Trainings that go on where another one ended."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sret_search.architecture import Architecture, Stage
from sret_search.job import Data, Job, Parent, Recipe
from sret_search.training import checkpoints, train
from sret_search.training.pretrained import PretrainedError
from sret_search.training.results import CheckpointSaved, EpochMetrics, TrainingStopped
from sret_search.training.trainer import Trainer

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=8, heads=2, unique=1, loops=2),), drop_path=0.1,
)  # fmt: skip
FIRST = Job(TINY, Recipe(epochs=1, batch_size=80, lr=1e-2, ema=0.9), Data(test=0.7), seed=1)
SECOND = replace(
    FIRST,
    recipe=Recipe(epochs=1, batch_size=60, lr=1e-3, ema=0.5),
    parent=Parent(0, FIRST.identity),
)


def ignore(metrics: dict) -> None: ...


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    attempt = tmp_path_factory.mktemp("trials") / "00000" / "attempt-1"
    train.train(FIRST, attempt, ignore)
    return attempt


def begun(ended: Path, job: Job, folder: Path) -> Trainer:
    state = checkpoints.last_checkpoint([ended], FIRST.identity)
    assert state is not None
    trainer = Trainer(job, folder)
    trainer.begin_from(state)
    return trainer


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_weights_averages_and_moments_are_taken_and_the_schedule_is_not(
    ended: Path, tmp_path: Path
) -> None:
    state = checkpoints.last_checkpoint([ended], FIRST.identity)
    assert state is not None
    trainer = begun(ended, SECOND, tmp_path)
    assert same(trainer.model.state_dict(), state["model"])
    assert trainer.average is not None
    assert same(trainer.average.state_dict(), state["average"])
    moments = trainer.optimizer.state_dict()["state"]
    assert same(moments[0], state["optimizer"]["state"][0])
    assert (trainer.step, trainer.history, trainer.seconds) == (0, [], 0.0)
    for _ in trainer.steps():
        break
    assert trainer.optimizer.param_groups[0]["lr"] <= 1e-3


@pytest.mark.parametrize("change", [{"optimizer": "sgd"}, {"ema": None}])
def test_a_recipe_may_differ_in_all(ended: Path, tmp_path: Path, change: dict) -> None:
    job = replace(SECOND, recipe=replace(SECOND.recipe, **change))
    trainer = begun(ended, job, tmp_path)
    state = checkpoints.last_checkpoint([ended], FIRST.identity)
    assert state is not None
    assert same(trainer.model.state_dict(), state["model"])
    assert bool(trainer.optimizer.state_dict()["state"]) == ("optimizer" not in change)


def test_averages_that_the_parent_had_not_begin_with_its_weights(tmp_path: Path) -> None:
    plain = replace(FIRST, recipe=replace(FIRST.recipe, ema=None))
    parent = Trainer(plain, tmp_path)
    trainer = Trainer(SECOND, tmp_path)
    trainer.begin_from(parent.state_dict())
    assert trainer.average is not None
    assert same(trainer.average.module.state_dict(), parent.model.state_dict())


def test_a_branch_that_is_stopped_ends_as_one_that_was_not(
    ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sret_search.training.train._ASKED_AFTER", 0.0)
    whole = train.train(SECOND, tmp_path / "00001/attempt-1", ignore, [ended]).to_dict()
    assert whole["state"] == "complete"
    first, second = tmp_path / "00002/attempt-1", tmp_path / "00002/attempt-2"
    saves: list[int] = []

    def count(progress: EpochMetrics | CheckpointSaved) -> None:
        if isinstance(progress, CheckpointSaved):
            saves.append(progress.step)

    stopped = train.train(
        SECOND, first, count, [ended], checkpoint_every=0.0, stopping=lambda: len(saves) >= 2
    )
    assert isinstance(stopped, TrainingStopped)
    again = train.train(SECOND, second, ignore, [ended, first]).to_dict()
    assert again["val_loss"] == whole["val_loss"]
    assert again["test_loss"] == whole["test_loss"]
    # And it did go on from its parent, whose checkpoint it left alone.
    alone = train.train(
        replace(SECOND, parent=None), tmp_path / "00003/attempt-1", ignore
    ).to_dict()
    assert alone["val_loss"] != whole["val_loss"]
    assert checkpoints.last_checkpoint([ended], FIRST.identity) is not None


def test_a_parent_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(PretrainedError, match="trial 0 has no full checkpoint to go on from"):
        train.train(SECOND, tmp_path / "00001/attempt-1", ignore, [tmp_path])


def test_the_name_of_a_branch_is_its_own() -> None:
    names = {FIRST.candidate, SECOND.candidate, replace(SECOND, parent=None).candidate}
    assert len(names) == 3
    assert Job.from_dict(SECOND.to_dict()) == SECOND
