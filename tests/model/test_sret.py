"""What must hold of any recursive transformer, whatever its weights."""

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from perturbed import images_of, perturbed

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.model import SReT, rerun
from sret_search.model.attention import attend, token_order
from sret_search.model.block import draw_kept
from sret_search.model.linear import Linear

torch.set_num_threads(1)

EVERYTHING_KEPT, NOTHING_KEPT = 10**12, 0
CPU = torch.device("cpu")
SMALL = Architecture(
    image_size=8, in_channels=1, classes=5, stem_strides=(1, 2),
    stages=(
        Stage(width=8, heads=2, unique=2, loops=3, groups=(4, 2), mlp_ratio=2.0),
        Stage(width=16, heads=4, unique=1, loops=4, groups=(1, 2), mlp_ratio=1.0),
    ),
    nll=NLL("block"), residual=Residual("lrc"),
)  # fmt: skip


def _loss(model, seed=2):
    """A loss of a pass whose random draws are seeded, after its backward pass."""
    images = images_of(model.architecture).to(model.head.weight.dtype)
    torch.manual_seed(seed)
    loss = F.cross_entropy(model(images), torch.arange(len(images)) % 5)
    model.zero_grad()
    loss.backward()
    return loss.detach()


class Attention(torch.nn.Module):
    """Both linear layers of an attention of width 12, and `attend` with them."""

    heads = 3

    def __init__(self):
        super().__init__()
        self.qkv = torch.nn.Linear(12, 36)
        self.proj = torch.nn.Linear(12, 12)

    def forward(self, x, groups=1, order=None):
        qkv, proj = (Linear(m.weight, m.bias) for m in (self.qkv, self.proj))
        return attend(x, qkv, proj, self.heads, groups, order)


def _attention_by_hand(attention, x):
    """Softmax attention over all tokens of x (B, N, D), head by head."""
    width = x.shape[-1]
    size = width // attention.heads
    weight, bias = attention.qkv.weight, attention.qkv.bias
    q, k, v = (
        x @ weight[i * width : (i + 1) * width].t() + bias[i * width : (i + 1) * width]
        for i in range(3)
    )
    mixed = []
    for head in range(attention.heads):
        part = slice(head * size, (head + 1) * size)
        scores = q[..., part] @ k[..., part].transpose(-1, -2) / math.sqrt(size)
        mixed.append(scores.softmax(-1) @ v[..., part])
    return torch.cat(mixed, -1) @ attention.proj.weight.t() + attention.proj.bias


@pytest.fixture
def attention():
    torch.manual_seed(0)
    return Attention().double()


@pytest.fixture
def tokens():
    return torch.randn(2, 16, 12, dtype=torch.float64)


def _assert_near(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_one_group_is_dense_attention(attention, tokens):
    _assert_near(attention(tokens, 1), _attention_by_hand(attention, tokens))


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_groups_attend_inside_consecutive_slices(attention, tokens, groups):
    by_hand = [_attention_by_hand(attention, part) for part in tokens.chunk(groups, 1)]
    _assert_near(attention(tokens, groups), torch.cat(by_hand, 1))
    assert not torch.allclose(attention(tokens, groups), attention(tokens, 1))


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_stride_attends_among_every_gth_token(attention, tokens, groups):
    order = token_order("stride", 1, 16, groups, CPU)
    wanted = torch.empty_like(tokens)
    for first in range(groups):
        wanted[:, first::groups] = _attention_by_hand(attention, tokens[:, first::groups])
    _assert_near(attention(tokens, groups, order), wanted)


@pytest.mark.parametrize("groups", [1, 2, 4, 16])
def test_a_permutation_and_its_inverse_cancel(attention, tokens, groups, monkeypatch):
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v: v)
    order = torch.randperm(16)
    values = tokens @ attention.qkv.weight[24:].t() + attention.qkv.bias[24:]
    wanted = values @ attention.proj.weight.t() + attention.proj.bias
    _assert_near(attention(tokens, groups, order), wanted)


