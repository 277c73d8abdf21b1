"""The closed form against published figures, and against the built model."""

import json
import timeit
from collections import Counter

import pytest
import torch
from candidates import SPACE, candidates
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from sret_search.architecture import NLL, Architecture, Stage
from sret_search.architecture.variants import VARIANTS
from sret_search.cost import cost, params_by_runs
from sret_search.job import Recipe, train_macs
from sret_search.model import SReT

torch.set_num_threads(1)

# Measured by running the official code (szq0214/SReT, November 2021): distinct parameters, and
# half of what FlopCounterMode counts for one image. Parameters of the 384 and 512 pixel models
# of sizes T and S other than S at 384: computed from the official constructor arguments.
PUBLISHED = {
    "sret_t": (4_755_979, 1_112_444_672),
    "sret_t_unsliced": (4_755_979, 1_365_682_944),
    "sret_lt": (4_988_024, 1_164_477_184),
    "sret_lt_unsliced": (4_988_024, 1_417_715_456),
    "sret_lt_16_14": (4_988_024, 1_224_537_856),
    "sret_s": (20_899_692, 4_172_819_112),
    "sret_s_unsliced": (20_899_692, 4_671_381_960),
    "sret_s_unsliced_384": (21_091_212, 18_443_154_240),
}
COMPUTED_PARAMS = {"sret_t_unsliced_384": 4_853_259, "sret_s_unsliced_512": 21_317_004}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_variant_costs_what_the_official_code_costs(name):
    known = cost(VARIANTS[name])
    assert (known.params, known.macs) == PUBLISHED[name]


@pytest.mark.parametrize("name", COMPUTED_PARAMS)
def test_a_published_variant_at_a_higher_resolution_has_the_official_parameters(name):
    assert cost(VARIANTS[name]).params == COMPUTED_PARAMS[name]


def test_the_parameters_of_sret_t_lie_where_the_official_ones_lie():
    # Blocks 3.229 M, NLLs 1.159 M, head 0.258 M, stem 0.057 M, positions 0.050 M (official
    # constructor arguments); the NLLs are not shared, the blocks are.
    parts = cost(VARIANTS["sret_t"]).params_by_part
    found = [round(parts[p] / 1e6, 3) for p in ("blocks", "nll", "head", "stem", "positions")]
    assert found == [3.229, 1.159, 0.258, 0.057, 0.050]
    assert cost(VARIANTS["sret_t"]).params_shared == parts["blocks"]


def _run(a):
    """Run a model on one image: how often each module ran, and MACs by kind."""
    model = SReT(a).eval()
    runs = Counter()
    for module in model.modules():
        module.register_forward_hook(lambda m, args, out: runs.update([m]))
    image = torch.randn(1, a.in_channels, a.image_size, a.image_size)
    counter = FlopCounterMode(display=False)
    norms = Norms()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter, norms:
        model(image)
    kinds = {"convolution": "convolutions", "addmm": "linear", "mm": "linear", "bmm": "attention"}
    macs = dict.fromkeys(kinds.values(), 0)
    for operator, flops in counter.get_flop_counts()["Global"].items():
        macs[kinds[str(operator).split(".")[-1]]] += flops // 2
    return model, runs, macs, norms.run


class Norms(TorchDispatchMode):
    """Number of layer norms that run."""

    run = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.run += function is torch.ops.aten.native_layer_norm.default
        return function(*args, **(kwargs or {}))


def _size(module):
    return sum(p.numel() for p in module.parameters())


def _relaxed(block):
    """The parameters that a block has for each of its loops."""
    if block.loops == 1:
        return 0
    norms = sum(_size(norm) for norm in (block.norm1, block.norm2) if len(norm) > 1)
    return norms + _size(block.loras) + _size(block.gains)


def _looped(stage):
    """The parameters of a stage's injection, streams and embeddings."""
    modules = [m for m in (stage.injector, stage.streams) if m is not None]
    modules += [part for block in stage.blocks for part in (block.embeddings, block.films)]
    return sum(map(_size, modules))


def test_the_random_candidates_use_every_option():
    drawn = candidates(1000)
    assert len(set(drawn)) > 990
    for path, axis in SPACE.axes.items():
        used = {json.dumps(_at(a.to_dict(complete=True), path)) for a in drawn}
        assert used >= {json.dumps(choice) for choice in axis.choices}, path


def _at(plain, path):
    for part in path.replace("*", "0").split("."):
        plain = plain[int(part)] if part.isdecimal() else plain[part]
    return plain


