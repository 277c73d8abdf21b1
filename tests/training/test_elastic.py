"""Training for several depths: what each step minimises, and which depths there are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sret_search.architecture import NLL, Architecture, Relax, Residual, Stage
from sret_search.artifacts.names import PREDICTIONS
from sret_search.cost import cost
from sret_search.job import Data, Distill, Job, Recipe, train_macs, trained_depths
from sret_search.model import SReT, rerun
from sret_search.space.candidate import Candidate
from sret_search.study import load_study
from sret_search.training import train
from sret_search.training.loss import TrainingLoss

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(
        Stage(8, 2, unique=2, loops=4, groups=(4, 2), mlp_ratio=2.0),
        Stage(16, 2, unique=3, loops=(1, 2, 1), mlp_ratio=2.0),
    ),
    nll=NLL("block"), residual=Residual("lrc"),
)  # fmt: skip


def _loops(architectures):
    return [[stage.loops for stage in a.stages] for a in architectures]


def _objective(mode, depths=(), **options):
    """An objective and its model, with weights that tell depths apart."""
    torch.manual_seed(5)
    recipe = Recipe(depth_training=mode, depths=depths, **options)
    model = SReT(TINY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return TrainingLoss(model.train(), Job(TINY, recipe, Data(), seed=0)), model


def _batch():
    generator = torch.Generator().manual_seed(6)
    images = torch.randn(12, 1, 8, 8, generator=generator)
    return images, torch.randint(10, (12,), generator=generator)


def _gradients(loss, model):
    return torch.autograd.grad(loss, list(model.parameters()))


def _assert_close(ours, theirs, atol=1e-6):
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=atol)


def _at(model, loops):
    return rerun(model, TINY.at_loops(loops))


# Which depths.


@pytest.mark.parametrize(
    ("mode", "depths", "loops"),
    [
        ("fixed", (), [4]),
        ("mixed", (), [1, 4]),
        ("mixed", (2, 3), [2, 3, 4]),
        ("mixed", (2, 4), [2, 4]),
        ("sampled", (), [1, 2, 3, 4]),
        ("sampled", (1, 3), [1, 3, 4]),
        ("sandwich", (), [1, 2, 3, 4]),
    ],
)
def test_the_deepest_depth_trained_is_the_architecture_itself(mode, depths, loops):
    found = trained_depths(TINY, Recipe(depth_training=mode, depths=depths))
    assert [a.loops for a in found] == loops
    assert found[-1] == TINY


def test_blocks_that_loop_less_run_in_proportion_and_those_that_run_once_stay():
    found = trained_depths(TINY, Recipe(depth_training="sampled"))
    assert _loops(found) == [[1, (1, 1, 1)], [2, (1, 1, 1)], [3, (1, 2, 1)], [4, (1, 2, 1)]]
    uneven = replace(TINY, stages=(Stage(8, 2, unique=4, loops=(1, 6, 3, 1)),))
    assert _loops(trained_depths(uneven, Recipe(depth_training="mixed", depths=(2, 4)))) == [
        [(1, 2, 1, 1)],
        [(1, 4, 2, 1)],
        [(1, 6, 3, 1)],
    ]


def test_depths_beyond_the_architecture_are_refused():
    recipe = Recipe(depth_training="sampled", depths=(2, 5))
    with pytest.raises(ValueError, match="depths 5 is more than the 4 loops"):
        Job(TINY, recipe, Data(), seed=0)


@pytest.mark.parametrize(
    "change",
    [
        {"nll": NLL("execution")},
        {"relax": Relax(norm=True)},
        {"relax": Relax(gain=True)},
        {"relax": Relax(lora=2)},
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", ["mixed", "sampled", "sandwich"])
def test_weights_of_single_loops_fit_no_other_depth(mode, change):
    with pytest.raises(ValueError, match=f"depth_training {mode} needs weights that fit"):
        Job(replace(TINY, **change), Recipe(depth_training=mode), Data(), seed=0)
    Job(replace(TINY, **change), Recipe(), Data(), seed=0)


@pytest.mark.parametrize("change", [{"nll": NLL("stage")}, {"relax": Relax(experts=3)}], ids=str)
def test_weights_that_no_loop_has_alone_fit_every_depth(change):
    found = trained_depths(replace(TINY, **change), Recipe(depth_training="sampled"))
    assert len(found) == 4


# What a step minimises.


def test_mixed_is_the_mean_of_the_losses_of_its_depths():
    objective, model = _objective("mixed", (1, 2), label_smoothing=0.1)
    images, labels = _batch()
    losses = [
        F.cross_entropy(_at(model, loops)(images), labels, label_smoothing=0.1)
        for loops in (1, 2, 4)
    ]
    assert len({round(loss.item(), 4) for loss in losses}) == 3
    loss = objective(images, labels, 17)
    torch.testing.assert_close(loss, sum(losses) / 3)
    _assert_close(_gradients(loss, model), _gradients(sum(losses) / 3, model))


def test_sampled_is_the_loss_of_the_drawn_depth_alone():
    objective, model = _objective("sampled")
    images, labels = _batch()
    found = set()
    for drawn in range(8):
        loss = objective(images, labels, drawn)
        alone = F.cross_entropy(_at(model, 1 + drawn % 4)(images), labels)
        torch.testing.assert_close(loss, alone)
        _assert_close(_gradients(loss, model), _gradients(alone, model))
        found.add(round(loss.item(), 4))
    assert len(found) == 4


def test_each_depth_is_drawn_in_a_training(tmp_path, monkeypatch):
    drawn, forward = [], TrainingLoss.forward

    def noted(objective, images, targets, number, progress):
        drawn.append(number % len(objective.paths))
        return forward(objective, images, targets, number, progress)

    monkeypatch.setattr(TrainingLoss, "forward", noted)
    recipe = Recipe(steps=24, batch_size=8, accumulate=2, depth_training="sampled")
    train.train(Job(TINY, recipe, Data(test=0.7), seed=0), tmp_path, lambda metrics: None)
    assert drawn[::2] == drawn[1::2]  # the parts of a batch run at one depth
    assert np.bincount(drawn[::2], minlength=4).min() >= 2


def test_sandwich_teaches_the_shallow_what_the_deepest_puts_out():
    objective, model = _objective("sandwich", label_smoothing=0.1)
    images, labels = _batch()
    for drawn, between in ((0, 2), (1, 3), (2, 2)):
        loss = objective(images, labels, drawn)
        deepest = model(images)
        taught = deepest.detach().softmax(1)
        parts = [F.cross_entropy(deepest, labels, label_smoothing=0.1)]
        for loops in (1, between):
            log_probabilities = _at(model, loops)(images).log_softmax(1)
            parts.append(-(taught * log_probabilities).sum(1).mean())
        torch.testing.assert_close(loss, sum(parts) / 3)
        _assert_close(_gradients(loss, model), _gradients(sum(parts) / 3, model))


def test_sandwich_of_two_depths_has_none_between():
    objective, model = _objective("sandwich", (1, 4))
    images, labels = _batch()
    deepest = model(images)
    shallow = F.cross_entropy(_at(model, 1)(images), deepest.detach().softmax(1))
    for drawn in range(3):
        loss = objective(images, labels, drawn)
        torch.testing.assert_close(loss, (F.cross_entropy(deepest, labels) + shallow) / 2)


def test_sandwich_of_one_depth_is_the_loss():
    once = replace(TINY, stages=tuple(replace(stage, loops=1) for stage in TINY.stages))
    model = SReT(once)
    objective = TrainingLoss(model, Job(once, Recipe(depth_training="sandwich"), Data(), seed=0))
    images, labels = _batch()
    torch.testing.assert_close(objective(images, labels, 5), F.cross_entropy(model(images), labels))


def test_soft_targets_are_not_smoothed_again():
    objective, model = _objective("fixed", label_smoothing=0.5)
    images, _ = _batch()
    targets = torch.rand(12, 10).softmax(1)
    torch.testing.assert_close(
        objective(images, targets, 0), F.cross_entropy(model(images), targets)
    )


def test_bf16_runs_the_model_in_bfloat16_and_the_loss_in_float32():
    objective, _ = _objective("mixed", precision="bf16")
    exact, model = _objective("mixed")
    images, labels = _batch()
    seen = []
    model = objective.paths[-1]
    model.head.register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    loss, wanted = objective(images, labels, 0), exact(images, labels, 0)
    assert seen == [torch.bfloat16]
    assert loss.dtype == torch.float32
    assert 0 < (loss - wanted).abs().item() < 0.05


# Weights that are shared.


def test_a_rerun_sees_what_is_done_to_the_model():
    torch.manual_seed(0)
    model = SReT(TINY).train()
    twin = _at(model, 2)
    images, labels = _batch()
    ours, theirs = dict(model.named_parameters()), dict(twin.named_parameters())
    assert all(ours[name] is theirs[name] for name in ours)
    assert ours.keys() == theirs.keys()
    F.cross_entropy(twin(images), labels).backward()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    before = twin.head.weight.clone()
    optimizer.step()
    assert torch.equal(twin.head.weight, model.head.weight)
    assert not torch.equal(twin.head.weight, before)
    # Statistics of batch normalisation too, whoever runs.
    assert model.stem[1].num_batches_tracked == twin.stem[1].num_batches_tracked == 1
    model(images)
    assert twin.stem[1].num_batches_tracked == 2
    assert torch.equal(twin.stem[1].running_mean, model.stem[1].running_mean)
    # And what is loaded into the model.
    torch.manual_seed(1)
    model.load_state_dict(SReT(TINY).state_dict())
    assert torch.equal(twin.head.weight, model.head.weight)
    assert torch.equal(twin.eval()(images), _at(model, 2).eval()(images))


def test_an_objective_has_each_weight_once():
    objective, model = _objective("sampled")
    assert {id(p) for p in objective.parameters()} == {id(p) for p in model.parameters()}
    assert len(list(objective.parameters())) == len(list(model.parameters()))


# What it costs.


@pytest.mark.parametrize("depths", [(), (1, 3), (4,)])
def test_each_mode_costs_what_it_runs(depths):
    def macs(*loops):
        return sum(cost(TINY.at_loops(n)).macs for n in loops)

    def measured(mode):
        recipe = Recipe(steps=10, batch_size=6, depth_training=mode, depths=depths)
        return train_macs(TINY, recipe, 1000) / (3 * 60)

    all_of = {(): (1, 2, 3, 4), (1, 3): (1, 3, 4), (4,): (4,)}[depths]
    jointly = {(): (1, 4), (1, 3): (1, 3, 4), (4,): (4,)}[depths]
    between = all_of[1:-1]
    mean_between = macs(*between) / len(between) if between else 0
    ends = macs(4) + (macs(1) if all_of != (4,) else 0)
    assert measured("mixed") == macs(*jointly)
    assert measured("sampled") == pytest.approx(macs(*all_of) / len(all_of), rel=1e-9)
    assert measured("sandwich") == pytest.approx(ends + mean_between, rel=1e-9)
    fixed = Recipe(steps=10, batch_size=6)
    assert train_macs(TINY, fixed, 1000) == 180 * macs(4)


def test_a_teacher_costs_a_student_nothing():
    taught = Recipe(steps=10, distill=Distill("a.safetensors"))
    assert train_macs(TINY, taught, 1000) == train_macs(TINY, Recipe(steps=10), 1000)


# What becomes of it.


STUDY = """\
study: elastic
space: space.yaml
data: {name: digits}
recipe: {epochs: 1, batch_size: 256, depth_training: MODE}
objectives: {accuracy: max, params: min}
search: {sampler: grid, seeds: 1}
"""
SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages: [{width: 8, heads: 2, loops: 3, mlp_ratio: 2}]
  nll: {share: block}
axes:
  stages.*.loops: {choices: [1, 3]}
"""