def test_the_first_loop_and_global_attention_are_never_permuted():
    for permutation in ("none", "stride", "official"):
        assert token_order(permutation, 0, 16, 4, CPU) is None
        assert token_order(permutation, 3, 16, 1, CPU) is None
    assert token_order("none", 1, 16, 4, CPU) is None


def test_stride_and_official_orders_are_permutations():
    stride = token_order("stride", 1, 12, 3, CPU)
    assert stride.tolist() == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
    torch.manual_seed(5)
    drawn = token_order("official", 1, 12, 3, CPU)
    torch.manual_seed(5)
    assert drawn.tolist() == torch.randperm(12).tolist()


@pytest.mark.parametrize("share", ["none", "stage", "block"])
def test_loops_take_no_parameters(share):
    def sizes(loops):
        stages = tuple(replace(stage, loops=loops) for stage in SMALL.stages)
        model = SReT(replace(SMALL, stages=stages, nll=NLL(share)))
        return {name: tuple(p.shape) for name, p in model.named_parameters()}

    assert sizes(1) == sizes(2) == sizes(50)


def test_an_nll_for_each_execution_takes_parameters():
    def parameters(loops):
        a = replace(SMALL, stages=(replace(SMALL.stages[0], loops=loops),), nll=NLL("execution"))
        return sum(p.numel() for p in SReT(a).parameters())

    assert parameters(5) - parameters(4) == parameters(4) - parameters(3) > 0


def test_blocks_run_in_sequence_each_for_all_its_loops():
    model = perturbed(SMALL)
    ran = []
    for s, stage in enumerate(model.stages):
        for kind in ("blocks", "nlls"):
            for i, module in enumerate(getattr(stage, kind)):
                note = (s, kind[:-1], i)
                module.register_forward_hook(lambda m, args, out, note=note: ran.append(note))
    model(images_of(SMALL))
    first = [(0, kind, i) for i in (0, 1) for _ in range(3) for kind in ("block", "nll")]
    second = [(1, kind, 0) for _ in range(4) for kind in ("block", "nll")]
    assert ran == first + second


def _untied(model):
    """The same function, with a copy of its own of every block and NLL for each execution."""
    twin = copy.deepcopy(model)
    for stage in twin.stages:
        runs = stage.schedule
        stage.blocks = torch.nn.ModuleList(copy.deepcopy(stage.blocks[run.block]) for run in runs)
        if len(stage.nlls):
            stage.nlls = torch.nn.ModuleList(copy.deepcopy(stage.nlls[run.nll]) for run in runs)
        stage.schedule = [
            run._replace(block=i, nll=None if run.nll is None else i) for i, run in enumerate(runs)
        ]
    return twin


