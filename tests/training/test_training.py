"""A training: its data, its end, and that being stopped changes no bit of it."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.artifacts.names import PREDICTIONS, RESULT, WEIGHTS
from sret_search.job import Data, Job, Recipe
from sret_search.training import checkpoints, data, train
from sret_search.training.results import EpochMetrics
from sret_search.training.trainer import _DEPTH, _END, _IMAGES, _STEP, Trainer
from sret_search.writing import write_json, write_whole

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=8, heads=2, unique=1, loops=3, groups=(4, 2), mlp_ratio=2.0),),
    nll=NLL("block"), residual=Residual("lrc"), permutation="official", drop_path=0.3,
)  # fmt: skip
JOB = Job(TINY, Recipe(epochs=2, batch_size=64, lr=1e-2, warmup=0.5), Data(), seed=3)


def _ignore(metrics):
    pass


def _epochs(reported):
    """The metrics of epochs, among all that was reported."""
    return [each.to_dict() for each in reported if isinstance(each, EpochMetrics)]


# The end of a training.


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that was never stopped: its folder and its result."""
    attempt = tmp_path_factory.mktemp("whole") / "attempt-1"
    return attempt, train.train(JOB, attempt, _ignore).to_dict()


def _timeless(result):
    history = [{k: v for k, v in m.items() if k != "seconds"} for m in result["history"]]
    return {k: v for k, v in result.items() if k != "seconds"} | {"history": history}


def _assert_same_end(attempt, result, whole):
    assert _timeless(result) == _timeless(whole[1])
    weights, wanted = (load_file(folder / WEIGHTS) for folder in (attempt, whole[0]))
    assert weights.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(weights[name], wanted[name])] == []
    with np.load(attempt / PREDICTIONS) as one, np.load(whole[0] / PREDICTIONS) as two:
        assert (one["test"] == two["test"]).all()


def test_a_training_ends_with_its_result_in_its_folder(whole):
    attempt, result = whole
    assert json.loads((attempt / RESULT).read_text()) == result
    assert result["state"] == "complete"
    assert (result["epochs"], result["steps"]) == (2, 40)
    assert [(m["epoch"], m["step"]) for m in result["history"]] == [(1, 20), (2, 40)]
    assert result["val_accuracy"] == result["history"][-1]["val_accuracy"]
    assert result["seconds"] >= result["history"][-1]["seconds"] > 0
    with np.load(attempt / PREDICTIONS) as predictions:
        assert (predictions["labels"] == data.load(Data()).test.labels.numpy()).all()
        right = predictions["labels"] == predictions["test"]
    assert result["test_accuracy"] == pytest.approx(right.mean())


def test_a_training_learns(whole):
    first, last = whole[1]["history"]
    assert last["train_loss"] < first["train_loss"]
    assert whole[1]["test_accuracy"] > 0.3


def test_every_epoch_is_reported(tmp_path):
    reported = []
    result = train.train(JOB, tmp_path, reported.append).to_dict()
    assert _epochs(reported) == result["history"]


def test_another_seed_trains_another_model(tmp_path, whole):
    result = train.train(replace(JOB, seed=4), tmp_path, _ignore).to_dict()
    assert result["history"][0]["train_loss"] != whole[1]["history"][0]["train_loss"]


def _stopped_after(whole, epoch, folder):
    """The attempt of a training that was killed right after this epoch's checkpoint."""
    folder.mkdir(parents=True)
    for checkpoint in sorted(whole[0].glob("checkpoint-*"))[:epoch]:
        shutil.copy(checkpoint, folder)
    return folder


def test_a_resumed_training_ends_with_the_same_bits(tmp_path, whole):
    first = _stopped_after(whole, 1, tmp_path / "attempt-1")
    reported, second = [], tmp_path / "attempt-2"
    torch.manual_seed(99)
    result = train.train(JOB, second, reported.append, [first]).to_dict()
    assert [metrics["epoch"] for metrics in _epochs(reported)] == [2]
    _assert_same_end(second, result, whole)


