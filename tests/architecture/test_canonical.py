"""What is built and trained alike has one name; what is not has another."""

import dataclasses
from dataclasses import replace

import pytest
import torch
from candidates import candidates
from hypothesis import given, settings
from hypothesis import strategies as st

from sret_search.architecture import NLL, Architecture, Loop, Relax, Residual, Stage
from sret_search.cost import cost
from sret_search.job import Augment, Distill, Recipe, candidate_name
from sret_search.model import SReT

torch.set_num_threads(1)
BASE = Architecture(
    8, 1, 5, (1, 2),
    (
        Stage(8, 2, unique=2, loops=3, groups=(4, 2), mlp_ratio=2.0),
        Stage(16, 4, unique=1, loops=2, groups=(2, 1), mlp_ratio=1.5),
    ),
    nll=NLL("block", 0.5), residual=Residual("scaled"), permutation="stride", drop_path=0.2,
)  # fmt: skip
ONCE = replace(BASE, stages=tuple(replace(stage, loops=1) for stage in BASE.stages))


def staged(a, index=0, **changes):
    stages = list(a.stages)
    stages[index] = replace(stages[index], **changes)
    return replace(a, stages=tuple(stages))


def nll(a, **changes):
    return replace(a, nll=replace(a.nll, **changes))


def residual(a, **changes):
    return replace(a, residual=replace(a.residual, **changes))


LRC = residual(BASE, kind="lrc")
LAYERSCALE = residual(BASE, kind="layerscale")
BARE = nll(BASE, share="none")
SINGLE = staged(staged(BASE, unique=1), 1, unique=1)
WHOLE = staged(staged(BASE, groups=(1,)), 1, groups=(2, 1))
SAME = {
    "trailing groups": (BASE, staged(BASE, groups=(4, 2, 2))),
    "groups beyond the loops": (BASE, staged(BASE, groups=(4, 2, 2, 8, 1))),
    "groups of one loop": (ONCE, staged(ONCE, groups=(4,))),
    "listed loops": (BASE, staged(BASE, loops=(3, 3))),
    "mlp ratio": (BASE, staged(BASE, mlp_ratio=2.1)),
    "whole mlp ratio": (BASE, staged(BASE, mlp_ratio=2)),
    "nll ratio": (BASE, nll(BASE, ratio=0.51)),
    "nll rank": (nll(BASE, rank=3), nll(BASE, rank=3, ratio=2.0)),
    "rank of a ratio": (staged(BASE, 1, width=8), nll(staged(BASE, 1, width=8), rank=4)),
    "nll ratio of none": (BARE, nll(BARE, ratio=2.0)),
    "nll rank of none": (BARE, nll(BARE, rank=2)),
    "shared by execution or block": (ONCE, nll(ONCE, share="execution")),
    "shared by stage or block": (SINGLE, nll(SINGLE, share="stage")),
    "init of scaled": (BASE, residual(BASE, init=0.5)),
    "all but the kind of lrc": (LRC, residual(LRC, init=0.5, lam=2.0, p=2.0, q=2.0)),
    "powers of layerscale": (LAYERSCALE, residual(LAYERSCALE, lam=2.0, p=2.0, q=2.0)),
    "power of one loop": (ONCE, residual(ONCE, p=0.3)),
    "power of one block": (
        replace(SINGLE, stages=SINGLE.stages[:1]),
        residual(replace(SINGLE, stages=SINGLE.stages[:1]), q=3.0),
    ),
    "relaxed but not looped": (ONCE, replace(ONCE, relax=Relax(norm=True, gain=True, lora=2))),
    "permuted but not looped": (ONCE, replace(ONCE, permutation="none")),
    "permuted but whole": (WHOLE, replace(WHOLE, permutation="none")),
    "cycle of one loop": (ONCE, replace(ONCE, order="cycle")),
    "cycle of one block": (SINGLE, replace(SINGLE, order="cycle")),
    "cycle of unlike neighbours": (
        staged(BASE, loops=(1, 3)),
        replace(staged(BASE, loops=(1, 3)), order="cycle"),
    ),
    "loops without loops": (replace(ONCE, loop=Loop("gate", "film", "weighted", streams=2)), ONCE),
    "each loop read": (replace(BASE, loop=Loop(readout="each")), BASE),
    "whole drop path": (replace(BASE, drop_path=0.0), replace(BASE, drop_path=0)),
}


def shapes(a):
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in SReT(a).state_dict().items()}


def logits(a):
    """Of a model made and run in training with the same seed."""
    torch.manual_seed(3)
    model = SReT(a).train()
    images = torch.randn(4, a.in_channels, a.image_size, a.image_size)
    torch.manual_seed(4)
    with torch.no_grad():
        return model(images)


