"""A training: its data, its end, and that being stopped changes no bit of it."""

import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.job import Data, Job, Recipe
from sret_search.training import data, files, train

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=8, heads=2, unique=1, loops=3, groups=(4, 2), mlp_ratio=2.0),),
    nll=NLL("block"), residual=Residual("lrc"), permutation="official", drop_path=0.3,
)  # fmt: skip
JOB = Job(TINY, Recipe(epochs=2, batch_size=64, lr=1e-2, warmup_epochs=0.5), Data(), seed=3)


def _ignore(metrics):
    pass


# The split.


@pytest.fixture
def numbered(monkeypatch):
    """Loads splits of a data set whose labels number its images and whose images show it."""

    def images():
        labels = torch.arange(1797)
        return labels.float().view(-1, 1, 1, 1).expand(-1, 1, 8, 8), labels

    monkeypatch.setattr(data, "_digits", images)
    return data.load.__wrapped__


def _numbers(split):
    return [part.labels.tolist() for part in (split.train, split.val, split.test)]


def test_the_digits_are_cut_into_about_1257_180_and_360_images(numbered):
    parts = _numbers(numbered(Data()))
    assert [len(part) for part in parts] == pytest.approx([1257, 180, 360], abs=1)
    assert tuple(len(part) for part in parts) == Data().sizes
    assert sorted(itertools.chain(*parts)) == list(range(1797))


def test_images_keep_their_labels(numbered):
    for part in (split := numbered(Data())).train, split.val, split.test:
        brightness = part.images.mean((1, 2, 3))
        assert part.labels[brightness.argsort()].tolist() == sorted(part.labels.tolist())


def test_a_split_depends_on_its_seed_and_nothing_else(numbered):
    torch.manual_seed(0)
    first = _numbers(numbered(Data(split_seed=7)))
    torch.manual_seed(1)
    assert _numbers(numbered(Data(split_seed=7))) == first
    assert _numbers(numbered(Data(split_seed=8))) != first
    assert first[0] != sorted(first[0])


def test_images_are_normalised_by_the_training_part():
    split = data.load(Data(split_seed=1))
    assert split.train.images.shape == (1258, 1, 8, 8)
    assert split.train.images.mean().item() == pytest.approx(0, abs=1e-5)
    assert split.train.images.std().item() == pytest.approx(1, abs=1e-3)
    # Not by all images, whose mean is another (but, by chance, not with split_seed 0).
    everything = torch.cat([part.images for part in (split.train, split.val, split.test)])
    assert abs(everything.mean().item()) > 1e-3


