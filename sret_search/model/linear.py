"""Linear layers and norms as values: weights that the loops of a block may change before they run.

Shapes: D width, B images, N tokens, I inputs, O outputs, R rank.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6
"""Added to the variance in each layer norm, as in the published code."""


class Linear(NamedTuple):
    """A linear layer, with a low-rank update U·V of its weights or without."""

    weight_OI: Tensor
    bias_O: Tensor
    down_RI: Tensor | None = None
    up_OR: Tensor | None = None

    def run(self, x_BNI: Tensor) -> Tensor:
        """Apply the layer: (B, N, I) → (B, N, O)."""
        out_BNO = F.linear(x_BNI, self.weight_OI, self.bias_O)
        if self.down_RI is None or self.up_OR is None:
            return out_BNO
        return out_BNO + F.linear(F.linear(x_BNI, self.down_RI), self.up_OR)

    def weighed(self, factor: Tensor | None) -> Linear:
        """The layer with its output multiplied by a factor, (1,) or (O,); None returns the layer
        itself.

        It costs O(O·I). A factor on the output would cost O(B·N·O), kept for the backward pass.
        """
        if factor is None:
            return self
        column = factor.unsqueeze(-1)
        up_OR = None if self.up_OR is None else self.up_OR * column
        return Linear(self.weight_OI * column, self.bias_O * factor, self.down_RI, up_OR)

    def updated(self, update: LowRank | None) -> Linear:
        """The layer with a low-rank update; None returns the layer itself."""
        if update is None:
            return self
        return self._replace(down_RI=update.down_RI, up_OR=update.up_OR)


class Norm(NamedTuple):
    """A layer norm over the channels."""

    weight_D: Tensor
    bias_D: Tensor

    def run(self, x_BND: Tensor) -> Tensor:
        """Apply the norm: (B, N, D) → (B, N, D)."""
        return F.layer_norm(x_BND, self.bias_D.shape, self.weight_D, self.bias_D, EPS)

    def weighed(self, factor: Tensor | None) -> Norm:
        """The norm with its output multiplied by a factor, (1,) or (D,); None returns the norm
        itself."""
        if factor is None:
            return self
        return Norm(self.weight_D * factor, self.bias_D * factor)

    def modulated(self, scale_D: Tensor, shift_D: Tensor) -> Norm:
        """The norm with its output scaled by 1 + scale, and shifted."""
        return Norm(self.weight_D * (1 + scale_D), self.bias_D * (1 + scale_D) + shift_D)


class LowRank(nn.Module):
    """Low-rank update U·V of a linear layer, zero at first (LoRA; per loop in Bae et al.,
    2410.20672)."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.down_RI = nn.Parameter(torch.empty(rank, inputs))
        self.up_OR = nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.down_RI, a=math.sqrt(5))


class LoRA(nn.Module):
    """Low-rank updates of a loop to the four linear layers of its block."""

    def __init__(self, width: int, hidden: int, rank: int) -> None:
        super().__init__()
        self.qkv = LowRank(width, 3 * width, rank)
        self.proj = LowRank(width, width, rank)
        self.fc1 = LowRank(width, hidden, rank)
        self.fc2 = LowRank(hidden, width, rank)
