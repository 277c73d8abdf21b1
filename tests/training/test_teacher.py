"""Learning from a teacher, and starting from its weights."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.artifacts.names import WEIGHTS
from sret_search.job import Augment, Data, Distill, Job, Recipe
from sret_search.model import SReT, load, resize, save
from sret_search.training import data, teacher, train
from sret_search.training.augment import normalize
from sret_search.training.evaluation import logits_of
from sret_search.training.loss import TrainingLoss
from sret_search.training.pretrained import PretrainedError
from sret_search.training.teacher import Teacher
from sret_search.training.trainer import Trainer

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(8, 2, loops=2, mlp_ratio=2.0),), nll=NLL("block"), residual=Residual("lrc"),
)  # fmt: skip
WISE = replace(TINY, stages=(Stage(16, 2, mlp_ratio=2.0),))
FEW = Data(test=0.7)
RECIPE = Recipe(steps=3, batch_size=60, lr=1e-2, warmup=0)


def _save(path, architecture=WISE, seed=4):
    """A model file of a teacher that is sure of what it says."""
    torch.manual_seed(seed)
    model = SReT(architecture)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    path.parent.mkdir(parents=True, exist_ok=True)
    save(model, path)
    return model.eval()


@pytest.fixture
def wise(tmp_path):
    """The name of a teacher."""
    _save(tmp_path / "wise.safetensors")
    return str(tmp_path / "wise.safetensors")


def _job(name, temperature=1.0, **recipe):
    distill = None if name is None else Distill(name, temperature)
    return Job(TINY, replace(RECIPE, distill=distill, **recipe), FEW, seed=2)


def _refused(job, folder):
    with pytest.raises(PretrainedError) as refused:
        Trainer(job, folder)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


# What a student learns.


def test_logits_computed_once_are_those_of_each_batch(wise):
    split = data.load(FEW)
    once, each = (Teacher(Distill(wise), split, split.train, "cpu", once) for once in (True, False))
    indices = torch.tensor([3, 300, 0, 17])
    images, _ = next(split.train.batches([indices]))
    images = normalize(images, split.mean, split.std)
    wanted = load(wise).eval()(images).softmax(1)
    for targets in (once.targets(images, indices), each.targets(images, indices)):
        torch.testing.assert_close(targets, wanted)
        assert not targets.requires_grad
    assert wanted.max() > 0.3  # and it says different things of different images
    assert not torch.allclose(wanted[0], wanted[1], atol=1e-2)


def test_a_teacher_that_sees_each_batch_teaches_the_same(tmp_path, wise, monkeypatch):
    once = train.train(_job(wise), tmp_path / "once", lambda metrics: None).to_dict()
    asked, targets = [], Teacher.targets

    def asking(self, images, indices):
        asked.append(self.logits)
        self.logits = None
        return targets(self, images, indices)

    monkeypatch.setattr(Teacher, "targets", asking)
    each = train.train(_job(wise), tmp_path / "each", lambda metrics: None).to_dict()
    assert len(asked) == 3
    assert asked[0] is not None
    for name in ("train_loss", "val_loss"):
        assert each["history"][0][name] == pytest.approx(once["history"][0][name], abs=1e-5)


@pytest.mark.parametrize(
    ("augment", "once"),
    [(Augment(), True), (Augment(repeats=2), True), (Augment(flip=True), False)],
    ids=["nothing", "repeats", "flips"],
)
def test_logits_are_computed_once_where_no_image_is_changed(tmp_path, wise, augment, once):
    trainer = Trainer(_job(wise, augment=augment), tmp_path)
    assert (trainer.teacher.logits is not None) == once
    if once:
        wanted = logits_of(
            load(wise).eval(), trainer.train_part, trainer.split.mean, trainer.split.std
        )
        torch.testing.assert_close(trainer.teacher.logits, wanted)


def test_a_teacher_sees_images_as_the_student_does(tmp_path, wise, monkeypatch):
    seen, forward, targets = [], TrainingLoss.forward, Teacher.targets
    monkeypatch.setattr(
        Teacher, "targets", lambda self, x, i: (seen.append(x.clone()), targets(self, x, i))[1]
    )
    monkeypatch.setattr(
        TrainingLoss,
        "forward",
        lambda self, x, *a: (seen.append(x.clone()), forward(self, x, *a))[1],
    )
    trainer = Trainer(_job(wise, augment=Augment(rotate=20.0, mixup=0.8)), tmp_path)
    next(trainer.steps())
    told, learned = seen
    assert torch.equal(told, learned)
    plain, _ = next(trainer.train_part.batches([torch.arange(60)]))
    assert told.shape == plain.shape


@pytest.mark.parametrize(
    "augment", [Augment(), Augment(rotate=10.0, cutmix=1.0)], ids=["no", "yes"]
)
def test_a_student_learns_from_its_teacher_only(tmp_path, wise, augment):
    def trained(name, shuffled):
        trainer = Trainer(_job(name, augment=augment, label_smoothing=0.1), tmp_path)
        labels = trainer.train_part.labels
        if shuffled:
            order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
            assert not torch.equal(labels, labels[order])
            trainer.train_part = replace(trainer.train_part, labels=labels[order])
        for _ in trainer.steps():
            pass
        return trainer.model.state_dict()

    right, wrong = trained(wise, False), trained(wise, True)
    assert all(torch.equal(right[name], wrong[name]) for name in right)
    right, wrong = trained(None, False), trained(None, True)
    assert not torch.equal(right["head.weight"], wrong["head.weight"])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_temperature_divides_the_logits_of_both(tmp_path, wise, temperature):
    trainer = Trainer(_job(wise, temperature), tmp_path)
    indices = torch.arange(20)
    images, labels = next(trainer.train_part.batches([indices]))
    images, _ = trainer.augmenter(images, labels)
    targets = trainer.teacher.targets(images, indices)
    with torch.no_grad():
        loss = trainer.objective(images, targets, 0)
        student, master = trainer.model(images), load(wise).eval()(images)
    log_probabilities = (student / temperature).log_softmax(1)
    wanted = -((master / temperature).softmax(1) * log_probabilities).sum(1).mean()
    torch.testing.assert_close(loss, wanted)
    plain = F.cross_entropy(student, master.softmax(1))
    assert (abs(loss - plain) < 1e-4) == (temperature == 1)


def test_a_student_comes_to_say_what_its_teacher_says(tmp_path, wise):
    trainer = Trainer(_job(wise, steps=60), tmp_path)
    master = load(wise).eval()

    def agreement():
        logits = [
            logits_of(m, trainer.val_part, trainer.split.mean, trainer.split.std)
            for m in (trainer.model, master)
        ]
        return (logits[0].argmax(1) == logits[1].argmax(1)).float().mean().item()

    before = agreement()
    while not trainer.has_ended:
        for _ in trainer.steps():
            pass
        trainer.end_epoch()
    assert agreement() > max(before, 0.5) + 0.1


# Which teacher.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 9}, "digits has 10 classes, but the architecture has 9"),
        ({"image_size": 16}, "digits has 8 pixels a side, but the architecture has 16"),
        ({"in_channels": 3}, "digits has 1 channels, but the architecture has 3"),
    ],
    ids=str,
)
def test_a_teacher_of_other_images_is_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "other.safetensors"
    _save(path, replace(WISE, **change))
    assert _refused(_job(str(path)), tmp_path) == f"the teacher {path}: {message}"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 12)), "has 10 classes, but the teacher has 12"),
        (nn.Conv2d(3, 10, 8), "does not take the images of digits"),
    ],
    ids=["classes", "channels"],
)
def test_a_teacher_of_another_family_is_refused_in_one_line(tmp_path, monkeypatch, model, message):
    monkeypatch.setattr(teacher, "load_model", lambda name: model)
    refused = _refused(_job("torchvision:any"), tmp_path)
    assert refused.startswith("the teacher torchvision:any")
    assert message in refused


def test_a_teacher_of_another_family_teaches(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    monkeypatch.setattr(teacher, "load_model", lambda name: model)
    result = train.train(_job("torchvision:any"), tmp_path, lambda metrics: None).to_dict()
    assert result["state"] == "complete"
    assert not any(p.requires_grad for p in model.parameters())


def test_a_teacher_or_start_that_is_not_there_is_refused_in_one_line(tmp_path):
    assert "nowhere.safetensors" in _refused(_job("nowhere.safetensors"), tmp_path)
    assert str(tmp_path / "00012") in _refused(_job("trial 12"), tmp_path)
    assert str(tmp_path / "00012") in _refused(_job(None, init="trial 12"), tmp_path)


def test_a_trial_of_the_study_is_a_teacher_by_its_number(tmp_path):
    trials = tmp_path / "trials"
    model = _save(trials / "00007" / "attempt-2" / WEIGHTS)
    _save(trials / "00007" / "attempt-1" / WEIGHTS, seed=5)
    _save(trials / "00070" / "attempt-1" / WEIGHTS, seed=6)
    trainer = Trainer(_job("trial 7"), trials)
    state = trainer.teacher.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_an_attempt_finds_the_trials_beside_its_own(tmp_path):
    trials = tmp_path / "trials"
    _save(trials / "00003" / "attempt-1" / WEIGHTS)
    file = trials / "00003" / "attempt-1" / WEIGHTS
    by_number = train.train(
        _job("trial 3"), trials / "00004" / "attempt-1", lambda metrics: None
    ).to_dict()
    by_file = train.train(
        _job(str(file)), trials / "00005" / "attempt-1", lambda metrics: None
    ).to_dict()
    assert by_number["history"][0]["train_loss"] == by_file["history"][0]["train_loss"]


# Where a student starts.


def test_a_training_starts_from_the_weights_of_a_trial(tmp_path):
    model = _save(tmp_path / "00007" / "attempt-1" / WEIGHTS, TINY)
    trainer = Trainer(_job(None, init="trial 7", ema=0.9), tmp_path)
    for started in (trainer.model, trainer.average.module):
        state = started.state_dict()
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert trainer.model.training
    fresh = Trainer(_job(None), tmp_path).model.state_dict()
    assert not torch.equal(fresh["head.weight"], model.state_dict()["head.weight"])


def test_a_training_starts_at_another_resolution(tmp_path):
    path = tmp_path / "small.safetensors"
    model = _save(path, TINY)
    large = replace(_job(None, init=str(path)), data=replace(FEW, image_size=16))
    large = replace(large, architecture=replace(TINY, image_size=16))
    trainer = Trainer(large, tmp_path)
    state, wanted = trainer.model.state_dict(), resize(model, 16).state_dict()
    assert state["positions_1DSS"].shape == (1, 8, 8, 8)
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    result = train.train(large, tmp_path / "attempt-1", lambda metrics: None).to_dict()
    assert result["state"] == "complete"


def test_a_start_that_does_not_fit_is_refused_in_one_line(tmp_path, wise):
    refused = _refused(_job(None, init=wise), tmp_path)
    assert refused == f"{wise} does not fit: stages.0.width 16 against 8"
