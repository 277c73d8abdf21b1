"""Optimizers and the learning rates of their groups, also after a training was stopped."""

import os
from dataclasses import replace
from itertools import count

import pytest
import torch
from candidates import candidates
from ends import assert_same_end

from sret_search.architecture import NLL, Architecture, Loop, Relax, Stage
from sret_search.config.space_file import Axis, Budget
from sret_search.job import Augment, Data, Job, Recipe, candidate_name
from sret_search.model import SReT
from sret_search.space.space import Space
from sret_search.training import checkpoints, train
from sret_search.training.optimizer import JoinedOptimizer, optimizer
from sret_search.training.results import TrainingStopped
from sret_search.training.trainer import Trainer

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(8, 2, loops=2, mlp_ratio=2.0), Stage(16, 2)), nll=NLL("block"), drop_path=0.2,
)  # fmt: skip
FEW = Data(val=0.1, test=0.7)
MUON = Recipe(optimizer="muon", lr=2e-2, lr_other=5e-3, weight_decay=0.1, batch_size=80, epochs=2)


def _ignore(progress): ...


def _gradients(model, seed):
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)


# Muon.


def test_muon_has_the_matrices_of_blocks_and_nlls_and_adamw_the_rest():
    architecture = replace(TINY, relax=Relax(lora=2, experts=2), loop=Loop("linear", streams=2))
    model = SReT(architecture)
    joined = optimizer(model, MUON)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    muon, adamw = (
        {names[id(p)] for group in part.param_groups for p in group["params"]}
        for part in joined.parts
    )
    assert isinstance(joined.parts[0], torch.optim.Muon)
    assert muon | adamw == set(names.values())
    assert not muon & adamw
    block = {"qkv.weight", "proj.weight"}
    loras = {
        f"{name}.{factor}"
        for name in ("qkv", "proj", "fc1", "fc2")
        for factor in ("down_RI", "up_OR")
    }
    wanted = {f"stages.{i}.blocks.0.{name}" for i in (0, 1) for name in block}
    wanted |= {f"stages.{i}.nlls.0.mlp.fc{j}.weight" for i in (0, 1) for j in (1, 2)}
    wanted |= {f"stages.0.blocks.0.loras.{loop}.{name}" for loop in (0, 1) for name in loras}
    wanted |= {f"stages.0.injector.{name}_DD" for name in ("state", "input")}
    assert muon == wanted


def test_muon_takes_some_matrices_of_any_candidate_and_leaves_none_out():
    for a in candidates(25, seed=4):
        joined = optimizer(SReT(a), MUON)
        total = sum(len(group["params"]) for group in joined.param_groups)
        assert total == len(list(SReT(a).parameters()))
        assert all(p.ndim == 2 for group in joined.parts[0].param_groups for p in group["params"])


def test_its_updates_are_torchs_to_the_bit():
    torch.manual_seed(5)
    model, twin = SReT(TINY), SReT(TINY)
    twin.load_state_dict(model.state_dict())
    joined = optimizer(model, MUON)
    matrices, decayed, plain = [], [], []
    for name, parameter in twin.named_parameters():
        if name.startswith("stages.") and parameter.ndim == 2:
            matrices.append(parameter)
        elif parameter.ndim > 1 and "positions" not in name:
            decayed.append(parameter)
        else:
            plain.append(parameter)
    muon = torch.optim.Muon(
        matrices, lr=2e-2, weight_decay=0.1, momentum=0.95, nesterov=True,
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    adamw = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=5e-3, fused=True,
    )  # fmt: skip
    before = model.head.weight.clone()
    for step in range(3):
        _gradients(model, step)
        _gradients(twin, step)
        joined.step()
        muon.step()
        adamw.step()
    assert not torch.equal(before, model.head.weight)
    for name, parameter in twin.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name