def alike(one, other):
    assert one.built == other.built
    assert cost(one) == cost(other)
    assert shapes(one) == shapes(other)
    assert torch.equal(logits(one), logits(other))
    assert candidate_name(one, Recipe()) == candidate_name(other, Recipe())


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_what_has_no_effect_does_not_count(one, other):
    alike(one, other)


DIFFERENT = {
    "groups": staged(BASE, groups=(4, 4)),
    "first groups": staged(BASE, groups=(2,)),
    "late groups": staged(BASE, groups=(4, 2, 1)),
    "loops": staged(BASE, loops=(3, 2)),
    "heads": staged(BASE, heads=4),
    "hidden": staged(BASE, mlp_ratio=2.2),
    "nll": nll(BASE, rank=5),
    "share": nll(BASE, share="stage"),
    "lam": residual(BASE, lam=1.1),
    "p": residual(BASE, p=0.9),
    "q": residual(BASE, q=0.4),
    "kind": LRC,
    "init": residual(LAYERSCALE, init=0.3),
    "layerscale": LAYERSCALE,
    "norm": replace(BASE, relax=Relax(norm=True)),
    "gain": replace(BASE, relax=Relax(gain=True)),
    "lora": replace(BASE, relax=Relax(lora=1)),
    "experts": replace(BASE, relax=Relax(experts=2)),
    "order": replace(BASE, order="cycle"),
    "permutation": replace(BASE, permutation="none"),
    "drop path": replace(BASE, drop_path=0.3),
    "stem": replace(BASE, stem="patch", stem_strides=(2,)),
    "strides": replace(BASE, stem_strides=(2, 1)),
    "classes": replace(BASE, classes=6),
    "added input": replace(BASE, loop=Loop("add")),
    "projected input": replace(BASE, loop=Loop("linear")),
    "gated input": replace(BASE, loop=Loop("gate")),
    "sinusoids": replace(BASE, loop=Loop(embedding="sinusoidal")),
    "vectors of loops": replace(BASE, loop=Loop(embedding="learned")),
    "film": replace(BASE, loop=Loop(embedding="film")),
    "mean readout": replace(BASE, loop=Loop(readout="mean")),
    "weighted readout": replace(BASE, loop=Loop(readout="weighted")),
    "streams": replace(BASE, loop=Loop(streams=2)),
    "sandwich": replace(BASE, norm="sandwich"),
}


def test_what_has_an_effect_counts():
    assert len({a.built for a in (BASE, *DIFFERENT.values())}) == 1 + len(DIFFERENT)
    names = {candidate_name(a, Recipe()) for a in (BASE, *DIFFERENT.values())}
    assert len(names) == 1 + len(DIFFERENT)
    untouched = {"gain", "init", "lora"}  # zero, one, or so small at first
    for name, other in DIFFERENT.items():
        if shapes(BASE) == shapes(other) and name not in untouched:
            assert not torch.equal(logits(BASE), logits(other)), name


def rewritten(a):
    """Another way to write the same."""
    stages = tuple(
        replace(
            s,
            loops=tuple(s.loops_of(block) for block in range(s.unique)),
            groups=(*s.groups, s.groups[-1]),
            mlp_ratio=s.hidden / s.width + 0.01 / s.width,
        )
        for s in a.stages
    )
    return replace(a, stages=stages)


def test_any_candidate_may_be_written_otherwise():
    for a in candidates(60, seed=5):
        other = rewritten(a)
        assert other != a
        alike(a, other)


EFFECTLESS = st.fixed_dictionaries({
    "groups": st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=5).map(tuple),
    "loops": st.sampled_from([1, 2, 3, (1, 2), (2, 2), (1, 1), (3, 1)]),
    "share": st.sampled_from(["none", "stage", "block", "execution"]),
    "ratio": st.sampled_from([0.5, 0.55, 1]),
    "order": st.sampled_from(["sequence", "cycle"]),
    "permutation": st.sampled_from(["none", "stride", "official"]),
    "kind": st.sampled_from(["lrc", "layerscale", "scaled"]),
    "p": st.sampled_from([1, 0.5]),
    "norm": st.booleans(),
    "injection": st.sampled_from(["none", "add", "gate"]),
    "readout": st.sampled_from(["last", "mean", "each"]),
    "lora": st.sampled_from([None, 1]),
})  # fmt: skip


def made(f):
    stage = Stage(8, 2, unique=2, loops=f["loops"], groups=f["groups"], mlp_ratio=1.5)
    return Architecture(
        4, 1, 3, (1,), (stage,), order=f["order"], nll=NLL(f["share"], f["ratio"]),
        residual=Residual(f["kind"], p=f["p"]), relax=Relax(norm=f["norm"], lora=f["lora"]),
        permutation=f["permutation"], loop=Loop(f["injection"], readout=f["readout"]),
    )  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(EFFECTLESS, st.data())