def test_a_training_stopped_before_its_result_only_writes_it(tmp_path, whole):
    first = _stopped_after(whole, 2, tmp_path / "attempt-1")
    reported, second = [], tmp_path / "attempt-2"
    second.mkdir()
    result = train.train(JOB, second, reported.append, [first]).to_dict()
    assert reported == []
    _assert_same_end(second, result, whole)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, whole):
    first = _stopped_after(whole, 2, tmp_path / "attempt-1")
    *_, newest = sorted(first.glob("checkpoint-*"))
    newest.write_bytes(newest.read_bytes()[:-1000])
    reported, second = [], tmp_path / "attempt-2"
    result = train.train(JOB, second, reported.append, [first]).to_dict()
    assert [metrics["epoch"] for metrics in _epochs(reported)] == [2]
    _assert_same_end(second, result, whole)


def test_the_furthest_checkpoint_of_all_attempts_is_taken(tmp_path):
    # Those of another trial come between this one's.
    attempts = [tmp_path / "1" / "attempt-1", tmp_path / "2" / "attempt-1"]
    attempts.append(tmp_path / "1" / "attempt-2")
    for attempt, steps in zip(attempts, ([1, 2, 3], [2, 11], [4]), strict=True):
        for step in steps:
            state = {"step": step, "job": JOB.identity, "can_go_on": False}
            checkpoints.save_checkpoint(attempt, state)
    assert checkpoints.newest_checkpoint(attempts, JOB, 0)["step"] == 11
    assert checkpoints.newest_checkpoint(attempts[:1], JOB, 0)["step"] == 3
    assert checkpoints.newest_checkpoint([tmp_path / "attempt-9"], JOB, 0) is None
    assert checkpoints.newest_checkpoint(attempts, replace(JOB, seed=5), 0) is None


def test_the_last_checkpoint_that_a_longer_training_goes_through_is_kept(tmp_path):
    for step in range(1, 7):
        state = {"step": step, "job": JOB.identity, "can_go_on": step <= 3}
        checkpoints.save_checkpoint(tmp_path, state)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["checkpoint-00000005.pt", "checkpoint-00000006.pt", "stable.pt"]
    assert torch.load(tmp_path / "stable.pt")["step"] == 3


def test_reruns_are_evaluated_with_the_trained_weights(tmp_path):
    calm = replace(TINY, permutation="stride")
    deep = replace(calm, stages=(replace(calm.stages[0], loops=9),))
    result = train.train(
        replace(JOB, architecture=calm, reruns=(deep, calm)), tmp_path, _ignore
    ).to_dict()
    deeper, same = result["reruns"]
    assert (deeper["executions"], same["executions"]) == (9, 3)
    assert same["val_accuracy"] == result["val_accuracy"]
    assert same["test_accuracy"] == result["test_accuracy"]
    with np.load(tmp_path / PREDICTIONS) as predictions:
        assert (predictions["rerun-1"] == predictions["test"]).all()
        assert (predictions["rerun-0"] != predictions["test"]).any()
        right = predictions["labels"] == predictions["rerun-0"]
    assert deeper["test_accuracy"] == pytest.approx(right.mean())


def test_a_diverging_training_is_a_result_with_its_step(tmp_path, monkeypatch):
    losses, measure = [], F.cross_entropy

    def counted(*args, **kwargs):
        losses.append(measure(*args, **kwargs))
        return losses[-1]

    monkeypatch.setattr(F, "cross_entropy", counted)
    recipe = Recipe(epochs=2, batch_size=64, lr=1e6, warmup=0, clip_grad_norm=None)
    result = train.train(replace(JOB, recipe=recipe), tmp_path, _ignore).to_dict()
    # It diverges in the first epoch, so that every loss that was asked for is that of a step.
    assert len(losses) <= 20
    assert result["state"] == "diverged"
    assert result["step"] == len(losses) > 1
    assert [loss.isfinite().item() for loss in losses] == [True] * (len(losses) - 1) + [False]
    assert f"at step {result['step']}" in result["reason"]
    assert result["steps"] == result["step"]
    assert result["epochs"] == pytest.approx(result["step"] / 20, abs=1e-3)
    assert result["history"] == []
    assert json.loads((tmp_path / RESULT).read_text()) == result
    assert not (tmp_path / WEIGHTS).exists()


