"""Weights rounded to int8, computed with in float32: the loss of accuracy of a stored model."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from sret_search.model.loop import LinearInjection
from sret_search.model.mlp import ExpertBank
from sret_search.model.sret import SReT

_LARGEST = 127
"""Largest magnitude of a rounded weight. Without -128 the range is symmetric."""


def with_int8_weights(model: SReT) -> SReT:
    """A copy of the model with the weights of all linear layers and convolutions rounded to int8.

    Each output channel has its own scale, its largest magnitude divided by 127: w ≈ scale · q with
    integers q from -127 to 127 (symmetric quantization per channel; Krishnamoorthi, 1806.08342). Rounded are the stem, the attention and the MLPs of blocks with each MLP of an expert
    bank, NLLs, the injection "linear", pools and head. Biases, norms, positions, weights of
    branches, streams, gates and readouts, embeddings of loops and LoRA factors stay as they are,
    and so do activations. `cost.stored_bytes` counts the same weights.
    """
    rounded = copy.deepcopy(model)
    for module in rounded.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            _round(module.weight, channels=1)
        elif isinstance(module, ExpertBank):
            for bank in module.banks:
                if bank.ndim == 3:  # expert, output, input
                    _round(bank, channels=2)
        elif isinstance(module, LinearInjection):
            _round(module.state_DD, channels=1)
            _round(module.input_DD, channels=1)
    return rounded


@torch.no_grad()
def _round(weight: Tensor, channels: int) -> None:
    """Round a weight in place.

    Args:
        channels: number of leading dimensions over which scales differ.
    """
    inputs = tuple(range(channels, weight.ndim))
    scale = weight.abs().amax(inputs, keepdim=True) / _LARGEST
    # A channel of zeros stays as it is.
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    weight.copy_((weight / scale).round() * scale)