def test_the_state_of_joined_optimizers_is_read_back_to_the_bit(tmp_path):
    torch.manual_seed(6)
    model, twin = SReT(TINY), SReT(TINY)
    joined, other = optimizer(model, MUON), optimizer(twin, MUON)
    _gradients(model, 0)
    joined.step()
    torch.save(joined.state_dict(), tmp_path / "state.pt")
    twin.load_state_dict(model.state_dict())
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    state, again = joined.state_dict(), other.state_dict()
    assert state["param_groups"] == again["param_groups"]
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    assert numbers == list(range(len(list(model.parameters()))))
    assert set(state["state"]) == set(again["state"]) == set(numbers)
    for number, kept in state["state"].items():
        assert all(torch.equal(value, again["state"][number][key]) for key, value in kept.items())
    for trained, steps in ((model, joined), (twin, other)):
        _gradients(trained, 1)
        steps.step()
    assert all(
        torch.equal(one, two)
        for one, two in zip(model.parameters(), twin.parameters(), strict=True)
    )


def test_gradients_of_all_parts_are_cleared():
    model = SReT(TINY)
    joined = optimizer(model, MUON)
    assert isinstance(joined, JoinedOptimizer)
    _gradients(model, 0)
    joined.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


# Learning rates.


def uneven(groups, lr):
    """An optimizer with a learning rate of its own for each group."""
    decayed, plain = groups
    return torch.optim.SGD([{**decayed, "lr": lr}, {**plain, "lr": 3 * lr}], lr=lr)


OWN = f"{__name__}:uneven"


@pytest.mark.parametrize(
    ("recipe", "peaks"),
    [
        (Recipe(lr=1e-2), [1e-2, 1e-2]),
        (Recipe(lr=1e-2, optimizer=OWN), [1e-2, 3e-2]),
        (Recipe(lr=1e-2, optimizer="muon"), [1e-2, 1e-2, 1e-2]),
        (Recipe(lr=1e-2, optimizer="muon", lr_other=1e-3), [1e-2, 1e-3, 1e-3]),
    ],
    ids=["adamw", "own", "muon", "muon with another rate"],
)
def test_each_group_keeps_its_learning_rate_also_after_it_was_stopped(tmp_path, recipe, peaks):
    recipe = replace(recipe, epochs=None, steps=8, warmup=2, lr_end=1e-3, batch_size=80)
    job = Job(TINY, recipe, FEW, seed=3)
    factors = [recipe.timetable(359).lr_factor(step) for step in range(8)]
    assert factors[1] == 1 > factors[0]
    trainer = Trainer(job, tmp_path)
    rates = []
    for _ in trainer.steps():
        rates.append([group["lr"] for group in trainer.optimizer.param_groups])
        if trainer.step == 4:
            break
    trainer.save(tmp_path)
    again = Trainer(job, tmp_path)
    again.load_state_dict(checkpoints.last_checkpoint([tmp_path], job.identity))
    for _ in again.steps():
        rates.append([group["lr"] for group in again.optimizer.param_groups])
    again.end_epoch()
    for _ in again.steps():
        rates.append([group["lr"] for group in again.optimizer.param_groups])
    assert rates == [[peak * factor for peak in peaks] for factor in factors]
    assert rates[1] == peaks


def test_a_branch_with_other_groups_begins_without_the_moments(tmp_path):
    parent = Trainer(
        Job(TINY, replace(MUON, optimizer="adamw", lr_other=None), FEW, seed=1), tmp_path
    )
    next(parent.steps())
    muon = Trainer(Job(TINY, MUON, FEW, seed=1), tmp_path)
    next(muon.steps())
    for recipe, moments in ((MUON, True), (replace(MUON, parametrization="mup"), False)):
        branch = Trainer(Job(TINY, recipe, FEW, seed=2), tmp_path)
        branch.begin_from(muon.state_dict())
        assert bool(branch.optimizer.state_dict()["state"]) == moments
        branch.begin_from(parent.state_dict())
        assert torch.equal(branch.model.head.weight, parent.model.head.weight)
        next(branch.steps())


# A training that is stopped again and again.


def _at_question(number):
    """Yes to this question, counted from 1."""
    questions = count(1)
    return lambda: next(questions) == number


@pytest.fixture
def asked_always(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)
    monkeypatch.setattr(train, "_ASKED_AFTER", 0.0)


