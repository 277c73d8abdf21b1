"""Every option of the family: each against its definition, and all of them in random candidates."""

import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from candidates import candidates
from perturbed import images_of, perturbed

from sret_search.architecture import (
    NLL,
    Architecture,
    ArchitectureError,
    Loop,
    Relax,
    Residual,
    Stage,
)
from sret_search.cost import Segments
from sret_search.model import SReT, load, rerun, resize, save
from sret_search.model.block import Block
from sret_search.model.mlp import MLP, ExpertBank, run_mlp

torch.set_num_threads(1)

IMAGES = 3
EVERYTHING_KEPT, NOTHING_KEPT = 10**12, 0
ONE = Architecture(
    image_size=8, in_channels=1, classes=5, stem_strides=(2,),
    stages=(Stage(width=8, heads=2, unique=2, loops=3, groups=(4, 2), mlp_ratio=1.5),),
    nll=NLL("block", 0.5), order="cycle", permutation="stride",
)  # fmt: skip
PATCHES = Architecture(
    image_size=12, in_channels=3, classes=5, stem="patch", stem_strides=(4,),
    stages=(Stage(width=8, heads=2, unique=2, mlp_ratio=2.0),),
    nll=NLL("none"), residual=Residual("scaled", p=0.0, q=0.0),
)  # fmt: skip
RELAXED = {
    "norm": Relax(norm=True),
    "gain": Relax(gain=True),
    "lora": Relax(lora=2),
    "experts": Relax(experts=3),
    "all": Relax(norm=True, gain=True, lora=2, experts=3),
}


def _loss(model, count=IMAGES, seed=2):
    """The loss of a pass whose random draws are seeded."""
    images = images_of(model.architecture, count).to(model.head.weight.dtype)
    torch.manual_seed(seed)
    return F.cross_entropy(model(images), torch.arange(count) % model.architecture.classes)


def _pass(model, count=IMAGES):
    """The loss of a pass, and the gradients that it gives."""
    loss = _loss(model, count)
    names, parameters = zip(*model.named_parameters(), strict=True)
    return loss.detach(), dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


def _shapes(a):
    return {name: value.shape for name, value in SReT(a).state_dict().items()}


def _with_loops(a, loops):
    return replace(a, stages=tuple(replace(stage, loops=loops) for stage in a.stages))


def _assert_near(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)


def test_every_parameter_of_a_candidate_gets_a_gradient():
    for a in candidates(20):
        model = perturbed(a).train()
        for module in model.stem:
            # In training, batch normalisation takes the convolutions' biases out again.
            module.train(not isinstance(module, torch.nn.BatchNorm2d))
        _, gradients = _pass(model, count=8)
        dead = [name for name, grad in gradients.items() if not grad.abs().max() > 1e-10]
        assert dead == [], a
        assert all(grad.isfinite().all() for grad in gradients.values())


def test_the_gradients_of_a_candidate_are_its_slopes():
    for a in candidates(10, seed=9):
        model = perturbed(a).train()
        _, gradients = _pass(model)
        step = 1e-6
        directions = {name: torch.randn_like(p) for name, p in model.named_parameters()}
        losses = []
        with torch.no_grad():
            for factor in (step, -2 * step):
                for name, parameter in model.named_parameters():
                    parameter.add_(factor * directions[name])
                losses.append(_loss(model))
        slope = sum((gradients[name] * directions[name]).sum() for name in gradients)
        measured = (losses[0] - losses[1]) / (2 * step)
        torch.testing.assert_close(slope, measured, rtol=1e-5, atol=1e-7)


def test_a_candidate_evaluates_deterministically():
    for a in candidates(15, seed=1):
        a = replace(a, permutation="stride" if a.permutation == "official" else a.permutation)
        model = perturbed(a).eval()
        first = model(images_of(a))
        assert first.shape == (IMAGES, a.classes)
        assert first.isfinite().all()
        assert torch.equal(first, model(images_of(a))), a