# The optimizer and its schedule.


@pytest.mark.parametrize("kind", ["lrc", "layerscale", "scaled"])
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weight_decay_is_of_matrices_and_convolutions_alone(tmp_path, kind, name):
    recipe = replace(JOB.recipe, weight_decay=0.7, optimizer=name)
    two = (*TINY.stages, Stage(width=16, heads=2))
    job = replace(
        JOB, architecture=replace(TINY, stages=two, residual=Residual(kind)), recipe=recipe
    )
    trainer = Trainer(job, tmp_path)
    heavy = {
        f"{name}.weight"
        for name, module in trainer.model.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    decay = {
        names[id(parameter)]: group["weight_decay"]
        for group in trainer.optimizer.param_groups
        for parameter in group["params"]
    }
    assert decay == {name: 0.7 if name in heavy else 0.0 for name in names.values()}


def _factors(recipe, images=1258):
    """The learning rates of all steps over the peak, and that after the last."""
    times = recipe.timetable(images)
    return times, [times.lr_factor(step) for step in range(times.total + 1)]


def test_the_learning_rate_warms_up_to_its_peak_and_falls_to_zero():
    times, factors = _factors(JOB.recipe)
    assert (times.epoch, times.total, times.warmup) == (20, 40, 10)
    assert factors[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert factors[10] == 1
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[25] == pytest.approx(0.5)
    assert factors[20] == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 3))
    assert factors[-1] == pytest.approx(0, abs=1e-9)


def test_wsd_stays_at_its_peak_and_decays_by_the_root():
    recipe = Recipe(steps=100, warmup=10, decay=16, schedule="wsd", lr=1e-2, lr_end=1e-3)
    times, factors = _factors(recipe)
    assert (times.warmup, times.stable_until, times.total) == (10, 84, 100)
    assert factors[9:85] == [1.0] * 76
    left = [1 - math.sqrt(step / 16) for step in range(17)]
    assert factors[84:] == pytest.approx([0.1 + 0.9 * part for part in left])


def test_wsd_decays_over_its_last_fifth_where_nothing_is_said():
    times, factors = _factors(Recipe(steps=50, schedule="wsd"))
    assert (times.warmup, times.stable_until) == (5, 40)
    assert factors.index(1.0) == 4
    assert factors[40] == 1 > factors[41]


def test_the_learning_rate_starts_and_ends_where_it_is_told():
    recipe = Recipe(steps=40, warmup=4, lr=1e-2, lr_start=2e-3, lr_end=1e-3)
    _, factors = _factors(recipe)
    assert factors[:4] == pytest.approx([0.4, 0.6, 0.8, 1.0])
    assert factors[-1] == pytest.approx(0.1)
    assert min(factors[4:]) == factors[-1]


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_epochs_steps_and_samples_agree(schedule):
    decay = {"epochs": 1.5, "steps": 30, "samples": 1920} if schedule == "wsd" else {}
    each = {
        unit: Recipe(
            **{unit: length}, warmup=warmup, decay=decay.get(unit), batch_size=64, schedule=schedule
        )
        for unit, length, warmup in (("epochs", 4, 0.5), ("steps", 80, 10), ("samples", 5120, 640))
    }
    (times, factors), *others = (_factors(recipe) for recipe in each.values())
    assert times.total == 80
    assert all(other == (times, factors) for other in others)


def test_each_step_has_the_learning_rate_of_the_schedule(tmp_path):
    recipe = replace(JOB.recipe, epochs=None, steps=6, warmup=2, lr_end=1e-3)
    trainer = Trainer(replace(JOB, recipe=recipe), tmp_path)
    rates = [[group["lr"] for group in trainer.optimizer.param_groups] for _ in trainer.steps()]
    _, factors = _factors(recipe)
    assert rates == [pytest.approx([1e-2 * factor] * 2) for factor in factors[:6]]
    assert rates[0] < rates[1]


# How long a training is.