# The end of a training.


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that was never stopped: its folder and its result."""
    attempt = tmp_path_factory.mktemp("whole") / "attempt-1"
    return attempt, train.train(JOB, attempt, _ignore)


def _timeless(result):
    history = [{k: v for k, v in m.items() if k != "seconds"} for m in result["history"]]
    return {k: v for k, v in result.items() if k != "seconds"} | {"history": history}


def _assert_same_end(attempt, result, whole):
    assert _timeless(result) == _timeless(whole[1])
    weights, wanted = (load_file(folder / train.WEIGHTS) for folder in (attempt, whole[0]))
    assert weights.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(weights[name], wanted[name])] == []
    with np.load(attempt / train.PREDICTIONS) as one, np.load(whole[0] / train.PREDICTIONS) as two:
        assert (one["test"] == two["test"]).all()


def test_a_training_ends_with_its_result_in_its_folder(whole):
    attempt, result = whole
    assert json.loads((attempt / train.RESULT).read_text()) == result
    assert result["state"] == "complete"
    assert result["epochs"] == 2
    assert [m["epoch"] for m in result["history"]] == [1, 2]
    assert result["val_accuracy"] == result["history"][-1]["val_accuracy"]
    assert result["seconds"] == result["history"][-1]["seconds"] > 0
    with np.load(attempt / train.PREDICTIONS) as predictions:
        assert (predictions["labels"] == data.load(Data()).test.labels.numpy()).all()
        right = predictions["labels"] == predictions["test"]
    assert result["test_accuracy"] == pytest.approx(right.mean())


def test_a_training_learns(whole):
    first, last = whole[1]["history"]
    assert last["train_loss"] < first["train_loss"]
    assert whole[1]["test_accuracy"] > 0.3


def test_every_epoch_is_reported(tmp_path):
    reported = []
    result = train.train(JOB, tmp_path, lambda metrics: reported.append(dict(metrics)))
    assert reported == result["history"]


def test_another_seed_trains_another_model(tmp_path, whole):
    result = train.train(replace(JOB, seed=4), tmp_path, _ignore)
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
    result = train.train(JOB, second, lambda metrics: reported.append(metrics["epoch"]), [first])
    assert reported == [2]
    _assert_same_end(second, result, whole)


def test_a_training_stopped_before_its_result_only_writes_it(tmp_path, whole):
    first = _stopped_after(whole, 2, tmp_path / "attempt-1")
    reported, second = [], tmp_path / "attempt-2"
    second.mkdir()
    result = train.train(JOB, second, reported.append, [first])
    assert reported == []
    _assert_same_end(second, result, whole)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, whole):
    first = _stopped_after(whole, 2, tmp_path / "attempt-1")
    *_, newest = sorted(first.glob("checkpoint-*"))
    content = newest.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"not a checkpoint"):
        newest.write_bytes(damaged)
        assert files.newest_checkpoint([first], JOB.identity)["epoch"] == 1
    reported, second = [], tmp_path / "attempt-2"
    result = train.train(JOB, second, lambda metrics: reported.append(metrics["epoch"]), [first])
    assert reported == [2]
    _assert_same_end(second, result, whole)


def test_the_furthest_checkpoint_of_all_attempts_is_taken(tmp_path):
    for attempt, epochs in (("attempt-1", [1, 2, 3]), ("attempt-2", [2, 11]), ("attempt-3", [4])):
        for epoch in epochs:
            state = {"epoch": epoch, "job": "this"}
            files.save_checkpoint(tmp_path / attempt, epoch, state)
    attempts = sorted(tmp_path.iterdir())
    assert files.newest_checkpoint(attempts, "this")["epoch"] == 11
    assert files.newest_checkpoint(attempts[:1], "this")["epoch"] == 3
    assert files.newest_checkpoint([tmp_path / "attempt-9"], "this") is None
    assert files.newest_checkpoint(attempts, "another") is None
    assert len(list(attempts[0].iterdir())) == 2


def test_reruns_are_evaluated_with_the_trained_weights(tmp_path):
    calm = replace(TINY, permutation="stride")
    deep = replace(calm, stages=(replace(calm.stages[0], loops=9),))
    result = train.train(replace(JOB, architecture=calm, reruns=(deep, calm)), tmp_path, _ignore)
    deeper, same = result["reruns"]
    assert (deeper["executions"], same["executions"]) == (9, 3)
    assert same["val_accuracy"] == result["val_accuracy"]
    assert same["test_accuracy"] == result["test_accuracy"]
    with np.load(tmp_path / train.PREDICTIONS) as predictions:
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
    recipe = Recipe(epochs=2, batch_size=64, lr=1e6, warmup_epochs=0, clip_grad_norm=None)
    result = train.train(replace(JOB, recipe=recipe), tmp_path, _ignore)
    # It diverges in the first epoch, so that every loss that was asked for is that of a step.
    assert len(losses) <= 20
    assert result["state"] == "diverged"
    assert result["step"] == len(losses) > 1
    assert [loss.isfinite().item() for loss in losses] == [True] * (len(losses) - 1) + [False]
    assert f"at step {result['step']}" in result["reason"]
    assert result["epochs"] == 0
    assert json.loads((tmp_path / train.RESULT).read_text()) == result
    assert not (tmp_path / train.WEIGHTS).exists()


# The optimizer and its schedule.


@pytest.mark.parametrize("kind", ["lrc", "layerscale", "scaled"])
def test_weight_decay_is_of_matrices_and_convolutions_alone(kind):
    recipe = replace(JOB.recipe, weight_decay=0.7)
    two = (*TINY.stages, Stage(width=16, heads=2))
    job = replace(
        JOB, architecture=replace(TINY, stages=two, residual=Residual(kind)), recipe=recipe
    )
    trainer = train.Trainer(job)
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


def test_the_learning_rate_warms_up_to_its_peak_and_falls_to_zero():
    trainer = train.Trainer(JOB)
    rates = []
    for _ in range(2 * trainer.steps_per_epoch):
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        trainer.optimizer.step()
        trainer.schedule.step()
    assert trainer.steps_per_epoch == 20
    peak = rates.index(max(rates))
    assert peak in (9, 10)
    assert max(rates) == pytest.approx(1e-2)
    assert rates[:10] == pytest.approx([1e-3 * step for step in range(1, 11)])
    assert rates[11:] == sorted(rates[11:], reverse=True)
    assert rates[25] == pytest.approx(0.5e-2)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


# Files and torchvision.


def test_a_file_keeps_its_old_content_when_its_writer_fails(tmp_path):
    target = tmp_path / "folder" / "result.json"
    files.write_json(target, {"state": "old"})

    def fail(file):
        file.write(b"half of the n")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        files.write_whole(target, fail)
    assert json.loads(target.read_text()) == {"state": "old"}
    files.write_json(target, {"state": "new"})
    assert json.loads(target.read_text()) == {"state": "new"}
    assert [path.name for path in target.parent.iterdir()] == ["result.json"]


def test_torchvision_is_there_and_transforms_images():
    from sret_search.training.vision import torchvision, transforms

    image = torch.arange(12.0).view(1, 3, 4)
    assert torch.equal(transforms.RandomHorizontalFlip(p=1.0)(image), image.flip(-1))
    assert torchvision.transforms.v2 is transforms
