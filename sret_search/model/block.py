"""The shared block, the non-linear projection layer, and the ways to add a branch.

Shapes: B images, N tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sret_search.architecture import Residual, Stage
from sret_search.model.attention import SlicedAttention

_EPS = 1e-6


class LearnableCoefficients(nn.Module):
    """α·skip + β·branch with learnable scalars (LRC, paper §3.3)."""

    def __init__(self) -> None:
        super().__init__()
        self.skip = nn.Parameter(torch.ones(1))
        self.branch = nn.Parameter(torch.ones(1))

    def forward(self, skip_BND: Tensor, branch_BND: Tensor) -> Tensor:
        return torch.addcmul(skip_BND * self.skip, branch_BND, self.branch)


class LayerScale(nn.Module):
    """skip + γ·branch with a learnable γ per channel (Touvron et al., CaiT, 2103.17239)."""

    def __init__(self, width: int, init: float) -> None:
        super().__init__()
        self.gain_D = nn.Parameter(torch.full((width,), init))

    def forward(self, skip_BND: Tensor, branch_BND: Tensor) -> Tensor:
        return torch.addcmul(skip_BND, branch_BND, self.gain_D)


class ScaledBranch(nn.Module):
    """skip + s·branch with a constant s (residual scaling of looped transformers, 2606.18524)."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, skip_BND: Tensor, branch_BND: Tensor) -> Tensor:
        return torch.add(skip_BND, branch_BND, alpha=self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale:.4g}"


def residual(kind: Residual, width: int, loops: int, unique: int) -> nn.Module:
    """The module that adds a branch; `unique` counts the blocks of the whole network."""
    if kind.kind == "lrc":
        return LearnableCoefficients()
    if kind.kind == "layerscale":
        return LayerScale(width, kind.init)
    return ScaledBranch(kind.branch_scale(loops, unique))


class MLP(nn.Sequential):
    """Linear, GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class Block(nn.Module):
    """One set of shared weights: attention and MLP, each normalised first and added."""

    def __init__(self, stage: Stage, kind: Residual, unique: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(stage.width, eps=_EPS)
        self.attention = SlicedAttention(stage.width, stage.heads)
        self.add1 = residual(kind, stage.width, stage.loops, unique)
        self.norm2 = nn.LayerNorm(stage.width, eps=_EPS)
        self.mlp = MLP(stage.width, stage.hidden)
        self.add2 = residual(kind, stage.width, stage.loops, unique)

    def forward(
        self, x_BND: Tensor, groups: int, order_N: Tensor | None, drop_path: float
    ) -> Tensor:
        branch_BND = self.attention(self.norm1(x_BND), groups, order_N)
        x_BND = self.add1(x_BND, drop(branch_BND, drop_path, self.training))
        branch_BND = self.mlp(self.norm2(x_BND))
        x_BND = self.add2(x_BND, drop(branch_BND, drop_path, self.training))
        return x_BND


class NonLinearProjection(nn.Module):
    """NLL(z) = z + MLP(LN z), run after an execution (paper §3.2)."""

    def __init__(self, stage: Stage, hidden: int, kind: Residual, unique: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(stage.width, eps=_EPS)
        self.mlp = MLP(stage.width, hidden)
        self.add = residual(kind, stage.width, stage.loops, unique)

    def forward(self, x_BND: Tensor) -> Tensor:
        out: Tensor = self.add(x_BND, self.mlp(self.norm(x_BND)))
        return out


def drop(branch_BND: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth: leave a branch out for whole images (Huang et al., 1603.09382)."""
    if not training or rate == 0.0:
        return branch_BND
    keep_B11 = branch_BND.new_empty(len(branch_BND), 1, 1).bernoulli_(1 - rate)
    return branch_BND * (keep_B11 / (1 - rate))