@pytest.mark.parametrize("share", ["none", "stage", "block", "execution"])
def test_the_gradient_of_a_shared_weight_is_the_sum_over_its_executions(share):
    model = perturbed(replace(SMALL, nll=NLL(share), permutation="stride"))
    twin = _untied(model)
    _assert_near(_loss(model), _loss(twin))
    for stage, untied in zip(model.stages, twin.stages, strict=True):
        for kind, index in (("blocks", "block"), ("nlls", "nll")):
            copies = getattr(untied, kind)
            for i, module in enumerate(getattr(stage, kind)):
                runs = [e for e, run in enumerate(stage.schedule) if getattr(run, index) == i]
                for name, parameter in module.named_parameters():
                    parts = [copies[e].get_parameter(name).grad for e in runs]
                    _assert_near(parameter.grad, torch.stack(parts).sum(0))
                    assert all(part.count_nonzero() for part in parts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("share", ["block", "execution"])
@pytest.mark.parametrize("permutation", ["none", "official"])
@pytest.mark.parametrize("drop_path", [0.0, 0.3])
def test_checkpointing_changes_no_bit(permutation, drop_path, share, dtype):
    a = replace(SMALL, permutation=permutation, drop_path=drop_path, nll=NLL(share))
    kept = perturbed(a, memory_budget=EVERYTHING_KEPT).to(dtype).train()
    recomputed = perturbed(a, memory_budget=NOTHING_KEPT).to(dtype).train()
    for i, stage in enumerate(a.stages):
        assert kept.plan(batch=3)[i].kept == stage.executions
    first, second = recomputed.plan(batch=3)
    assert first.kept == 0 < first.length < 6
    assert second.kept < 4
    assert torch.equal(_loss(kept), _loss(recomputed))
    for (name, one), other in zip(kept.named_parameters(), recomputed.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), name


def test_checkpointing_keeps_fewer_activations():
    a = replace(SMALL, stages=(replace(SMALL.stages[0], loops=50),))

    def kept_bytes(budget):
        storages = {}

        def pack(tensor):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        model = perturbed(a, memory_budget=budget).train()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model(images_of(a)).sum()
        loss.backward()
        return sum(storages.values())

    assert kept_bytes(NOTHING_KEPT) < kept_bytes(EVERYTHING_KEPT) / 4


@pytest.mark.parametrize("permutation", ["none", "stride"])
def test_evaluation_is_deterministic(permutation):
    model = perturbed(replace(SMALL, permutation=permutation, drop_path=0.5)).eval()
    assert torch.equal(model(images_of(SMALL)), model(images_of(SMALL)))


def test_the_official_permutation_is_random_in_evaluation_too():
    model = perturbed(replace(SMALL, permutation="official")).eval()
    torch.manual_seed(0)
    first, second = model(images_of(SMALL)), model(images_of(SMALL))
    torch.manual_seed(0)
    assert not torch.allclose(first, second)
    assert torch.equal(first, model(images_of(SMALL)))


def test_an_image_s_logits_do_not_depend_on_its_batch():
    model = perturbed(replace(SMALL, permutation="stride")).eval()
    together = model(images_of(SMALL))
    alone = torch.cat([model(image.unsqueeze(0)) for image in images_of(SMALL)])
    _assert_near(together, alone)


def test_drop_path_rises_linearly_over_all_executions():
    model = SReT(replace(SMALL, drop_path=0.9))
    rates = [rate for stage in model.stages for rate in stage.drop_path]
    assert rates == pytest.approx([0.1 * i for i in range(10)])


def test_drop_path_keeps_the_expected_output():
    stage = Stage(width=4, heads=1, loops=2)
    a = Architecture(2, 1, 2, (1,), (stage,), nll=NLL("none"), drop_path=0.5)
    model = perturbed(a)
    block = model.stages[0].blocks[0]
    x = torch.randn(1, 4, 4, dtype=torch.float64).expand(20_000, -1, -1)
    # Without its MLP the block is linear in the branch that is dropped.
    torch.nn.init.zeros_(block.mlp.fc2.weight)
    torch.nn.init.zeros_(block.mlp.fc2.bias)
    layers = block.layers(0)
    dropped = block(x, layers, 1, None, draw_kept(x, 0.5))
    whole = block(x, layers)
    skipped = (dropped - x * block.add1.skip * block.add2.skip).abs().amax((1, 2)) < 1e-12
    assert 0.48 < skipped.double().mean() < 0.52
    torch.testing.assert_close(dropped.mean(0), whole.mean(0), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("share", ["none", "stage", "block", "execution"])
@pytest.mark.parametrize("kind", ["lrc", "layerscale", "scaled"])
def test_every_parameter_gets_a_gradient(kind, share):
    model = SReT(replace(SMALL, residual=Residual(kind), nll=NLL(share))).train()
    _loss(model)
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


@pytest.mark.parametrize("kind", ["lrc", "layerscale", "scaled"])
def test_the_residual_kinds_start_as_they_are_defined(kind):
    a = replace(SMALL, residual=Residual(kind, init=0.25, lam=3.0, p=1.0, q=2.0))
    stage = SReT(a).stages[0]
    skip, branch = torch.randn(2, 1, 16, 8)
    # The network has 3 unique blocks, the stage's run in 3 loops: 3 · 3⁻¹ · 3⁻² is 1/9.
    weight = {"lrc": 1.0, "layerscale": 0.25, "scaled": 1 / 9}[kind]
    for module in (stage.blocks[0].add1, stage.blocks[1].add2, stage.nlls[0].add):
        # A branch comes with its learnable weight.
        weighed = branch if module.weight is None else branch * module.weight
        torch.testing.assert_close(module(skip, weighed), skip + weight * branch)


def test_a_rerun_of_the_same_architecture_gives_the_same_logits():
    model = perturbed(replace(SMALL, permutation="stride")).float().eval()
    again = rerun(model, model.architecture)
    images = images_of(SMALL).float()
    assert torch.equal(again(images), model(images))
    assert not again.training


def test_a_rerun_at_another_depth_is_the_model_built_at_that_depth():
    scaled = replace(SMALL, residual=Residual("scaled"))
    deep = replace(scaled, stages=tuple(replace(s, loops=7) for s in scaled.stages))
    model = perturbed(scaled).float().eval()
    built = SReT(deep).eval()
    built.load_state_dict(model.state_dict())
    images = images_of(SMALL).float()
    assert torch.equal(rerun(model, deep)(images), built(images))
    assert not torch.allclose(rerun(model, deep)(images), model(images))


@pytest.mark.parametrize(
    "other",
    [
        replace(SMALL, classes=6),
        replace(SMALL, image_size=16),
        replace(SMALL, nll=NLL("execution")),
        replace(SMALL, nll=NLL("none")),
        replace(SMALL, residual=Residual("scaled")),
        replace(SMALL, stages=SMALL.stages[:1]),
        replace(SMALL, stages=(replace(SMALL.stages[0], unique=1), SMALL.stages[1])),
        replace(SMALL, stages=(replace(SMALL.stages[0], mlp_ratio=3.0), SMALL.stages[1])),
    ],
    ids=["classes", "image", "more_nlls", "no_nll", "residual", "stages", "unique", "mlp_ratio"],
)
def test_a_rerun_with_other_weights_is_refused(other):
    with pytest.raises(ValueError, match="same weights"):
        rerun(SReT(SMALL), other)


@pytest.mark.parametrize(
    ("image_size", "strides"),
    [
        (8, (1, 2)),
        (8, (1,)),
        (32, (2, 2)),
        (224, (2, 2, 2)),
        (30, (2, 2, 2)),
        (31, (3, 2)),
        (1, (2,)),
    ],
)
def test_images_of_any_size_run(image_size, strides):
    stages = (Stage(4, 1, loops=2), Stage(8, 2), Stage(8, 2))
    a = Architecture(image_size, 3, 7, strides, stages, nll=NLL("stage"))
    model = SReT(a).eval()
    seen = []
    for stage in model.stages:
        stage.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[1:]))
    logits = model(torch.randn(2, 3, image_size, image_size))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()
    assert seen == [(side**2, s.width) for side, s in zip(a.sides, stages, strict=True)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("stem", [{}, {"stem": "patch", "stem_strides": (2,)}])
def test_tokens_are_contiguous_whatever_the_channels(channels, stem):
    """Images of a single channel are contiguous in both layouts, so their strides decide nothing."""
    a = replace(SMALL, in_channels=channels, **stem)
    contiguous = []
    model = SReT(a).double()
    for stage in model.stages:
        stage.register_forward_pre_hook(
            lambda _, inputs: contiguous.append(inputs[0].is_contiguous())
        )
    images = images_of(a)
    for batch in (images, images.to(memory_format=torch.channels_last)):
        model(batch)
    assert contiguous == [True] * 4