@pytest.mark.parametrize(
    "recipe",
    [
        MUON,
        replace(MUON, parametrization="mup", precision="bf16"),
        replace(MUON, optimizer="adamw", lr_other=None, parametrization="mup"),
        replace(
            MUON, optimizer="sgd", lr_other=None, parametrization="mup", clip_grad_norm=None,
            weight_decay=1e-3,
        ),
        replace(MUON, optimizer=OWN, lr_other=None),
    ],
    ids=["muon", "muon mup", "adamw mup", "sgd mup", "own"],
)  # fmt: skip
def test_a_training_stopped_again_and_again_ends_with_the_same_bits(tmp_path, asked_always, recipe):
    recipe = replace(recipe, accumulate=2, ema=0.9, augment=Augment(rotate=10.0, mixup=0.8))
    job = Job(TINY, recipe, FEW, seed=3, reruns=(TINY.at_loops(1),))
    whole = train.train(job, tmp_path / "whole" / "attempt-1", _ignore).to_dict()
    attempts, steps = [], []
    for number in (1, 2, 3):
        attempts.append(tmp_path / f"attempt-{number}")
        result = train.train(
            job, attempts[-1], _ignore, attempts[:-1], 1e9, stopping=_at_question(4)
        )
        assert isinstance(result, TrainingStopped)
        steps.append(result.steps)
        torch.manual_seed(number)
    assert steps == [3, 5, 8]
    result = train.train(job, tmp_path / "attempt-4", _ignore, attempts).to_dict()
    assert whole["state"] == "complete"
    assert_same_end(tmp_path / "attempt-4", result, tmp_path / "whole" / "attempt-1", whole)


# Names of jobs.


def test_earlier_jobs_keep_their_names():
    assert not {"lr_other", "parametrization"} & Recipe().to_dict().keys()
    assert not {"lr_other", "parametrization"} & Recipe().built(1).keys()
    # The name that this training had before there were these fields.
    assert candidate_name(TINY, Recipe()) == "7a4f2226"
    assert Job(TINY, Recipe(), FEW, seed=3).identity.startswith("a4d74ddf2a11bda0")


@pytest.mark.parametrize(
    "recipe", [MUON, replace(MUON, lr_other=None), Recipe(parametrization="mup")]
)
def test_new_fields_are_read_back(recipe):
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_the_default_of_the_other_rate_is_the_rate():
    recipe = Recipe(optimizer="muon", lr=1e-2)
    named = replace(recipe, lr_other=1e-2)
    assert candidate_name(TINY, recipe) == candidate_name(TINY, named)
    assert candidate_name(TINY, recipe) != candidate_name(TINY, replace(recipe, lr_other=1e-3))


def test_the_fields_may_be_axes():
    axes = {
        "recipe.optimizer": Axis(choices=["adamw", "muon"]),
        "recipe.lr_other": Axis(choices=[1e-3, 1e-2], when={"recipe.optimizer": ["muon"]}),
        "recipe.parametrization": Axis(choices=["standard", "mup"]),
    }
    space = Space(TINY, Recipe(), axes, Budget())
    points = [space.candidate(space.active(values)) for values in space.enumerated(100)]
    assert len({candidate.name for candidate in points}) == len(points) == 6
    recipes = {(c.recipe.optimizer, c.recipe.lr_other, c.recipe.parametrization) for c in points}
    assert ("muon", 1e-2, "mup") in recipes
    assert ("adamw", None, "mup") in recipes


# What is refused.


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"optimizer": "moun"}, "unknown optimizer 'moun'; did you mean muon"),
        (
            {"lr_other": 1e-3},
            "`lr_other` is the learning rate of the weights that `optimizer: muon`",
        ),
        ({"optimizer": "muon", "lr_other": 0.0}, "`lr_other > 0` must hold, but got 0.0"),
        (
            {"parametrization": "mup", "optimizer": "torch.optim:RAdam"},
            "not known for torch.optim:RAdam: name one of adamw, sgd, muon",
        ),
        ({"parametrization": "mup", "init": "trial 1"}, "and so does `init`: leave out one"),
        ({"parametrization": "mup", "optimizer": "sgd"}, "needs `clip_grad_norm: null`"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(fields, said):
    with pytest.raises(ValueError, match=said):
        Recipe(**fields)