def _any_plan(a, rng):
    """Some stages recomputed in segments of any length, some of them only in part."""
    depths = [stage.executions for stage in a.stages]
    return [Segments(rng.randint(1, depth), rng.randrange(depth)) for depth in depths]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_checkpointing_changes_no_bit_of_a_candidate(dtype, monkeypatch):
    rng = random.Random(0)
    for a in candidates(8, seed=2):
        model = perturbed(a, memory_budget=EVERYTHING_KEPT).to(dtype).train()
        assert [part.kept for part in model.plan(IMAGES)] == [s.executions for s in a.stages]
        loss, gradients = _pass(model)
        model.memory_budget = NOTHING_KEPT
        for plan in (model.plan(IMAGES), _any_plan(a, rng)):
            monkeypatch.setattr(model, "plan", lambda batch, plan=plan: plan)
            again, others = _pass(model)
            assert torch.equal(loss, again), (plan, a)
            for name, gradient in gradients.items():
                assert torch.equal(gradient, others[name]), (name, plan, a)


@pytest.mark.parametrize(
    ("permutation", "drop_path"), [("stride", 0.0), ("official", 0.0), ("stride", 0.3)]
)
def test_no_budget_changes_a_bit_of_a_deep_relaxed_model(permutation, drop_path):
    a = replace(
        _with_loops(ONE, 30), relax=RELAXED["all"], permutation=permutation, drop_path=drop_path
    )
    model = perturbed(a, memory_budget=EVERYTHING_KEPT).train()
    loss, gradients = _pass(model)
    model.memory_budget = NOTHING_KEPT
    (fewest,) = model.plan(IMAGES)
    while model.plan(IMAGES)[0].kept < 30:
        model.memory_budget += 10_000
    (mixed,) = model.plan(IMAGES)
    assert fewest.length > 1 and mixed.length > 1
    assert fewest.kept < 30 <= mixed.kept < 50
    for budget in (NOTHING_KEPT, model.memory_budget):
        model.memory_budget = budget
        again, others = _pass(model)
        assert torch.equal(loss, again)
        assert all(torch.equal(gradients[name], others[name]) for name in gradients)


def test_loops_take_no_parameters_in_any_candidate():
    for a in candidates(15, seed=3):
        share = "block" if a.nll.share == "execution" else a.nll.share
        a = replace(a, relax=Relax(experts=a.relax.experts), nll=replace(a.nll, share=share))
        a = replace(a, loop=Loop("add", "sinusoidal", "mean"))
        once = _shapes(_with_loops(a, 1))
        assert _shapes(a) == once
        assert _shapes(_with_loops(a, 7)) == once