def test_the_closed_form_has_the_parameters_of_the_model():
    for a in candidates(1000):
        model = SReT(a)
        known = cost(a)
        blocks = [block for stage in model.stages for block in stage.blocks]
        relaxed = sum(_relaxed(block) for block in blocks)
        looped = sum(_looped(stage) for stage in model.stages)
        embedded = sum(_size(part) for b in blocks for part in (b.embeddings, b.films))
        weights = 0 if model.readout_L is None else model.readout_L.numel()
        assert known.params == _size(model), a
        assert known.params_by_part == {
            "stem": _size(model.stem),
            "positions": model.positions_1DSS.numel(),
            "blocks": sum(_size(block) for block in blocks) - relaxed - embedded,
            "relaxed": relaxed,
            "loop": looped + weights,
            "nll": sum(_size(stage.nlls) for stage in model.stages),
            "pools": _size(model.pools),
            "head": _size(model.norm) + _size(model.head),
        }, a
        own_nlls = 0
        if a.nll.share == "execution":
            runs = [(s.nlls[r.nll], s.blocks[r.block]) for s in model.stages for r in s.schedule]
            own_nlls = sum(_size(nll) for nll, block in runs if block.loops > 1)
        learned = sum(_size(block.embeddings) for block in blocks)
        assert known.params_per_execution == relaxed + learned + own_nlls
        nlls = sum(len(stage.nlls) for stage in model.stages)
        assert (known.unique_blocks, known.nlls) == (len(blocks), nlls)


def test_the_closed_form_has_the_multiply_adds_of_the_model():
    for a in candidates(200, seed=1):
        known = cost(a)
        model, runs, macs, norms = _run(a)
        assert known.macs == sum(macs.values()), a
        parts = known.macs_by_part
        assert parts["stem"] + parts["pools"] == macs["convolutions"]
        linear = ("projections", "mlp", "relaxed", "loop", "nll", "head")
        assert sum(parts[part] for part in linear) == macs["linear"]
        assert parts["attention"] == macs["attention"]
        shared = _by_runs(model, runs)
        assert known.params_shared == shared.total(), a
        once = {1: known.params - shared.total()}
        assert params_by_runs(a) == {r: n for r, n in (once | shared).items() if n}, a
        assert known.params_once == _size(model) - known.params_shared

        # Each branch runs a norm, and the head one; each branch of a block perhaps another.
        assert norms == known.sub_layers + 1 + 2 * known.executions * (a.norm == "sandwich")
        assert known.executions == sum(runs[b] for s in model.stages for b in s.blocks)


def _by_runs(model, runs):
    """The parameters that ran more than once, by how often they ran."""
    found = Counter()
    for stage in model.stages:
        blocks = [*stage.blocks]
        for module in [*blocks, *stage.nlls]:
            if runs[module] > 1:
                alone = _relaxed(module) + _size(module.embeddings) if module in blocks else 0
                found[runs[module]] += _size(module) - alone
        if runs[stage.injector] > 1:
            found[runs[stage.injector]] += _size(stage.injector)
        if stage.streams is not None:
            found[sum(runs[block] for block in blocks)] += _size(stage.streams)
    return found


def test_a_candidate_costs_at_most_100_microseconds():
    drawn = [*candidates(50), *VARIANTS.values()]
    each = [min(timeit.repeat(lambda a=a: cost(a), number=20, repeat=5)) / 20 for a in drawn]
    assert sum(each) / len(each) < 100e-6


def test_loops_cost_multiply_adds_and_no_parameters():
    def looped(loops):
        stage = Stage(16, 2, unique=2, loops=loops, groups=(4, 2))
        return cost(Architecture(8, 1, 10, (1, 2), (stage,), nll=NLL("block")))

    one, ten, twenty = looped(1), looped(10), looped(20)
    assert one.params == ten.params == twenty.params
    assert (one.executions, ten.executions, twenty.executions) == (2, 20, 40)
    assert one.params_shared == 0
    assert ten.params_shared == ten.params_by_part["blocks"] + ten.params_by_part["nll"]
    assert ten.macs_by_part["mlp"] == 10 * one.macs_by_part["mlp"]
    assert twenty.macs_by_part["mlp"] == 20 * one.macs_by_part["mlp"]
    # Only the first loop has 4 slices; each of the others costs twice as much with 2.
    assert ten.macs_by_part["attention"] == (1 + 9 * 2) * one.macs_by_part["attention"]


def test_a_backward_pass_counts_as_two_forward_passes():
    a = VARIANTS["sret_digits"]
    assert train_macs(a, Recipe(steps=7, batch_size=1), images=100) == 3 * 7 * cost(a).macs
