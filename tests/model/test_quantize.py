"""Weights in int8: what is rounded, by how much, and that as many are counted."""

from dataclasses import replace

import pytest
import torch
from candidates import candidates
from torch import nn

from sret_search.architecture import NLL, Architecture, Relax, Stage
from sret_search.cost import cost, stored_bytes
from sret_search.cost.storage import matrices
from sret_search.model import SReT, rerun, with_int8_weights
from sret_search.model.loop import LinearInjection

torch.set_num_threads(1)

SMALL = Architecture(
    image_size=8, in_channels=1, classes=5, stem_strides=(1, 2),
    stages=(Stage(8, 2, unique=2, loops=3), Stage(16, 2, unique=1, loops=4)), nll=NLL("block"),
)  # fmt: skip


def _rounded(model):
    """The weights that another model has, and the number of their output channels."""
    copy = with_int8_weights(model)
    weights = channels = 0
    for (name, before), after in zip(model.named_parameters(), copy.parameters(), strict=True):
        if torch.equal(before, after):
            continue
        leading = 2 if ".banks." in name else 1
        rows = before.flatten(leading).flatten(0, leading - 1)
        step = rows.abs().amax(1, keepdim=True) / 127
        steps = after.flatten(leading).flatten(0, leading - 1) / step
        torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
        assert ((steps * step - rows).abs() <= step * 0.5001).all()
        weights, channels = weights + before.numel(), channels + len(rows)
    return weights, channels


def test_the_weights_that_are_rounded_are_those_that_are_counted():
    for a in candidates(40):
        if a.stem == "patch" and a.in_channels * a.stem_strides[0] == 1:
            continue  # a channel of a single weight is rounded to itself
        torch.manual_seed(0)
        model = SReT(a)
        for module in model.modules():
            if isinstance(module, LinearInjection):  # 0 at first
                for weight in module.parameters():
                    nn.init.normal_(weight)
        assert _rounded(model) == matrices(a), a


def test_bytes_are_those_of_every_parameter():
    a = replace(SMALL, relax=Relax(lora=1, experts=2))
    params, (weights, channels) = cost(a).params, matrices(a)
    assert stored_bytes(a) == 4 * params
    assert stored_bytes(a, "bf16") == 2 * params
    assert stored_bytes(a, "int8") == weights + 4 * channels + 4 * (params - weights)
    assert params / 2 < weights < params


def test_a_rounded_model_keeps_the_given_one_and_runs_at_other_loops():
    torch.manual_seed(0)
    model = SReT(SMALL).eval()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    images = torch.randn(3, 1, 8, 8)
    copy = with_int8_weights(model)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    with torch.no_grad():
        out, rounded = model(images), copy(images)
        assert 0 < (out - rounded).norm() / out.norm() < 0.1
        deep = rerun(copy, SMALL.at_loops(12))(images)
    assert torch.isfinite(deep).all()
    torch.testing.assert_close(with_int8_weights(copy)(images), rounded, atol=1e-5, rtol=1e-4)


def test_a_channel_of_zeros_stays_zero():
    model = SReT(SMALL)
    with torch.no_grad():
        model.head.weight[2] = 0
    assert with_int8_weights(model).head.weight[2].count_nonzero() == 0


@pytest.mark.parametrize("storage", ["float32", "bf16", "int8"])
def test_bytes_do_not_depend_on_loops(storage):
    assert stored_bytes(SMALL, storage) == stored_bytes(SMALL.at_loops(40), storage)