@pytest.mark.parametrize(
    ("length", "epochs", "ends", "seen"),
    [
        ({"epochs": 2.5}, 2.5, [5, 10, 12], 2 * 1258 + 2 * 256),
        ({"steps": 13}, 2.6, [5, 10, 13], 2 * 1258 + 3 * 256),
        ({"samples": 256}, 0.2, [1], 256),
        ({"epochs": 0.6}, 0.6, [3], 3 * 256),
        ({"epochs": 2}, 2, [5, 10], 2 * 1258),
    ],
    ids=str,
)
def test_a_training_may_end_within_an_epoch(tmp_path, monkeypatch, length, epochs, ends, seen):
    taken, take = [], Trainer._take_step

    def counted(trainer, images, *args):
        taken.append(images)
        take(trainer, images, *args)

    monkeypatch.setattr(Trainer, "_take_step", counted)
    recipe = Recipe(**length, batch_size=256, lr=3e-3)
    result = train.train(replace(JOB, recipe=recipe), tmp_path, _ignore).to_dict()
    assert [m["step"] for m in result["history"]] == ends
    assert [m["epoch"] for m in result["history"]] == list(range(1, len(ends) + 1))
    assert result["steps"] == ends[-1]
    assert result["epochs"] == pytest.approx(ends[-1] / 5) == pytest.approx(epochs, abs=0.11)
    assert sum(taken) == recipe.images_seen(1258) == seen
    assert result["val_loss"] == result["history"][-1]["val_loss"]
    # The mean loss of the steps there were, not of a whole epoch.
    assert all(1.5 < m["train_loss"] < 3 for m in result["history"])


def test_the_last_validation_of_a_part_of_an_epoch_is_that_of_its_last_step(tmp_path):
    job = replace(JOB, recipe=Recipe(steps=7, batch_size=256))
    result = train.train(job, tmp_path, _ignore).to_dict()
    trainer = Trainer(job, tmp_path)
    trainer.load_state_dict(checkpoints.newest_checkpoint([tmp_path], job, 0))
    again = trainer.evaluate(trainer.trained, trainer.val_part)
    assert (again.loss, again.accuracy) == (result["val_loss"], result["val_accuracy"])
    weights, state = load_file(tmp_path / WEIGHTS), trainer.model.state_dict()
    assert all(torch.equal(weights[name], state[name]) for name in state)


# A step.

PLAIN = replace(
    TINY, stem="patch", stem_strides=(2,), permutation="stride", drop_path=0.0
)  # no batch normalisation, nothing drawn
STEPS = Recipe(steps=4, warmup=0, batch_size=300, lr=1e-2, weight_decay=0.1, clip_grad_norm=None)


def _after(recipe, tmp_path):
    """A trainer that has taken all steps of a recipe, and the weights before each and after."""
    trainer = Trainer(Job(PLAIN, recipe, Data(), seed=1), tmp_path)
    weights = [_copied(trainer.model)]
    while not trainer.has_ended:
        for _ in trainer.steps():
            weights.append(_copied(trainer.model))
        trainer.end_epoch()
    return trainer, weights


