"""The closed form against published figures, and against the built model."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.cost import cost, train_macs
from sret_search.model import SReT
from sret_search.variants import VARIANTS

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


@st.composite
def architectures(draw):
    strides = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    image_size = draw(st.integers(3, 10))
    side = image_size
    for stride in strides:
        side = -(-side // stride)
    stages, width = [], 2 * draw(st.integers(1, 4))
    for _ in range(draw(st.integers(1, 3))):
        slices = st.sampled_from([g for g in range(1, side**2 + 1) if side**2 % g == 0])
        stages.append(
            Stage(
                width=width,
                heads=draw(st.sampled_from([h for h in range(1, width + 1) if width % h == 0])),
                unique=draw(st.integers(1, 2)),
                loops=draw(st.integers(1, 4)),
                groups=tuple(draw(st.lists(slices, min_size=1, max_size=3))),
                mlp_ratio=draw(st.floats(0.5, 3.0)),
            )
        )
        width *= draw(st.integers(1, 2))
        side = -(-side // 2)
    return Architecture(
        image_size=image_size,
        in_channels=draw(st.integers(1, 3)),
        classes=draw(st.integers(1, 5)),
        stem_strides=strides,
        stages=tuple(stages),
        nll=NLL(
            draw(st.sampled_from(["none", "stage", "block", "execution"])),
            draw(st.floats(0.5, 2.0)),
            draw(st.none() | st.integers(1, 6)),
        ),
        residual=Residual(draw(st.sampled_from(["lrc", "layerscale", "scaled"]))),
        permutation=draw(st.sampled_from(["none", "stride", "official"])),
    )


def _run(a):
    """Run a model on one image: parameters by how often their module ran, and MACs by kind."""
    model = SReT(a).eval()
    runs = Counter()
    for module in model.modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.register_forward_hook(lambda m, args, out: runs.update([m]))
    image = torch.randn(1, a.in_channels, a.image_size, a.image_size)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(image)
    kinds = {"convolution": "convolutions", "addmm": "linear", "mm": "linear", "bmm": "attention"}
    macs = dict.fromkeys(kinds.values(), 0)
    for operator, flops in counter.get_flop_counts()["Global"].items():
        macs[kinds[str(operator).split(".")[-1]]] += flops // 2
    return model, runs, macs


@settings(max_examples=60, deadline=None, derandomize=True)
@given(architectures())
def test_the_closed_form_is_what_the_model_costs(a):
    known = cost(a)
    model, runs, macs = _run(a)

    def size(module):
        return sum(p.numel() for p in module.parameters())

    assert known.params == size(model)
    assert known.params_by_part == {
        "stem": size(model.stem),
        "positions": model.positions_1DSS.numel(),
        "blocks": sum(size(stage.blocks) for stage in model.stages),
        "nll": sum(size(stage.nlls) for stage in model.stages),
        "pools": size(model.pools),
        "head": size(model.norm) + size(model.head),
    }
    shared = sum(p.numel() for m, n in runs.items() if n > 1 for p in m.parameters(recurse=False))
    assert known.params_shared == shared
    assert known.params_once == size(model) - shared

    assert known.macs == sum(macs.values())
    parts = known.macs_by_part
    assert parts["stem"] + parts["pools"] == macs["convolutions"]
    assert parts["projections"] + parts["mlp"] + parts["nll"] + parts["head"] == macs["linear"]
    assert parts["attention"] == macs["attention"]

    ran = Counter(type(module).__name__ for module, n in runs.items() for _ in range(n))
    blocks, nlls = (sum(len(getattr(s, n)) for s in model.stages) for n in ("blocks", "nlls"))
    assert (known.unique_blocks, known.nlls) == (blocks, nlls)
    # Each block runs two norms, each NLL one, and the head one.
    norms = 2 * known.executions + (known.executions if nlls else 0) + 1
    assert ran["LayerNorm"] == norms == known.sub_layers + 1


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
    assert train_macs(a, samples=7) == 3 * 7 * cost(a).macs
