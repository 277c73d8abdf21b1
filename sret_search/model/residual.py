"""Ways to add a branch to the skip path.

A branch comes with its learnable `weight`, if it has one, already folded into its last linear
layer (`Linear.weighed`).

Shapes: B images, N tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sret_search.architecture import Residual


class LearnableCoefficients(nn.Module):
    """α·skip + β·branch with learnable scalars (LRC, paper §3.3)."""

    def __init__(self) -> None:
        super().__init__()
        self.skip = nn.Parameter(torch.ones(1))
        self.branch = nn.Parameter(torch.ones(1))

    @property
    def weight(self) -> Tensor:
        return self.branch

    def forward(
        self, skip_BND: Tensor, branch_BND: Tensor, keep_B11: Tensor | None = None
    ) -> Tensor:
        if keep_B11 is None:
            return torch.addcmul(branch_BND, skip_BND, self.skip)
        return torch.addcmul(skip_BND * self.skip, branch_BND, keep_B11)


class LayerScale(nn.Module):
    """skip + γ·branch with a learnable γ per channel (Touvron et al., CaiT, 2103.17239)."""

    def __init__(self, width: int, init: float) -> None:
        super().__init__()
        self.gain_D = nn.Parameter(torch.full((width,), init))

    @property
    def weight(self) -> Tensor:
        return self.gain_D

    def forward(
        self, skip_BND: Tensor, branch_BND: Tensor, keep_B11: Tensor | None = None
    ) -> Tensor:
        if keep_B11 is None:
            return skip_BND + branch_BND
        return torch.addcmul(skip_BND, branch_BND, keep_B11)


class ScaledBranch(nn.Module):
    """skip + s·branch with a constant s (residual scaling of looped transformers, 2606.18524)."""

    weight = None

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(
        self, skip_BND: Tensor, branch_BND: Tensor, keep_B11: Tensor | None = None
    ) -> Tensor:
        if keep_B11 is None:
            return torch.add(skip_BND, branch_BND, alpha=self.scale)
        return torch.addcmul(skip_BND, branch_BND, keep_B11, value=self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale:.4g}"


Sum = LearnableCoefficients | LayerScale | ScaledBranch
"""Module that adds a branch to the skip path.

Inputs are skip and branch, (B, N, D), and weights of images, (B, 1, 1) or None; the output is (B,
N, D). `weight` is the learnable weight that is folded into the branch.
"""


def residual(kind: Residual, width: int, loops: float, unique: int) -> Sum:
    """The module that adds a branch, of the kind that an architecture names.

    Args:
        loops: loops of the block.
        unique: unique blocks of the whole network.
    """
    if kind.kind == "lrc":
        return LearnableCoefficients()
    if kind.kind == "layerscale":
        return LayerScale(width, kind.init)
    return ScaledBranch(kind.branch_scale(loops, unique))
