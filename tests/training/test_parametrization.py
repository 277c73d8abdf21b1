"""muP: what a step changes does not grow with the width, and the factors in the weights train the
function that muP's multipliers would."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from candidates import candidates
from torch import nn

from sret_search.architecture import NLL, Architecture, Loop, Relax, Residual, Stage
from sret_search.job import Data, Job, Recipe
from sret_search.model import SReT, attention, load, save
from sret_search.training import data
from sret_search.training.optimizer import optimizer
from sret_search.training.parametrization import scale_initial, weights
from sret_search.training.trainer import Trainer

torch.set_num_threads(1)

WIDTHS = (32, 64, 128, 256)
LR = {"adamw": 2e-3, "muon": 2e-2, "sgd": 0.02}
COORDINATES = ("scores", "block", "logits")


def isotropic(width, heads=2, **fields):
    return Architecture(
        image_size=8, in_channels=1, classes=10, stem="patch", stem_strides=(2,),
        stages=(Stage(width, heads, loops=2, mlp_ratio=2.0),), nll=NLL("none"),
        residual=Residual("scaled", p=0.0, q=0.0), **fields,
    )  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    split = data.load(Data())
    images, labels = next(split.train.batches([torch.arange(32 * 11)]))
    return (images.float() / 255 - 0.3) / 0.35, labels


def _recipe(rule, parametrization):
    return Recipe(
        optimizer=rule, lr=LR[rule], parametrization=parametrization, clip_grad_norm=None,
        weight_decay=0.0,
    )  # fmt: skip


def _made(a, recipe, seed=0):
    torch.manual_seed(seed)
    model = SReT(a)
    if recipe.parametrization == "mup":
        scale_initial(model)
    return model


def _sizes(width, recipe, digits, seed):
    """Sizes of the attention scores, the last block's outputs and the logits after ten steps."""
    model = _made(isotropic(width), recipe, seed)
    images, labels = digits
    steps = optimizer(model, recipe)
    for step in range(10):
        batch = slice(32 * step, 32 * (step + 1))
        steps.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        steps.step()
    with torch.no_grad():
        seen = images[320:]
        (last_BDSS,) = model.feature_maps(seen)
        layers = model.stages[0].blocks[0].layers(1)
        x_BND = last_BDSS.flatten(2).transpose(1, 2)
        q, k, _ = layers.qkv.run(layers.norm1.run(x_BND)).unflatten(2, (3, 2, width // 2)).unbind(2)
        scores = torch.einsum("bnhk,bmhk->bhnm", q, k) / math.sqrt(width // 2)
        return [value.abs().mean().log2().item() for value in (scores, last_BDSS, model(seen))]


def _exponents(recipe, digits):
    """Powers of the width with which the sizes grow, by least squares over widths and seeds."""
    sizes = torch.tensor([[_sizes(w, recipe, digits, seed) for w in WIDTHS] for seed in (0, 1)])
    x = torch.arange(len(WIDTHS)) - (len(WIDTHS) - 1) / 2
    slopes = (sizes.mean(0) * x[:, None]).sum(0) / x.square().sum()
    return dict(zip(COORDINATES, slopes.tolist(), strict=True))


@pytest.mark.parametrize("rule", LR)
def test_sizes_after_ten_steps_grow_with_the_width_unless_mup_is_used(rule, digits):
    standard = _exponents(_recipe(rule, "standard"), digits)
    assert min(standard["block"], standard["logits"]) > 0.15
    mup = _exponents(_recipe(rule, "mup"), digits)
    assert max(mup.values()) < 0.1


# The function that is trained.

RULES = ("adamw", "sgd", "muon")
DECAY = 0.1


def _class(name):
    """The class of a weight of `_everything`, by hand: from inputs to outputs, each fixed (f) or
    growing with the width (w); for vectors, the outputs alone."""
    *_, leaf = parts = name.split(".")
    if name == "head.weight" or leaf == "down_RI":
        return "wf"
    if leaf == "up_OR" or name in ("stem.0.weight", "pools.0.weight"):
        return "fw"
    if ".".join(parts[-2:]) in ("qkv.weight", "proj.weight", "banks.0", "banks.2"):
        return "ww"
    if leaf.endswith("_DD"):
        return "ww"
    if name == "head.bias" or {"add1", "add2", "gains", "streams"} & set(parts):
        return "f"
    if leaf in ("slope_E", "offset_E", "readout_L"):
        return "f"
    return "w"


def _by_hand(name, rule, m):
    """Factor on the learning rate in Table 8 of 2203.03466, at a width of m times 64; for Muon, of a
    matrix that has its largest dimension along the width."""
    table = {
        "adamw": {"ww": 1 / m, "fw": 1, "wf": 1 / m, "w": 1, "f": 1},
        "sgd": {"ww": 1, "fw": m, "wf": 1 / m, "w": m, "f": 1},
        "muon": {"ww": m**-0.5, "fw": 1, "wf": 1 / m},
    }
    if name == "head.weight":
        return {"adamw": 1, "sgd": m}[rule]
    return table[rule][_class(name)]


def _everything(width, heads):
    relax = Relax(norm=True, gain=True, lora=2, experts=2)
    loop = Loop(injection="linear", embedding="learned", readout="weighted", streams=2)
    a = isotropic(width, heads, relax=relax, loop=loop)
    return replace(a, residual=Residual("lrc"))


def _explicit(a, folded, rule):
    """A model with muP's multipliers in its forward pass, and weights of PyTorch's sizes."""
    width, heads = a.stages[0].width, a.stages[0].heads
    m, head = width / 64, width // heads
    model = SReT(a).double()
    model.load_state_dict(folded.state_dict())
    s = (32 / head) ** 0.25
    before, after = {"qkv.weight", "qkv.bias"}, {"proj.weight"}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            last = ".".join(name.split(".")[-2:])
            parameter.div_(s if last in before else 1 / s if last in after else 1)
        model.head.weight.mul_(m)

    class Readout(nn.Linear):
        def forward(self, x):
            return F.linear(x / m, self.weight, self.bias)

    model.head.__class__ = Readout
    groups = {"muon": [], "adamw": [], "sgd": []}
    for name, parameter in model.named_parameters():
        is_matrix = name.startswith("stages") and parameter.ndim == 2
        is_matrix = is_matrix and not {"banks", "streams"} & set(name.split("."))
        kind = "adamw" if rule == "muon" and not is_matrix else rule
        factor = _by_hand(name, kind, m)
        decay = DECAY / factor if parameter.ndim > 1 and "positions" not in name else 0
        groups[kind].append({"params": [parameter], "lr": LR[kind] * factor, "weight_decay": decay})
    steps = []
    if groups["muon"]:
        steps.append(torch.optim.Muon(groups["muon"], adjust_lr_fn="match_rms_adamw"))
    if groups["adamw"]:
        steps.append(torch.optim.AdamW(groups["adamw"]))
    if groups["sgd"]:
        steps.append(torch.optim.SGD(groups["sgd"], lr=1, momentum=0.9, nesterov=True))
    return model, steps


@pytest.mark.parametrize("rule", RULES)
# With heads of 2 channels the factor of attention is 2, which bfloat16 in Muon keeps exactly.
@pytest.mark.parametrize(("width", "heads"), [(8, 4), (96, 2)])
def test_the_weights_hold_what_multipliers_would(tmp_path, digits, monkeypatch, rule, width, heads):
    a = _everything(width, heads)
    recipe = replace(
        _recipe(rule, "mup"), weight_decay=DECAY, lr_other=LR["adamw"] if rule == "muon" else None
    )
    folded = _made(a, recipe).double()
    explicit, others = _explicit(a, folded, rule)
    mine = optimizer(folded, recipe)
    # The ε of AdamW is the one thing that does not scale along.
    for group in (*mine.param_groups, *(g for each in others for g in each.param_groups)):
        if "betas" in group:
            group["eps"] = 1e-30
    plain = F.scaled_dot_product_attention

    def outputs(model, images):
        with monkeypatch.context() as patch:
            if model is explicit:
                scale = math.sqrt(32) / (width // heads)
                patch.setattr(
                    attention.F, "scaled_dot_product_attention",
                    lambda q, k, v: plain(q, k, v, scale=scale),
                )  # fmt: skip
            return model(images)

    images, labels = digits[0].double(), digits[1]
    first = outputs(folded, images[320:])
    for step in range(4):
        batch = slice(32 * step, 32 * (step + 1))
        for model, steps in ((folded, [mine]), (explicit, others)):
            model.zero_grad()
            F.cross_entropy(outputs(model, images[batch]), labels[batch]).backward()
            for each in steps:
                each.step()
    save(folded, tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    with torch.no_grad():
        found, wanted = again(images[320:]), outputs(explicit, images[320:])
        assert (wanted - first).abs().max() > 0.05
        exact = rule != "muon" or width == 8
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9 if exact else 0.02)


# Factors.


def test_at_the_base_widths_nothing_changes(tmp_path):
    a = isotropic(64, 2)
    standard, mup = (
        Trainer(Job(a, Recipe(parametrization=kind), Data(), seed=1), tmp_path)
        for kind in ("standard", "mup")
    )
    for name, parameter in standard.model.named_parameters():
        assert torch.equal(parameter, mup.model.get_parameter(name)), name
    groups = [
        [{**group, "params": len(group["params"])} for group in each.optimizer.param_groups]
        for each in (standard, mup)
    ]
    assert groups[0] == groups[1]


def test_each_stage_has_the_factors_of_its_width():
    two = (Stage(32, 1, mlp_ratio=2.0), Stage(128, 1, loops=2))
    a = replace(isotropic(32), stages=two, nll=NLL("block", rank=3), residual=Residual("lrc"))
    known = weights(SReT(a))
    found = {name: (w.initial, w.rate("adamw"), w.rate("sgd")) for name, w in known.items()}
    s, r = 4**-0.25, math.sqrt(2)
    wanted = {
        "positions_1DSS": (1, 1, 0.5),
        "stem.0.weight": (1, 1, 0.5),
        "stages.0.blocks.0.mlp.fc1.weight": (1, 2, 1),
        "stages.0.blocks.0.mlp.fc1.bias": (1 / r, 1, 0.5),
        "stages.0.blocks.0.qkv.weight": (1, 2, 1),
        "pools.0.weight": (1, 1, 2),
        "pools.0.bias": (1, 1, 2),
        "stages.1.blocks.0.norm1.0.weight": (1, 1, 2),
        "stages.1.blocks.0.add1.skip": (1, 1, 1),
        "stages.1.blocks.0.qkv.weight": (s, s / 2, s**2),
        "stages.1.blocks.0.qkv.bias": (s * r, s, 2 * s**2),
        "stages.1.blocks.0.proj.weight": (1 / s, 1 / s / 2, 1 / s**2),
        "stages.1.blocks.0.proj.bias": (r, 1, 2),
        # A hidden width of three, at any width of the stage.
        "stages.1.nlls.0.mlp.fc1.weight": (1 / r, 1 / 2, 1 / 2),
        "stages.1.nlls.0.mlp.fc1.bias": (r, 1, 1),
        "stages.1.nlls.0.mlp.fc2.weight": (1, 1, 2),
        "stages.1.nlls.0.mlp.fc2.bias": (1, 1, 2),
        "norm.weight": (1, 1, 2),
        "head.weight": (1 / r, 1 / 2, 1 / 2),
        "head.bias": (r, 1, 1),
    }
    for name, factors in wanted.items():
        assert found[name] == pytest.approx(factors), name
    muon = {name: known[name].rate("muon") for name in wanted if known[name].rows}
    assert muon["stages.1.blocks.0.qkv.weight"] == pytest.approx(s / r)
    assert muon["stages.1.nlls.0.mlp.fc1.weight"] == pytest.approx(1 / 2)
    assert muon["stages.1.nlls.0.mlp.fc2.weight"] == pytest.approx(1)


def test_a_step_shrinks_all_weights_by_the_same_fraction():
    for rule in RULES:
        recipe = replace(_recipe(rule, "mup"), weight_decay=DECAY)
        steps = optimizer(SReT(_everything(96, 2)), recipe)
        shrinks = {group["lr"] * group["weight_decay"] for group in steps.param_groups}
        assert sorted(shrinks - {0.0}) == pytest.approx([DECAY * LR[rule]] * (len(shrinks) - 1))
        assert len({group["lr"] for group in steps.param_groups}) > 2


def test_every_candidate_can_be_scaled_and_its_parameters_are_known():
    for a in candidates(25, seed=6):
        model = SReT(a)
        before = {name: p.clone() for name, p in model.named_parameters()}
        scale_initial(model)
        known = weights(model)
        assert list(known) == list(before)
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter, before[name] * known[name].initial)
        assert known["head.weight"].inputs == a.stages[-1].width / 64
