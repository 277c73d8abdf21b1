"""Loops that grow, are drawn by a law, or have no graph: what a step minimises, and what it costs."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ends import assert_same_end
from scipy.stats import chisquare
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sret_search.architecture import NLL, Architecture, Loop, Relax, Residual, Stage
from sret_search.cost import backward_macs, cost, reach
from sret_search.job import (
    Data,
    DepthTraining,
    Job,
    Recipe,
    depths_of_step,
    image_macs,
    step_memory,
    train_macs,
    without_gradient,
)
from sret_search.job.depth_training import DRAWN_BITS, drawn_depth, law_of_depths
from sret_search.model import SReT, rerun
from sret_search.model.sret import channels_last
from sret_search.training import train
from sret_search.training.loss import TrainingLoss
from sret_search.training.results import TrainingStopped
from sret_search.training.trainer import Trainer

torch.set_num_threads(1)

LOOPED = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(8, 2, unique=2, loops=6, groups=(4, 2), mlp_ratio=2.0),),
    order="cycle", nll=NLL("block"), residual=Residual("lrc"), permutation="stride",
)  # fmt: skip
SEQUENCE = replace(LOOPED, order="sequence")
GROWING = {"kind": "curriculum", "grow": [[0, 1], [0.25, 3], [0.5, "all"]]}


def _model(a, backprop=None, budget=2**40):
    """A model with weights that tell loops apart."""
    torch.manual_seed(5)
    model = SReT(a, budget, backprop)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.train()


def _batch(a=LOOPED, images=12):
    generator = torch.Generator().manual_seed(6)
    images_BCSS = torch.randn(
        images, a.in_channels, a.image_size, a.image_size, generator=generator
    )
    return images_BCSS, torch.randint(a.classes, (images,), generator=generator)


def _step(model, a=LOOPED):
    """Loss of a batch, and the gradients by name; None where there is none."""
    images, labels = _batch(a)
    torch.manual_seed(7)
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


def _assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        if gradient is None or theirs[name] is None:
            assert gradient is theirs[name] is None, name
        else:
            assert torch.equal(gradient, theirs[name]), name


# Gradients through the last loops.


@pytest.mark.parametrize("loops", [6, 7, 100])
@pytest.mark.parametrize(
    "a",
    [
        LOOPED,
        SEQUENCE,
        replace(LOOPED, drop_path=0.3),
        replace(LOOPED, loop=Loop("gate", streams=2)),
    ],
    ids=range(4),
)
def test_gradients_through_as_many_loops_as_there_are_go_through_all(a, loops):
    loss, gradients = _step(_model(a))
    same, as_many = _step(_model(a, loops))
    assert torch.equal(loss, same)
    _assert_equal(gradients, as_many)


@pytest.mark.parametrize("drop_path", [0.0, 0.3])
@pytest.mark.parametrize("backprop", [1, 2, 5])
def test_loops_without_a_graph_give_the_same_bits(backprop, drop_path):
    a = replace(LOOPED, drop_path=drop_path, permutation="official", loop=Loop("linear", "film"))
    loss, gradients = _step(_model(a))
    same, fewer = _step(_model(a, backprop))
    assert torch.equal(loss, same)
    assert not torch.equal(
        gradients["stages.0.blocks.0.qkv.weight"], fewer["stages.0.blocks.0.qkv.weight"]
    )


@pytest.mark.parametrize("injection", ["none", "add"])
def test_one_loop_gives_the_gradient_of_the_last_loop_alone(injection):
    a = replace(
        LOOPED, stages=(replace(LOOPED.stages[0], groups=(2,)),), permutation="none",
        loop=Loop(injection),
    )  # fmt: skip
    model, (images, labels) = _model(a), _batch(a)
    before, last = rerun(model, a.at_loops(5)), rerun(model, a.at_loops(1))
    with torch.no_grad():
        [state_BDSS] = before.feature_maps(images)
    # The graph by hand: the last loop reads a state that is data, and perhaps the stage's input.
    last.stem = torch.nn.Identity()
    last.positions_1DSS = torch.nn.Parameter(torch.zeros_like(last.positions_1DSS))
    if injection == "add":
        state_BDSS = state_BDSS + model.stem(channels_last(images)) + model.positions_1DSS
    loss = F.cross_entropy(last(state_BDSS), labels)
    loss.backward()
    wanted = {name: p.grad for name, p in model.named_parameters()}
    same, ours = _step(_model(a, 1), a)
    torch.testing.assert_close(same, loss.detach(), rtol=1e-6, atol=0)
    for name, gradient in ours.items():
        if injection == "none" and name.startswith(("stem", "positions")):
            assert gradient is None
        else:
            torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-7)
            assert name.startswith("stem.0.bias") or gradient.abs().sum() > 0


@pytest.mark.parametrize("budget", [0, 20_000])
def test_what_is_recomputed_has_the_same_bits_without_a_graph_before_it(budget):
    a = replace(LOOPED, drop_path=0.3)
    model = _model(a, 3, budget)
    assert model.recomputes(12)
    loss, gradients = _step(model, a)
    whole, kept = _step(_model(a, 3), a)
    assert torch.equal(loss, whole)
    _assert_equal(gradients, kept)


def test_weights_that_autocast_has_cast_keep_their_gradients():
    images, labels = _batch()
    model = _model(LOOPED, 2)
    with torch.autocast("cpu", torch.bfloat16):
        F.cross_entropy(model(images).float(), labels).backward()
    looped = [p for name, p in model.named_parameters() if "blocks" in name or "nlls" in name]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in looped)


def test_evaluation_and_other_depths_know_of_no_cut():
    model = _model(LOOPED, 2).eval()
    _, gradients = _step(model)
    assert gradients["positions_1DSS"] is not None
    assert rerun(model, LOOPED.at_loops(3)).backprop == 2


# Which loops these are.


@pytest.mark.parametrize(
    ("loops", "order", "backprop", "detached", "blocks"),
    [
        (6, "cycle", 2, 8, True),  # A B A B A B A B | A B A B
        (6, "sequence", 2, 10, False),  # A A A A A A B B B B | B B
        ((6, 1), "sequence", 2, 4, True),  # A A A A | A A B
        ((1, 6), "sequence", 2, 5, False),  # A B B B B | B B: nothing leads to A
        ((6, 6), "cycle", 5, 2, True),
        ((2, 2), "sequence", 2, 0, True),
    ],
)
def test_a_cut_is_before_the_last_loops_of_blocks_that_loop_together(
    loops, order, backprop, detached, blocks
):
    a = replace(LOOPED, order=order, stages=(replace(LOOPED.stages[0], loops=loops),))
    found = reach(a, backprop)
    assert found.detached == (detached,)
    assert found.blocks == blocks
    assert found.input == (detached == 0)
    _, gradients = _step(_model(a, backprop), a)
    for block in range(2):
        has = gradients[f"stages.0.blocks.{block}.qkv.weight"] is not None
        assert has or not blocks
    assert (gradients["positions_1DSS"] is not None) == found.input
    assert all(g is not None for n, g in gradients.items() if "blocks" in n) == blocks


TWO_STAGES = replace(
    LOOPED, nll=NLL("none"), permutation="none",
    stages=(Stage(8, 2, loops=6, mlp_ratio=2.0), Stage(16, 2, unique=2, loops=(4, 1), mlp_ratio=2.0)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("a", "backprop", "message"),
    [
        (SEQUENCE, 2, "`backprop: 2` leaves blocks without a gradient"),
        (TWO_STAGES, 3, "leaves the blocks before stage 1 without a gradient"),
        (replace(LOOPED, nll=NLL("execution")), 2, "needs weights that all loops share"),
        (replace(LOOPED, relax=Relax(norm=True)), 2, "needs weights that all loops share"),
    ],
    ids=range(4),
)
def test_blocks_without_a_gradient_are_refused(a, backprop, message):
    recipe = Recipe(depth_training={"backprop": backprop})
    with pytest.raises(ValueError, match=message):
        Job(a, recipe, Data(), seed=0)
    Job(a, Recipe(depth_training={"backprop": a.loops}), Data(), seed=0)


INJECTED = replace(TWO_STAGES, loop=Loop("gate", "film", streams=2))


@pytest.mark.parametrize("a", [INJECTED, replace(LOOPED, loop=Loop("linear"))], ids=range(2))
@pytest.mark.parametrize("backprop", [1, 3])
def test_an_injected_input_leads_a_gradient_to_every_weight(a, backprop):
    recipe = Recipe(depth_training={"backprop": backprop})
    Job(a, recipe, Data(), seed=0)
    assert without_gradient(a, recipe) is None
    _, gradients = _step(_model(a, backprop), a)
    assert [name for name, gradient in gradients.items() if gradient is None] == []


def test_weights_of_early_loops_are_refused_with_an_injection_too():
    a = replace(LOOPED, loop=Loop("add", "learned"))
    with pytest.raises(ValueError, match="learned embeddings for each loop, get no gradient"):
        Job(a, Recipe(depth_training={"backprop": 2}), Data(), seed=0)


def test_a_stem_without_a_gradient_is_named():
    for backprop, named in ((2, "stem and positions"), (6, None), ("all", None)):
        recipe = Recipe(depth_training={"backprop": backprop})
        assert without_gradient(LOOPED, recipe) == named
    # The stage that is cut off is the first; loops of the second one are fewer than four.
    assert without_gradient(TWO_STAGES, Recipe(depth_training={"backprop": 4})) is not None


# What it costs.


def _counted(a, backprop):
    """Multiply-adds of a step on one image, as PyTorch counts them."""
    model, (images, labels) = _model(a, backprop), _batch(a, 1)
    # The counter knows no fused attention.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        F.cross_entropy(model(images), labels).backward()
    return counter.get_total_flops() // 2


WIDE = replace(
    LOOPED, image_size=16, stem_strides=(2, 2),
    stages=(Stage(32, 2, unique=2, loops=12, groups=(4, 2, 1), mlp_ratio=2.0),),
)  # fmt: skip
UNEVEN = replace(
    WIDE, order="sequence", stages=(Stage(32, 2, unique=3, loops=(12, 3, 1), mlp_ratio=2.0),)
)
PYRAMID = replace(
    WIDE, stages=(Stage(32, 2, loops=12, mlp_ratio=2.0), Stage(64, 2, loops=3, mlp_ratio=2.0))
)


@pytest.mark.parametrize("backprop", [1, 2, 3, 7, 11, 12])
@pytest.mark.parametrize(
    "a",
    [
        WIDE,
        UNEVEN,
        PYRAMID,
        *(
            replace(WIDE, loop=Loop(i, streams=k))
            for i, k in (("add", 1), ("linear", 1), ("none", 3), ("linear", 2))
        ),
        replace(PYRAMID, loop=Loop("linear", "film")),
    ],
    ids=["cycle", "uneven", "pyramid", "add", "linear", "streams", "both", "injected pyramid"],
)
def test_macs_of_a_step_are_those_that_are_counted(a, backprop):
    reached = reach(a, backprop)
    if reached.first > 0:  # what such a job is refused for; the model runs all the same
        return
    macs = cost(a).macs + 2 * backward_macs(a, backprop)
    # One product less, since nobody needs the gradient of the images. And the counter takes the
    # gradient of the weights of a depthwise pool for that of a full convolution.
    first = 9 * a.in_channels * a.stem_channels[0] * (a.image_size // a.stem_strides[0]) ** 2
    more = (a.stages[0].width - 1) * cost(a).macs_by_part["pools"]
    # Nor that of the state that comes from the loops without a graph.
    state, k = 0, a.loop.streams
    for stage, side, detached in zip(a.stages, a.sides, reached.detached, strict=True):
        of_injection = stage.width if a.loop.injection == "linear" else 0
        state += (detached > 0) * side**2 * stage.width * (k * (k + 1) if k > 1 else of_injection)
    assert _counted(a, backprop) == macs - reached.input * first - state + more
    if reached.blocks:
        recipe = Recipe(steps=1, batch_size=1, depth_training={"backprop": backprop})
        assert train_macs(a, recipe, 1) == macs


def test_memory_is_that_of_the_loops_with_a_graph():
    deep = replace(WIDE, stages=(replace(WIDE.stages[0], loops=500, groups=(1,)),))

    def memory(a, backprop="all"):
        recipe = Recipe(batch_size=64, depth_training={"backprop": backprop})
        return step_memory(a, recipe)

    assert memory(deep, 25) == memory(deep.at_loops(25))
    assert memory(deep, 25) < 0.2 * memory(deep)


# Laws and growth.


def test_a_drawn_depth_follows_its_law():
    """Fixed seeds, so that the p-values are what they are."""
    for law in ({}, {"law": "poisson_lognormal", "mean": 4.0}):
        training = DepthTraining("sampled", **law)
        for loops in (range(1, 13), [2, 5, 9]):
            counts = np.zeros(len(loops))
            for drawn in np.random.default_rng(3).integers(0, 2**DRAWN_BITS, 20_000):
                counts[drawn_depth(training, loops, int(drawn))] += 1
            wanted = np.array(law_of_depths(training, loops))
            assert wanted.sum() == pytest.approx(1)
            assert chisquare(counts, wanted * counts.sum()).pvalue > 0.01
            shifted = np.roll(wanted, 1) if law else np.arange(1.0, len(loops) + 1)
            assert chisquare(counts, shifted / shifted.sum() * counts.sum()).pvalue < 1e-6


@pytest.mark.parametrize("mean", [0.5, 4.0, 32.0])
def test_the_published_law_is_drawn_as_it_is_written(mean):
    """Against draws of the normal and the Poisson variable themselves, truncated by rejection."""
    rng = np.random.default_rng(1)
    tau = rng.normal(math.log(mean) - 0.5**2 / 2, 0.5, 400_000)
    loops = rng.poisson(np.exp(tau)) + 1
    assert loops.mean() == pytest.approx(mean + 1, rel=0.01)
    most = int(2 * mean) + 3
    counts = np.bincount(loops[loops <= most], minlength=most + 1)[1:]
    law = np.array(
        law_of_depths(DepthTraining("sampled", "poisson_lognormal", mean), range(1, most + 1))
    )
    assert chisquare(counts, law * counts.sum()).pvalue > 0.01


def test_a_law_far_from_all_depths_is_still_one():
    training = DepthTraining("sampled", "poisson_lognormal", 1000.0)
    law = law_of_depths(training, (1, 2, 3))
    assert sum(law) == pytest.approx(1)
    assert law[0] < law[1] < law[2]


def test_a_law_costs_its_mean():
    training = {"kind": "sampled", "law": "poisson_lognormal", "mean": 2.0}
    recipe = Recipe(steps=10, batch_size=6, depth_training=training)
    law = law_of_depths(recipe.depth_training, range(1, 7))
    macs = sum(p * cost(LOOPED.at_loops(n)).macs for n, p in enumerate(law, 1))
    assert train_macs(LOOPED, recipe, 1000) == pytest.approx(3 * 60 * macs)


def test_a_curriculum_costs_what_it_runs(tmp_path, monkeypatch):
    ran, forward = [], SReT.forward

    def noted(model, images):
        if model.training:
            ran.append((model.architecture.loops, len(images)))
        return forward(model, images)

    monkeypatch.setattr(SReT, "forward", noted)
    recipe = Recipe(steps=14, batch_size=8, depth_training=GROWING)
    result = train.train(Job(LOOPED, recipe, Data(test=0.7), 0), tmp_path, lambda metrics: None)
    assert [loops for loops, _ in ran] == [1] * 4 + [3] * 3 + [6] * 7
    macs = sum(3 * images * cost(LOOPED.at_loops(loops)).macs for loops, images in ran)
    assert result.train_macs == macs
    shares = [share for _, share in depths_of_step(LOOPED, recipe)]
    assert shares == [0.25, 0.25, 0.5]


# Trainings to their end.

SHORT = Recipe(
    epochs=2, batch_size=80, accumulate=2, lr=1e-2, ema=0.9,
    depth_training=GROWING | {"backprop": 2},
)  # fmt: skip
JOB = Job(replace(LOOPED, drop_path=0.3), SHORT, Data(val=0.1, test=0.7), seed=3)


def _trained(job, attempt, earlier=(), stop=None):
    asked = iter(range(1, 1000))
    stopping = (lambda: next(asked) == stop) if stop else (lambda: False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_ASKED_AFTER", 0.0)
        return train.train(job, attempt, lambda metrics: None, earlier, 1e9, stopping=stopping)


@pytest.mark.parametrize(
    ("a", "training"),
    [
        (JOB.architecture, GROWING),
        (JOB.architecture, {"kind": "sampled", "law": "poisson_lognormal", "mean": 2}),
        (replace(LOOPED, loop=Loop("gate", "film", "each", 2)), GROWING | {"supervise": "each"}),
    ],
    ids=["curriculum", "law", "supervised"],
)
def test_a_training_stopped_while_loops_change_ends_with_the_same_bits(tmp_path, a, training):
    recipe = replace(SHORT, depth_training=training | {"backprop": 2})
    job = replace(JOB, architecture=a, recipe=recipe)
    whole = _trained(job, tmp_path / "whole")
    for stop in (3, 5, 9):  # before, at and after a change of the loops
        first, second = tmp_path / f"{stop}" / "attempt-1", tmp_path / f"{stop}" / "attempt-2"
        assert isinstance(_trained(job, first, stop=stop), TrainingStopped)
        torch.manual_seed(99)
        result = _trained(job, second, [first])
        assert_same_end(second, result.to_dict(), tmp_path / "whole", whole.to_dict())


@pytest.mark.parametrize(
    "training",
    [{"kind": "curriculum", "grow": [[0, "all"]]}, {"kind": "curriculum", "grow": [[0, 6], [0.5, 9]]},
     {"backprop": 6}],
)  # fmt: skip
def test_what_changes_nothing_ends_with_the_bits_of_fixed(tmp_path, training):
    def end(name, depth_training):
        recipe = replace(SHORT, depth_training=depth_training)
        trainer = Trainer(replace(JOB, recipe=recipe), tmp_path / name)
        for _ in range(2):
            for _ in trainer.steps():
                pass
            trainer.end_epoch()
        return trainer.model.state_dict()

    usual, same = end("fixed", "fixed"), end("other", training)
    assert all(torch.equal(usual[name], same[name]) for name in usual)


def test_a_longer_curriculum_is_another_path():
    """It grows later, so that it cannot go on from the checkpoint of a shorter one."""

    def path(length, training):
        recipe = Recipe(epochs=length, schedule="wsd", warmup=1, depth_training=training)
        return Job(LOOPED, recipe, Data(), 0).trajectory

    assert path(4, GROWING) != path(8, GROWING)
    assert path(4, "sampled") == path(8, "sampled")


# A loss after each loop.


READ = replace(LOOPED, loop=Loop("add", readout="each"))


@pytest.mark.parametrize("backprop", ["all", 2])
def test_supervision_is_the_mean_of_the_losses_after_each_loop(backprop):
    training = {"supervise": "each", "backprop": backprop}
    recipe = Recipe(label_smoothing=0.1, depth_training=training)
    model = _model(READ, recipe.depth_training.through)
    objective = TrainingLoss(model, Job(READ, recipe, Data(), 0))
    images, labels = _batch()
    losses = [
        F.cross_entropy(rerun(model, READ.at_loops(n))(images), labels, label_smoothing=0.1)
        for n in range(1, 7)
    ]
    loss = objective(images, labels, 0)
    torch.testing.assert_close(loss, sum(losses) / 6)
    loss.backward()
    head = model.head.weight.grad.clone()
    model.zero_grad()
    (sum(losses) / 6).backward()
    torch.testing.assert_close(head, model.head.weight.grad)


def test_supervision_of_drawn_depths_is_that_of_their_loops():
    model = _model(READ)
    training = {"kind": "sampled", "supervise": "each"}
    objective = TrainingLoss(model, Job(READ, Recipe(depth_training=training), Data(), 0))
    images, labels = _batch()
    by_loop = [F.cross_entropy(rerun(model, READ.at_loops(n))(images), labels) for n in (1, 2, 3)]
    torch.testing.assert_close(objective(images, labels, 2), sum(by_loop) / 3)


def test_supervision_costs_a_head_for_each_loop():
    each = image_macs(READ, Recipe(depth_training={"supervise": "each"}))
    assert each - image_macs(READ, Recipe()) == 3 * 5 * 8 * 10


def test_supervision_needs_a_head_that_reads_each_loop():
    recipe = Recipe(depth_training={"supervise": "each"})
    with pytest.raises(ValueError, match="each`, but the architecture has last"):
        Job(LOOPED, recipe, Data(), 0)
    Job(LOOPED.at_loops(1), recipe, Data(), 0)


# What is wrong.


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"kind": "grown"}, "`kind` is one of fixed, mixed, sampled, sandwich, curriculum"),
        ({"law": "poisson_lognormal", "mean": 3}, "`law` is that of `kind: sampled`"),
        ({"kind": "sampled", "law": "poisson_lognormal"}, "needs `mean`, above 0"),
        ({"kind": "sampled", "law": "poisson_lognormal", "mean": -1}, "but got -1.0"),
        ({"kind": "sampled", "mean": 3}, "`mean` is that of `law: poisson_lognormal`"),
        ({"backprop": 0}, "a number of loops from 1, but got 0"),
        ({"kind": "sandwich", "supervise": "each"}, "`kind: sandwich` defines its losses"),
        ({"grow": [[0, 1]]}, "`grow` is that of `kind: curriculum`"),
        ({"kind": "curriculum"}, "needs `grow`"),
        ({"kind": "curriculum", "grow": [[0.1, 1]]}, "must rise from 0 and stay below 1"),
        ({"kind": "curriculum", "grow": [[0, 1], [0, 2]]}, "must rise from 0 and stay below 1"),
        ({"kind": "curriculum", "grow": [[0, 4], [0.5, 2]]}, "must be 1 or more and never fall"),
        ({"kind": "curriculum", "grow": [[0, 0], [0.5, 2]]}, "must be 1 or more and never fall"),
    ],
)
def test_what_contradicts_itself_is_refused(training, message):
    with pytest.raises(ValueError, match=message):
        Recipe(depth_training=training)


def test_a_curriculum_must_end_with_all_loops():
    recipe = Recipe(depth_training={"kind": "curriculum", "grow": [[0, 1], [0.5, 4]]})
    with pytest.raises(ValueError, match="ends at 4 of the architecture's 6 loops"):
        Job(LOOPED, recipe, Data(), 0)
    Job(LOOPED.at_loops(4), recipe, Data(), 0)


def test_words_and_mappings_are_written_as_they_were():
    assert Recipe(depth_training="mixed").to_dict()["depth_training"] == "mixed"
    assert Recipe().to_dict()["depth_training"] == "fixed"
    assert "macs" not in Recipe().to_dict()
    for training in (
        GROWING,
        {"backprop": 4},
        {"kind": "sampled", "law": "poisson_lognormal", "mean": 3.0},
    ):
        recipe = Recipe(depth_training=training)
        assert Recipe.from_dict(recipe.to_dict()) == recipe
        assert recipe.to_dict()["depth_training"] == {"kind": "fixed"} | training