@pytest.mark.parametrize("mode", ["fixed", "sampled", "mixed"])
def test_an_elastic_candidate_is_rerun_at_every_shallower_depth(tmp_path, monkeypatch, mode):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY.replace("MODE", mode))
    (tmp_path / "space.yaml").write_text(SPACE)
    study = load_study(tmp_path / "study.yaml")
    deep, shallow = study.grid
    assert isinstance(deep, Candidate)
    assert (deep.architecture.loops, shallow.architecture.loops) == (3, 1)
    assert study.reruns(shallow) == ()
    wanted = [] if mode == "fixed" else [1, 2]
    assert [a.loops for a in study.reruns(deep)] == wanted
    job = study.job(deep, 0, "cpu")
    result = train.train(job, tmp_path / "attempt-1", lambda metrics: None).to_dict()
    assert [again["executions"] for again in result["reruns"]] == wanted
    with np.load(tmp_path / "attempt-1" / PREDICTIONS) as predictions:
        names = {"labels", "test", *(f"rerun-{i}" for i in range(len(wanted)))}
        assert set(predictions.files) == names
        for i, again in enumerate(result["reruns"]):
            right = (predictions[f"rerun-{i}"] == predictions["labels"]).mean()
            assert again["test_accuracy"] == pytest.approx(right)
