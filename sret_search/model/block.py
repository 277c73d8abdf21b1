"""The shared block and the non-linear projection layer.

Shapes: B images, N tokens, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sret_search.architecture import Architecture, Stage
from sret_search.model.attention import attend
from sret_search.model.linear import EPS, Linear, LoRA, Norm
from sret_search.model.loop import Film, sinusoids
from sret_search.model.mlp import MLP, ExpertBank, run_mlp
from sret_search.model.residual import residual


class LoopLayers(NamedTuple):
    """The layers of a loop of a block. The last layer of each branch includes the branch's weight.

    Attributes:
        after1, after2: norms of the branches' outputs; None without them.
        embedding_D: added to what both branches read; None without it.
    """

    norm1: Norm
    qkv: Linear
    proj: Linear
    norm2: Norm
    fc1: Linear
    fc2: Linear
    after1: Norm | None = None
    after2: Norm | None = None
    embedding_D: Tensor | None = None


class Block(nn.Module):
    """A set of shared weights: attention and MLP, each with a norm before it, perhaps another after
    it, and a residual around it."""

    def __init__(self, a: Architecture, stage: Stage, loops: int) -> None:
        super().__init__()
        d, h, relax = stage.width, stage.hidden, a.relax
        looped = loops if loops > 1 else 0
        norms = max(looped, 1) if relax.norm else 1
        self.loops, self.heads = loops, stage.heads
        self.norm1 = nn.ModuleList(nn.LayerNorm(d, eps=EPS) for _ in range(norms))
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)
        self.add1 = residual(a.residual, d, loops, a.unique_blocks)
        self.norm2 = nn.ModuleList(nn.LayerNorm(d, eps=EPS) for _ in range(norms))
        self.mlp = MLP(d, h) if relax.experts == 1 else ExpertBank(d, h, relax.experts)
        self.add2 = residual(a.residual, d, loops, a.unique_blocks)
        afters = 0 if a.norm == "pre" else 1
        self.after1 = nn.ModuleList(nn.LayerNorm(d, eps=EPS) for _ in range(afters))
        self.after2 = nn.ModuleList(nn.LayerNorm(d, eps=EPS) for _ in range(afters))
        self.gains = nn.ParameterList(torch.ones(2) for _ in range(looped if relax.gain else 0))
        rank = relax.lora or 0
        self.loras = nn.ModuleList(LoRA(d, h, rank) for _ in range(looped if rank else 0))
        self.embedding = a.loop.embedding if looped else "none"
        learned = looped if self.embedding == "learned" else 0
        self.embeddings = nn.ParameterList(torch.zeros(d) for _ in range(learned))
        self.films = nn.ModuleList(Film(d) for _ in range(self.embedding == "film"))
        self.shares_all = (
            relax.experts == 1 and not (looped and relax.per_loop) and self.embedding == "none"
        )

    def layers(self, loop: int) -> LoopLayers:
        """The layers of the loop with index `loop`. With `shares_all` they are the same for all
        loops."""
        norm = min(loop, len(self.norm1) - 1)
        qkv = Linear(self.qkv.weight, self.qkv.bias)
        proj = Linear(self.proj.weight, self.proj.bias)
        fc1, fc2 = self.mlp.at((loop + 0.5) / self.loops)
        if len(self.loras):
            lora = self.loras[loop]
            assert isinstance(lora, LoRA)
            qkv, proj = qkv.updated(lora.qkv), proj.updated(lora.proj)
            fc1, fc2 = fc1.updated(lora.fc1), fc2.updated(lora.fc2)
        norm1, norm2 = _norm(self.norm1[norm]), _norm(self.norm2[norm])
        for film in self.films:
            assert isinstance(film, Film)
            scale1_D, shift1_D, scale2_D, shift2_D = film.at(loop)
            norm1 = norm1.modulated(scale1_D, shift1_D)
            norm2 = norm2.modulated(scale2_D, shift2_D)
        weight1, weight2 = [self.add1.weight], [self.add2.weight]
        if len(self.gains):
            gain1, gain2 = self.gains[loop].split(1)
            weight1.append(gain1)
            weight2.append(gain2)
        after1 = after2 = None
        if len(self.after1):
            # A norm would undo a weight of the layer before it.
            after1, after2 = _norm(self.after1[0]), _norm(self.after2[0])
            for w1, w2 in zip(weight1, weight2, strict=True):
                after1, after2 = after1.weighed(w1), after2.weighed(w2)
        else:
            for w1, w2 in zip(weight1, weight2, strict=True):
                proj, fc2 = proj.weighed(w1), fc2.weighed(w2)
        embedding_D = self._embedding(loop)
        return LoopLayers(norm1, qkv, proj, norm2, fc1, fc2, after1, after2, embedding_D)

    def _embedding(self, loop: int) -> Tensor | None:
        if self.embedding == "learned":
            learned_D: Tensor = self.embeddings[loop]
            return learned_D
        if self.embedding == "sinusoidal":
            return sinusoids(loop, len(self.proj.bias)).to(self.proj.bias)
        return None

    def forward(
        self,
        x_BND: Tensor,
        layers: LoopLayers,
        groups: int = 1,
        order_N: Tensor | None = None,
        keep_2B11: Tensor | None = None,
    ) -> Tensor:
        """Run the block once: an execution. (B, N, D) → (B, N, D).

        Args:
            keep_2B11: weights of each image's attention and MLP (stochastic depth).
        """
        keep1, keep2 = (None, None) if keep_2B11 is None else keep_2B11.unbind(0)
        read_BND = _with(x_BND, layers.embedding_D)
        branch_BND = attend(
            layers.norm1.run(read_BND), layers.qkv, layers.proj, self.heads, groups, order_N
        )
        if layers.after1 is not None:
            branch_BND = layers.after1.run(branch_BND)
        x_BND = self.add1(x_BND, branch_BND, keep1)
        read_BND = _with(x_BND, layers.embedding_D)
        branch_BND = run_mlp(layers.norm2.run(read_BND), layers.fc1, layers.fc2)
        if layers.after2 is not None:
            branch_BND = layers.after2.run(branch_BND)
        x_BND = self.add2(x_BND, branch_BND, keep2)
        return x_BND


def _with(x_BND: Tensor, embedding_D: Tensor | None) -> Tensor:
    return x_BND if embedding_D is None else x_BND + embedding_D


def _norm(module: nn.Module) -> Norm:
    assert isinstance(module, nn.LayerNorm)
    return Norm(module.weight, module.bias)


def run_block(
    block: Block,
    x_BND: Tensor,
    layers: LoopLayers,
    groups: int,
    order_N: Tensor | None,
    keep_2B11: Tensor | None,
) -> Tensor:
    """Run a block once, as a function that is compiled once for all blocks."""
    out: Tensor = block(x_BND, layers, groups, order_N, keep_2B11)
    return out


class NonLinearProjection(nn.Module):
    """Non-linear projection layer: NLL(z) = z + MLP(LN z), run after an execution (paper §3.2)."""

    def __init__(self, a: Architecture, stage: Stage, loops: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(stage.width, eps=EPS)
        self.mlp = MLP(stage.width, a.nll.hidden(stage.width))
        self.add = residual(a.residual, stage.width, loops, a.unique_blocks)

    def forward(self, x_BND: Tensor) -> Tensor:
        fc1, fc2 = self.mlp.at()
        branch_BND = run_mlp(self.norm(x_BND), fc1, fc2.weighed(self.add.weight))
        out: Tensor = self.add(x_BND, branch_BND)
        return out


def draw_kept(x_BND: Tensor, rate: float) -> Tensor:
    """Weights (2, B, 1, 1) of both branches of each image: 0 at this rate, else 1 / (1 - rate).

    Stochastic depth of whole images (Huang et al., 1603.09382).
    """
    return x_BND.new_empty(2, len(x_BND), 1, 1).bernoulli_(1 - rate) / (1 - rate)
