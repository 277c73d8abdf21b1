"""The yardstick of the benchmarks computes what the model computes."""

import re

import pytest
import torch
import torch.nn.functional as F
from plain_sret import PlainSReT

from sret_search.model import SReT
from sret_search.variants import VARIANTS

torch.set_num_threads(1)

_RENAMED = {
    r"(norm\d)\.0": r"\1",
    r"(blocks\.\d+)\.(qkv|proj)": r"\1.attention.\2",
    r"mlp\.fc1": "mlp.0",
    r"mlp\.fc2": "mlp.2",
}


def _plain_name(name):
    for ours, theirs in _RENAMED.items():
        name = re.sub(ours, theirs, name)
    return name


@pytest.mark.parametrize("variant", ["sret_t", "sret_lt_unsliced"])
def test_the_plain_model_is_ours(variant):
    a = VARIANTS[variant]
    torch.manual_seed(0)
    ours = SReT(a).double().eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    plain = PlainSReT(a).double().eval()
    plain.load_state_dict({_plain_name(n): value for n, value in ours.state_dict().items()})
    images = torch.randn(1, 3, a.image_size, a.image_size, dtype=torch.float64)
    losses = []
    for model in (ours, plain):
        torch.manual_seed(1)  # the official permutation
        losses.append(F.cross_entropy(model(images), torch.tensor([3])))
        losses[-1].backward()
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-11, atol=0)
    gradients = dict(plain.named_parameters())
    for name, parameter in ours.named_parameters():
        other = gradients[_plain_name(name)].grad
        torch.testing.assert_close(parameter.grad, other, rtol=1e-7, atol=1e-10)