def _copied(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def _distance(one, other):
    return max((one[name] - other[name]).abs().max().item() for name in one)


@pytest.mark.parametrize("parts", [2, 3, 30])
def test_parts_of_a_batch_add_up_to_the_whole(tmp_path, parts):
    recipe = replace(STEPS, optimizer="sgd", lr=0.1, clip_grad_norm=0.5, batch_size=31)
    whole, weights = _after(recipe, tmp_path)
    cut, others = _after(replace(recipe, accumulate=parts), tmp_path)
    assert _distance(weights[0], weights[-1]) > 1e-3
    assert _distance(weights[-1], others[-1]) < 1e-5
    loss, other = (trainer.history[-1].train_loss for trainer in (whole, cut))
    assert other == pytest.approx(loss, abs=1e-5)


def test_sgd_is_that_of_nesterov(tmp_path):
    recipe = replace(STEPS, optimizer="sgd", lr=0.05, schedule="wsd", decay=0)
    trainer, weights = _after(recipe, tmp_path)
    again = Trainer(Job(PLAIN, recipe, Data(), seed=1), tmp_path)
    assert _distance(_copied(again.model), weights[0]) == 0
    velocity = {name: torch.zeros_like(p) for name, p in weights[0].items()}
    decayed = {id(p) for p in again.optimizer.param_groups[0]["params"]}

    def by_hand():
        with torch.no_grad():
            for name, p in again.model.named_parameters():
                gradient = p.grad + (0.1 * p if id(p) in decayed else 0)
                velocity[name] = 0.9 * velocity[name] + gradient
                p -= 0.05 * (gradient + 0.9 * velocity[name])

    again.optimizer.step = by_hand
    for _ in again.steps():
        pass
    assert again.step == trainer.step == 4
    assert _distance(_copied(again.model), weights[-1]) < 1e-6


def test_the_average_of_the_weights_is_that_of_a_loop_by_hand(tmp_path):
    trainer, weights = _after(replace(STEPS, steps=5, ema=0.27), tmp_path)
    average = weights[1]
    for n, after in enumerate(weights[2:], 1):
        decay = min(0.27, (1 + n) / (10 + n))
        average = {name: decay * average[name] + (1 - decay) * after[name] for name in after}
    assert _distance(_copied(trainer.trained), average) < 1e-6
    assert _distance(weights[-1], average) > 1e-4
    assert trainer.trained is not trainer.model


def test_the_average_is_what_is_evaluated_and_kept(tmp_path):
    job = replace(JOB, recipe=Recipe(steps=6, batch_size=256, lr=1e-2, ema=0.99))
    train.train(job, tmp_path, _ignore)
    state = checkpoints.newest_checkpoint([tmp_path], job, 0)
    weights = load_file(tmp_path / WEIGHTS)
    assert all(torch.equal(value, state["average"][f"module.{k}"]) for k, value in weights.items())
    assert not torch.equal(weights["head.weight"], state["model"]["head.weight"])
    # Batch normalisation's statistics are not averaged: they are those of the model.
    assert torch.equal(weights["stem.1.running_mean"], state["model"]["stem.1.running_mean"])


def test_gradients_are_clipped_to_the_norm_of_the_recipe(tmp_path):
    recipe = replace(STEPS, steps=1, optimizer="sgd", lr=1.0, weight_decay=0.0)
    _, free = _after(recipe, tmp_path)
    _, clipped = _after(replace(recipe, clip_grad_norm=0.01), tmp_path)
    norms = [
        math.sqrt(sum((w[1][k] - w[0][k]).double().square().sum().item() for k in w[0]))
        for w in (free, clipped)
    ]
    # A first step of Nesterov's goes 1.9 times along the gradient.
    assert norms[1] == pytest.approx(1.9 * 0.01, rel=1e-3)
    assert norms[0] > 0.1
    _, loose = _after(replace(recipe, clip_grad_norm=1e6), tmp_path)
    assert _distance(loose[1], free[1]) == 0


def test_numbers_of_steps_and_epochs_name_streams_of_their_own(tmp_path):
    trainer = Trainer(JOB, tmp_path)
    names = [(n,) for n in range(50)]
    names += [(p, n) for p in (_DEPTH, _END) for n in range(50)]
    names += [(p, n, rank) for p in (_STEP, _IMAGES) for n in range(50) for rank in range(3)]
    assert len({trainer._seed(*name) for name in names}) == len(names)


# Files and torchvision.


def test_a_file_keeps_its_old_content_when_its_writer_fails(tmp_path):
    target = tmp_path / "folder" / "result.json"
    write_json(target, {"state": "old"})

    def fail(file):
        file.write(b"half of the n")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write_whole(target, fail)
    assert json.loads(target.read_text()) == {"state": "old"}
    write_json(target, {"state": "new"})
    assert json.loads(target.read_text()) == {"state": "new"}
    assert [path.name for path in target.parent.iterdir()] == ["result.json"]


def test_torchvision_is_there_and_transforms_images():
    from sret_search.training.vision import torchvision, transforms

    image = torch.arange(12.0).view(1, 3, 4)
    assert torch.equal(transforms.RandomHorizontalFlip(p=1.0)(image), image.flip(-1))
    assert torchvision.transforms.v2 is transforms