def _reruns(a):
    """A candidate that the same weights fit, as different as can be."""
    free = a.relax == Relax(experts=a.relax.experts) and a.nll.share != "execution"
    free = free and a.loop.embedding != "learned" and a.loop.readout != "weighted"
    return replace(
        _with_loops(a, 4) if free else a,
        order="sequence" if a.order == "cycle" else "cycle",
        permutation="none" if a.permutation == "stride" else "stride",
        residual=replace(a.residual, init=0.5, lam=2.0, p=0.0, q=1.0),
        drop_path=0.1,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_candidate_reruns_with_the_same_weights(dtype):
    for a in candidates(10, seed=4):
        other = _reruns(a)
        assert other.weights == a.weights
        model = perturbed(a).to(dtype)
        twin = rerun(model, other)
        assert twin.architecture == other
        wanted = model.state_dict()
        assert twin.state_dict().keys() == wanted.keys()
        for name, found in twin.state_dict().items():
            assert found.dtype == wanted[name].dtype
            assert torch.equal(found, wanted[name]), (name, a)


@pytest.mark.parametrize(
    "changes",
    [
        {"stem": "patch"},
        {"order": "sequence", "nll": NLL("stage", 0.5)},
        {"relax": Relax()},
        {"relax": Relax(norm=True, gain=True, lora=2, experts=2)},
        {"relax": Relax(norm=True, gain=True, lora=1, experts=3)},
        {"stages": (replace(ONE.stages[0], loops=4),)},
        {"stages": (replace(ONE.stages[0], loops=(2, 4)),)},
        {"stages": (replace(ONE.stages[0], loops=(3, 1)),)},
    ],
    ids=["stem", "nll", "plain", "experts", "rank", "loops", "other_loops", "coda"],
)
def test_a_rerun_that_needs_other_weights_is_refused(changes):
    a = replace(ONE, relax=RELAXED["all"])
    with pytest.raises(ValueError, match="same weights"):
        rerun(SReT(a), replace(a, **changes))


def test_a_candidate_survives_a_file(tmp_path):
    for a in candidates(5, seed=5):
        model = perturbed(a)
        save(model, tmp_path / "model.safetensors")
        again = load(tmp_path / "model.safetensors")
        assert again.architecture == a
        wanted = model.state_dict()
        assert again.state_dict().keys() == wanted.keys()
        assert all(torch.equal(v, wanted[n]) for n, v in again.state_dict().items())


def _mix(block, loop):
    """How one loop mixes the block's experts, by hand."""
    scores = block.mlp.offset_E + (loop + 0.5) / block.loops * block.mlp.slope_E
    return scores.exp() / scores.exp().sum()


def _merged(block, loop):
    """The weights of a plain block that does what one loop of this block does."""
    own = block.state_dict()
    merged = {n: v for n, v in own.items() if n.startswith(("qkv.", "proj.", "mlp.fc", "add"))}
    for norm in ("norm1", "norm2"):
        index = loop if len(getattr(block, norm)) > 1 else 0
        for part in ("weight", "bias"):
            merged[f"{norm}.0.{part}"] = own[f"{norm}.{index}.{part}"]
    if isinstance(block.mlp, ExpertBank):
        names = ("mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias")
        for name, bank in zip(names, block.mlp.banks, strict=True):
            merged[name] = sum(
                part * expert for part, expert in zip(_mix(block, loop), bank, strict=True)
            )
    if len(block.loras):
        layers = {"qkv": "qkv", "proj": "proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}
        for update, layer in layers.items():
            low_rank = getattr(block.loras[loop], update)
            merged[f"{layer}.weight"] = (
                merged[f"{layer}.weight"] + low_rank.up_OR @ low_rank.down_RI
            )
    if len(block.gains):
        for gain, layer in zip(block.gains[loop], ("proj", "mlp.fc2"), strict=True):
            for part in ("weight", "bias"):
                merged[f"{layer}.{part}"] = gain * merged[f"{layer}.{part}"]
    return {name: value.detach() for name, value in merged.items()}


def _unshared(model):
    """The same function with plain blocks, of which each runs once. Needs one number of groups,
    and residuals that do not depend on the depth."""
    a = model.architecture
    plain = replace(
        a,
        stages=tuple(replace(s, unique=s.executions, loops=1) for s in a.stages),
        nll=replace(a.nll, share="none" if a.nll.share == "none" else "execution"),
        relax=Relax(),
        order="sequence",
    )
    parts = (".blocks.", ".nlls.")
    weights = {n: v for n, v in model.state_dict().items() if not any(p in n for p in parts)}
    for s, stage in enumerate(model.stages):
        for e, run in enumerate(stage.schedule):
            for name, value in _merged(stage.blocks[run.block], run.loop).items():
                weights[f"stages.{s}.blocks.{e}.{name}"] = value
            if run.nll is not None:
                for name, value in stage.nlls[run.nll].state_dict().items():
                    weights[f"stages.{s}.nlls.{e}.{name}"] = value
    twin = SReT(plain).double().eval()
    twin.load_state_dict(weights)
    return twin


def _unsharable(a):
    return replace(
        a,
        stages=tuple(replace(stage, groups=stage.groups[:1]) for stage in a.stages),
        residual=replace(a.residual, p=0.0, q=0.0),
        permutation="none",
        loop=Loop(),
        norm="pre",
    )


@pytest.mark.parametrize("relax", RELAXED.values(), ids=RELAXED)
def test_a_relaxed_model_is_an_unshared_one_with_merged_weights(relax):
    model = perturbed(_unsharable(replace(ONE, relax=relax))).eval()
    _assert_near(_unshared(model)(images_of(ONE)), model(images_of(ONE)))
    block = model.stages[0].blocks[1]
    first, second, third = (_merged(block, loop) for loop in range(3))
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(second[name], third[name]) for name in first)


def test_any_candidate_is_an_unshared_one_with_merged_weights():
    for a in candidates(16, seed=6):
        model = perturbed(_unsharable(a)).eval()
        _assert_near(_unshared(model)(images_of(a)), model(images_of(a)))


@pytest.mark.parametrize("option", ["norm", "gain", "lora"])
def test_what_loops_have_of_their_own_changes_nothing_at_first(option):
    relaxed = SReT(replace(ONE, relax=RELAXED[option])).eval()
    plain = SReT(ONE).eval()
    names = plain.state_dict().keys()
    plain.load_state_dict({n: v for n, v in relaxed.state_dict().items() if n in names})
    images = images_of(ONE).float()
    assert torch.equal(relaxed(images), plain(images))
    assert len(relaxed.state_dict()) > len(names)


@pytest.mark.parametrize("option", ["norm", "gain", "lora"])
def test_each_loop_runs_with_its_own_part(option):
    model = perturbed(replace(ONE, relax=RELAXED[option])).eval()
    before = model(images_of(ONE))
    block = model.stages[0].blocks[0]
    owned = {"norm": block.norm2, "gain": block.gains, "lora": block.loras}[option]
    assert len(owned) == block.loops == 3
    for own in owned:
        parameter = own if option == "gain" else next(own.parameters())
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.mul_(2)
            assert not torch.allclose(model(images_of(ONE)), before)
            parameter.copy_(kept)
    assert torch.equal(model(images_of(ONE)), before)


def test_gains_multiply_the_branches():
    block = perturbed(replace(ONE, relax=Relax(gain=True), residual=Residual("scaled"))).stages[0]
    block, x = block.blocks[0], torch.randn(2, 16, 8, dtype=torch.float64)

    def run(*gains):
        with torch.no_grad():
            block.gains[1].copy_(torch.tensor(gains))
            return block(x, block.layers(1)) - x

    attention, mlp = run(1.0, 0.0), run(0.0, 1.0)
    _assert_near(run(-3.0, 0.0), -3 * attention)
    _assert_near(run(0.0, 2.5), 2.5 * mlp)
    assert not torch.allclose(attention, mlp)


def test_a_block_that_runs_once_has_nothing_for_its_loops():
    stage = replace(ONE.stages[0], unique=3, loops=(1, 4, 1))
    a = replace(ONE, stages=(stage,), relax=RELAXED["all"])
    plain = replace(a, relax=Relax(experts=3))

    def names(architecture, block):
        return {name for name, _ in SReT(architecture).stages[0].blocks[block].named_parameters()}

    assert names(a, 0) == names(a, 2) == names(plain, 0)
    more = names(a, 1) - names(plain, 1)
    per_loop = {f"norm{i}.{loop}.{part}" for i in (1, 2) for loop in (1, 2, 3)
                for part in ("weight", "bias")}  # fmt: skip
    per_loop |= {f"gains.{loop}" for loop in range(4)}
    per_loop |= {f"loras.{loop}.{layer}.{factor}" for loop in range(4)
                 for layer in ("qkv", "proj", "fc1", "fc2") for factor in ("down_RI", "up_OR")}  # fmt: skip
    assert more == per_loop


def _mixes(block):
    """How each loop mixes the block's experts, seen in what a bank of unit vectors gives."""
    biases_EH = block.mlp.banks[1]
    with torch.no_grad():
        biases_EH.copy_(torch.eye(*biases_EH.shape))
    return torch.stack([block.layers(i).fc1.bias_O[: len(biases_EH)] for i in range(block.loops)])


@pytest.mark.parametrize("experts", [2, 3, 5])
def test_experts_are_mixed_convexly(experts):
    model = perturbed(replace(_with_loops(ONE, 6), relax=Relax(experts=experts)))
    for block in model.stages[0].blocks:
        with torch.no_grad():
            block.mlp.slope_E.mul_(5)
        mixes = _mixes(block)
        _assert_near(mixes.sum(1), torch.ones(6, dtype=torch.float64))
        assert (mixes > 0).all()
        _assert_near(mixes, torch.stack([_mix(block, loop) for loop in range(6)]))


@pytest.mark.parametrize("experts", [2, 3, 4])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_at_first_the_experts_lead_in_turn(experts, turns):
    a = replace(_with_loops(ONE, turns * experts), relax=Relax(experts=experts))
    leaders = _mixes(SReT(a).stages[0].blocks[0]).argmax(1).tolist()
    assert leaders == [expert for expert in range(experts) for _ in range(turns)]


def test_one_expert_is_a_plain_mlp():
    block = SReT(replace(ONE, relax=Relax(experts=1))).stages[0].blocks[0]
    assert isinstance(block.mlp, MLP)
    x = torch.randn(2, 16, 8)
    by_hand = block.mlp.fc2(F.gelu(block.mlp.fc1(x)))
    layers = block.layers(2)
    torch.testing.assert_close(run_mlp(x, layers.fc1, layers.fc2), by_hand)


def _runs(model):
    """Which blocks of the first stage run in a pass, in letters."""
    ran = []
    for i, block in enumerate(model.stages[0].blocks):
        block.register_forward_hook(lambda m, args, out, i=i: ran.append("ABCD"[i]))
    model(images_of(model.architecture))
    return "".join(ran)


@pytest.mark.parametrize(
    ("order", "loops", "runs"),
    [
        ("cycle", 3, "ABABAB"),
        ("sequence", 3, "AAABBB"),
        ("cycle", (1, 2, 2, 1), "ABCBCD"),
        ("sequence", (1, 2, 2, 1), "ABBCCD"),
        ("sequence", (1, 4, 1), "ABBBBC"),
        ("cycle", (1, 4, 1), "ABBBBC"),
    ],
)
def test_blocks_run_in_the_order_of_the_schedule(order, loops, runs):
    unique = len(loops) if isinstance(loops, tuple) else 2
    stage = replace(ONE.stages[0], unique=unique, loops=loops)
    assert _runs(perturbed(replace(ONE, order=order, stages=(stage,)))) == runs


def test_a_prelude_and_a_coda_are_blocks_that_run_once():
    stage = replace(ONE.stages[0], unique=3, loops=(1, 4, 1))
    model = perturbed(replace(ONE, stages=(stage,), nll=NLL("none"), permutation="none"))
    recursive = model.stages[0]
    prelude, core, coda = recursive.blocks
    x = torch.randn(2, 16, 8, dtype=torch.float64)
    by_hand = prelude(x, prelude.layers(0), groups=4)
    for loop in range(4):
        by_hand = core(by_hand, core.layers(loop), groups=4 if loop == 0 else 2)
    by_hand = coda(by_hand, coda.layers(0), groups=4)
    assert torch.equal(recursive(x).x, by_hand)


def test_a_patch_stem_is_one_linear_layer_of_each_patch():
    model = perturbed(PATCHES)
    seen = []
    model.stages[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    images = images_of(PATCHES)
    model(images)
    patches = F.unfold(images, 4, stride=4).transpose(1, 2)
    (layer,) = model.stem
    tokens = patches @ layer.weight.flatten(1).t() + layer.bias
    _assert_near(seen[0], tokens + model.positions_1DSS.flatten(2).transpose(1, 2))
    assert seen[0].shape == (IMAGES, 9, 8)


def _branch_scale(module):
    skip, branch = torch.randn(2, 1, 16, 8)
    added = module(skip, branch) - skip
    scale = float((added * branch).sum() / (branch * branch).sum())
    torch.testing.assert_close(added, scale * branch, rtol=1e-4, atol=1e-5)
    return scale


@pytest.mark.parametrize(
    ("share", "of_nlls"),
    [
        # Loops of the block that each NLL follows; their mean where all blocks share it.
        ("stage", [(1 + 4 + 1) / 3]),
        ("block", [1, 4, 1]),
        ("execution", [1, 4, 4, 4, 4, 1]),
    ],
)
def test_scaled_branches_follow_the_loops_of_their_own_block(share, of_nlls):
    stages = (Stage(8, 2, unique=3, loops=(1, 4, 1)), Stage(8, 2, unique=2, loops=7))
    scaled = Residual("scaled", lam=3.0, p=1.0, q=2.0)
    model = SReT(replace(ONE, stages=stages, residual=scaled, nll=NLL(share)))
    first, second = model.stages

    def wanted(loops):
        return [3 / n / 5**2 for n in loops]  # 5 unique blocks in the whole network

    for add in ("add1", "add2"):
        found = [_branch_scale(getattr(block, add)) for block in first.blocks]
        assert found == pytest.approx(wanted([1, 4, 1]), rel=1e-4)
        found = [_branch_scale(getattr(block, add)) for block in second.blocks]
        assert found == pytest.approx(wanted([7, 7]), rel=1e-4)
    found = [_branch_scale(nll.add) for nll in first.nlls]
    assert found == pytest.approx(wanted(of_nlls), rel=1e-4)
    found = [_branch_scale(nll.add) for nll in second.nlls]
    assert found == pytest.approx(wanted([7] * len(second.nlls)), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_resize_to_the_same_size_is_the_identity(dtype):
    for a in candidates(6, seed=7):
        a = replace(a, permutation="stride" if a.permutation == "official" else a.permutation)
        model = perturbed(a, memory_budget=5).to(dtype).eval()
        again = resize(model, a.image_size)
        images = images_of(a).to(dtype)
        assert torch.equal(again(images), model(images)), a
        assert again.architecture == a
        assert (again.memory_budget, again.training) == (5, False)


def test_a_resize_keeps_everything_but_positions():
    resized = 0
    for a in candidates(12, seed=8):
        size = a.image_size * 2
        model = perturbed(a).train()
        with torch.no_grad():
            model.positions_1DSS.copy_(torch.arange(a.stages[0].width).view(1, -1, 1, 1))
        try:
            twin = resize(model, size)
        except ArchitectureError:
            assert any(groups > 1 for stage in a.stages for groups in stage.groups)
            continue
        resized += 1
        assert twin.architecture == replace(a, image_size=size)
        assert twin.training
        wanted = model.state_dict()
        for name, found in twin.state_dict().items():
            if name != "positions_1DSS":
                assert torch.equal(found, wanted[name]), name
        side = twin.architecture.sides[0]
        constant = model.positions_1DSS[:, :, :1, :1].expand(-1, -1, side, side)
        _assert_near(twin.positions_1DSS, constant)
        assert twin(images_of(twin.architecture)).shape == (IMAGES, a.classes)
    assert resized > 3


@pytest.mark.parametrize("size", [8, 10, 24])
def test_resized_positions_lie_as_the_image_lies(size):
    model = perturbed(replace(PATCHES, stem_strides=(2,)))
    flipped = perturbed(replace(PATCHES, stem_strides=(2,)))
    with torch.no_grad():
        flipped.positions_1DSS.copy_(model.positions_1DSS.flip(2))
    one, other = resize(model, size).positions_1DSS, resize(flipped, size).positions_1DSS
    assert one.shape == (1, 8, size // 2, size // 2)
    _assert_near(other, one.flip(2))
    assert not torch.allclose(one, one.flip(2))
    assert not torch.allclose(one, one.transpose(2, 3))


def test_a_resize_that_cannot_be_cut_is_refused():
    with pytest.raises(ArchitectureError, match="9 tokens cannot be cut into 4 groups"):
        resize(SReT(ONE), 6)
    with pytest.raises(ArchitectureError, match="patches of 4 for 14 pixels"):
        resize(SReT(PATCHES), 14)


def test_low_rank_updates_of_a_block_are_merged_into_dense_weights():
    a = replace(ONE, relax=Relax(lora=2))
    block = perturbed(a).stages[0].blocks[0]
    x = torch.randn(2, 16, 8, dtype=torch.float64)
    outputs = []
    for loop in range(3):
        dense = Block(replace(a, relax=Relax()), a.stages[0], loops=1).double()
        dense.load_state_dict(_merged(block, loop))
        outputs.append(block(x, block.layers(loop), 2))
        _assert_near(outputs[-1], dense(x, dense.layers(0), 2))
    assert not torch.allclose(outputs[0], outputs[1])
    assert not torch.allclose(outputs[1], outputs[2])
