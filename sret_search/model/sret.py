"""The network: convolutional stem, stages of recursive blocks, pooled linear head.

Shapes: B images, C channels, S side of the token grid, N = S·S tokens, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from sret_search.architecture import Architecture, Stage
from sret_search.cost import saved_floats
from sret_search.model.attention import token_order
from sret_search.model.block import Block, NonLinearProjection
from sret_search.model.checkpointing import run_in_segments

MEMORY_BUDGET = 2 * 1024**3
"""Bytes of activations above which executions are recomputed in the backward pass."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of one block: which weights, in which loop, with which rate of drop path."""

    block: int
    loop: int
    nll: int | None
    drop_path: float


class Stem(nn.Sequential):
    """3×3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, a: Architecture) -> None:
        layers: list[nn.Module] = []
        channels = a.in_channels
        for width, stride in zip(a.stem_channels, a.stem_strides, strict=True):
            layers.append(nn.Conv2d(channels, width, 3, stride, padding=1))
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        super().__init__(*layers)


class RecursiveStage(nn.Module):
    """The unique blocks and NLLs of a stage, and the order in which they run.

    Blocks run in sequence, each for all of its loops: A A B B (paper §3.1).
    """

    def __init__(self, a: Architecture, index: int) -> None:
        super().__init__()
        self.stage = stage = a.stages[index]
        self.permutation = a.permutation
        self.random = a.drop_path > 0 or a.permutation == "official"
        self.blocks = nn.ModuleList(
            Block(stage, a.residual, a.unique_blocks) for _ in range(stage.unique)
        )
        self.nlls = nn.ModuleList(
            NonLinearProjection(stage, a.nll.hidden(stage.width), a.residual, a.unique_blocks)
            for _ in range(a.nlls(stage))
        )
        before = sum(s.executions for s in a.stages[:index])
        last = max(a.executions - 1, 1)
        self.executions = [
            Execution(
                e // stage.loops,
                e % stage.loops,
                _nll(a, stage, e),
                a.drop_path * (before + e) / last,
            )
            for e in range(stage.executions)
        ]

    def forward(self, x_BND: Tensor, segment: int) -> Tensor:
        """Run all executions, recomputing in segments of `segment` (0 keeps everything)."""
        steps = [partial(self.execute, execution) for execution in self.executions]
        return run_in_segments(steps, x_BND, segment, self.random)

    def execute(self, execution: Execution, x_BND: Tensor) -> Tensor:
        groups = self.stage.groups_at(execution.loop)
        order_N = token_order(
            self.permutation, execution.loop, x_BND.shape[1], groups, x_BND.device
        )
        x_BND = self.blocks[execution.block](x_BND, groups, order_N, execution.drop_path)
        if execution.nll is not None:
            x_BND = self.nlls[execution.nll](x_BND)
        return x_BND


def _nll(a: Architecture, stage: Stage, execution: int) -> int | None:
    """Which of its stage's NLLs follows an execution."""
    if a.nll.share == "none":
        return None
    return {"stage": 0, "block": execution // stage.loops, "execution": execution}[a.nll.share]


class SReT(nn.Module):
    """A recursive vision transformer of the SReT family.

    Args:
        architecture: the candidate.
        memory_budget: bytes of activations above which a training pass keeps only the
            boundaries of segments and recomputes the rest, with the same bits.
    """

    def __init__(self, architecture: Architecture, memory_budget: int = MEMORY_BUDGET) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.memory_budget = memory_budget
        width, side = a.stages[0].width, a.sides[0]
        self.stem = Stem(a)
        self.positions_1DSS = nn.Parameter(torch.zeros(1, width, side, side))
        nn.init.trunc_normal_(self.positions_1DSS, std=0.02)
        self.stages = nn.ModuleList(RecursiveStage(a, i) for i in range(len(a.stages)))
        self.pools = nn.ModuleList(
            nn.Conv2d(before.width, after.width, 3, 2, padding=1, groups=before.width)
            for before, after in zip(a.stages[:-1], a.stages[1:], strict=True)
        )
        self.norm = nn.LayerNorm(a.stages[-1].width, eps=1e-6)
        self.head = nn.Linear(a.stages[-1].width, a.classes)

    def forward(self, images_BCSS: Tensor) -> Tensor:
        """Class logits, (B, classes), of images (B, in_channels, image_size, image_size)."""
        x_BDSS = self.stem(images_BCSS) + self.positions_1DSS
        for i, stage in enumerate(self.stages):
            if i > 0:
                x_BDSS = self.pools[i - 1](x_BDSS)
            x_BND = x_BDSS.flatten(2).transpose(1, 2).contiguous()
            x_BND = stage(x_BND, self.segment(i, len(images_BCSS)))
            x_BDSS = x_BND.transpose(1, 2).reshape(x_BDSS.shape)
        logits: Tensor = self.head(self.norm(x_BDSS.mean((2, 3))))
        return logits

    def segment(self, index: int, batch: int) -> int:
        """Executions of a stage between two kept activations; 0 keeps every activation.

        With s floats saved an execution and b a boundary, E executions in segments of k hold
        E/k boundaries and one segment: E·b/k + k·s floats, least at k = √(E·b/s).
        """
        a = self.architecture
        saved = [saved_floats(a, i) * stage.executions for i, stage in enumerate(a.stages)]
        if not (self.training and torch.is_grad_enabled()):
            return 0
        if 4 * batch * sum(saved) <= self.memory_budget:
            return 0
        boundary = a.sides[index] ** 2 * a.stages[index].width
        executions = a.stages[index].executions
        return max(1, round(math.sqrt(executions * boundary / saved_floats(a, index))))


def rerun(model: SReT, architecture: Architecture) -> SReT:
    """The same weights run as another architecture that differs only in what has no weights.

    Raises:
        ValueError: the other architecture needs weights that the model does not have.
    """
    twin = SReT(architecture, model.memory_budget)
    try:
        twin.load_state_dict(model.state_dict())
    except RuntimeError as error:
        raise ValueError("a rerun needs an architecture with the same weights") from error
    return twin.to(model.positions_1DSS.device).train(model.training)