def test_one_changed_field_counts_just_if_it_changes_the_model(fields, data):
    name = data.draw(st.sampled_from(sorted(fields)))
    changed = fields | {name: data.draw(EFFECTLESS)[name]}
    one, other = made(fields), made(changed)
    if one.built == other.built:
        alike(one, other)
    else:
        # Loops of a block start alike where they need not stay so; branches may start at zero.
        assert one != other


RECIPES = {
    "written out": (Recipe(), Recipe(epochs=10, warmup=1)),
    "whole numbers": (Recipe(epochs=3, lr=4.0, warmup=1), Recipe(epochs=3.0, lr=4, warmup=1.0)),
    "warmup of three": (Recipe(epochs=3), Recipe(epochs=3, warmup=0.3)),
    "decay": (Recipe(epochs=10, schedule="wsd"), Recipe(epochs=10, schedule="wsd", decay=2)),
    "start without warmup": (Recipe(warmup=0), Recipe(warmup=0, lr_start=1e-4)),
    "mixed depths": (Recipe(depth_training="mixed"), Recipe(depth_training="mixed", depths=(1, 3))),
    "one depth less": (
        Recipe(depth_training="mixed", depths=(1,)),
        Recipe(depth_training="mixed", depths=(1, 3)),
    ),
    "all depths": (
        Recipe(depth_training="sampled"),
        Recipe(depth_training="sampled", depths=(1, 2, 3)),
    ),
    "a mapping of a word": (
        Recipe(depth_training="sampled"),
        Recipe(depth_training={"kind": "sampled", "law": "uniform", "backprop": "all"}),
    ),
    "gradients through more loops than there are": (
        Recipe(depth_training="sampled"),
        Recipe(depth_training={"kind": "sampled", "backprop": 3}),
    ),
    "a curriculum that never grows": (
        Recipe(),
        Recipe(depth_training={"kind": "curriculum", "grow": [[0, 3], [0.5, "all"]]}),
    ),
    "a curriculum of as many loops": (
        Recipe(depth_training={"kind": "curriculum", "grow": [[0, 1], [0.2, 1], [0.5, 9]]}),
        Recipe(depth_training={"kind": "curriculum", "grow": [[0, 1], [0.5, "all"]]}),
    ),
    "whole fractions": (Recipe(weight_decay=0.0, ema=None), Recipe(weight_decay=0)),
    "augmentation": (
        Recipe(augment=Augment(rotate=10.0, crop=(1.0, 1.0))),
        Recipe(augment=Augment(rotate=10, crop=(1, 1))),
    ),
    "temperature": (
        Recipe(distill=Distill("trial 1", 2.0)),
        Recipe(distill=Distill("trial 1", 2)),
    ),
}


@pytest.mark.parametrize(("one", "other"), RECIPES.values(), ids=RECIPES)
def test_a_recipe_counts_as_it_trains(one, other):
    assert one.built(3) == other.built(3)
    assert candidate_name(BASE, one) == candidate_name(BASE, other)
    for images in (7, 100, 1258):
        times, others = one.timetable(images), other.timetable(images)
        assert (times.epoch, times.total) == (others.epoch, others.total)
        for step in range(0, times.total, max(times.total // 9, 1)):
            assert times.lr_factor(step) == others.lr_factor(step)


def test_every_field_of_a_recipe_counts():
    changes = {
        "epochs": 11, "steps": 5, "samples": 5, "macs": 1e12, "warmup": 2, "decay": 3,
        "batch_size": 8, "accumulate": 2, "optimizer": "sgd", "lr": 1e-3, "lr_start": 1e-5, "lr_end": 1e-5,
        "schedule": "cosine", "weight_decay": 0.1, "label_smoothing": 0.1, "clip_grad_norm": None,
        "ema": 0.9, "precision": "bf16", "compile": True, "init": "trial 1",
        "augment": Augment(flip=True), "distill": Distill("trial 1"), "depth_training": "sampled",
        "depths": (2,), "loss": "package.module:name", "parametrization": "mup",
        "lr_other": 1e-3,
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(Recipe)}
    base = Recipe(schedule="wsd", depth_training="mixed")
    needed = {unit: {"epochs": None} for unit in ("steps", "samples", "macs")}
    needed["lr_other"] = {"optimizer": "muon"}
    others = [
        replace(base, **{name: value}, **needed.get(name, {})) for name, value in changes.items()
    ]
    assert len({candidate_name(BASE, recipe) for recipe in (base, *others)}) == 1 + len(others)
