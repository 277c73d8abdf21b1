"""The network: stem, stages of recursive blocks, pooled linear head.

Shapes: B images, C channels, S side of the token grid, N = S·S tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sret_search.architecture import Architecture, Execution
from sret_search.cost import MEMORY_BUDGET, Segments, recomputes, segments
from sret_search.model.attention import token_order
from sret_search.model.block import Block, LoopLayers, NonLinearProjection, draw_kept, run_block
from sret_search.model.checkpointing import run_in_segments
from sret_search.model.loop import Streams, injector


def channels_last(images_BCSS: Tensor) -> Tensor:
    """The images with their channels last in memory, so that tokens are a view of the image and the
    image of tokens.

    Images of a single channel are contiguous in both layouts. `contiguous` leaves them as they are,
    and convolutions then return channels first. Strides that are computed anew name the layout.
    """
    B, C, H, W = images_BCSS.shape
    return images_BCSS.movedim(1, 3).reshape(B, -1).view(B, H, W, C).movedim(3, 1)


class Stem(nn.Sequential):
    """3×3 convolutions, each with batch normalisation and ReLU; or linear patches."""

    def __init__(self, a: Architecture) -> None:
        layers: list[nn.Module] = []
        channels = a.in_channels
        for width, stride in zip(a.stem_channels, a.stem_strides, strict=True):
            if a.stem == "patch":
                layers.append(nn.Conv2d(channels, width, stride, stride))
            else:
                layers.append(nn.Conv2d(channels, width, 3, stride, padding=1))
                layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        super().__init__(*layers)


class Running(NamedTuple):
    """A stage between two executions.

    Attributes:
        x: tokens (B, N, D); with K streams (K, B, N, D).
        pooled: mean tokens (B, D) after each loop so far that the head may read.
    """

    x: Tensor
    pooled: tuple[Tensor, ...] = ()


class StageOutput(NamedTuple):
    """The tokens of a stage as an image (B, D, S, S), and the mean tokens (B, D) after each of its
    loops, if they were asked for."""

    x_BDSS: Tensor
    pooled: tuple[Tensor, ...]


class RecursiveStage(nn.Module):
    """The unique blocks and NLLs of a stage, and the order in which they run."""

    def __init__(self, a: Architecture, index: int) -> None:
        super().__init__()
        self.stage = stage = a.stages[index]
        self.permutation = a.permutation
        self.random = a.drop_path > 0 or a.permutation == "official"
        self.run_block = run_block
        self.blocks = nn.ModuleList(
            Block(a, stage, stage.loops_of(block)) for block in range(stage.unique)
        )
        self.schedule = a.schedule(stage)
        loops: dict[int | None, float] = {
            run.nll: stage.loops_of(run.block) for run in self.schedule
        }
        if a.nll.share == "stage":
            loops = {0: stage.executions / stage.unique}
        self.nlls = nn.ModuleList(
            NonLinearProjection(a, stage, loops[nll]) for nll in range(a.nlls(stage))
        )
        self.injector = injector(a.loop, stage.width, stage.most_loops)
        has_streams = a.loop.streams > 1 and stage.most_loops > 1
        self.streams = Streams(a.loop.streams) if has_streams else None
        before = sum(s.executions for s in a.stages[:index])
        self.drop_path = [
            a.drop_path * (before + e) / max(a.executions - 1, 1) for e in range(stage.executions)
        ]

    def forward(
        self, x_BND: Tensor, plan: Segments | None = None, pools_loops: bool = False
    ) -> Running:
        """Run all executions: (B, N, D) → (B, N, D).

        Args:
            plan: the activations that are recomputed, and the executions without a graph.
            pools_loops: also return the mean tokens after each loop that the head may read.
        """
        shared = [_shared(block) for block in self.blocks]
        injected_BND = None if self.injector is None else self.injector.prepare(x_BND)
        steps = [
            partial(self.execute, run, rate, shared[run.block], injected_BND, pools_loops)
            for run, rate in zip(self.schedule, self.drop_path, strict=True)
        ]
        state = Running(x_BND if self.streams is None else self.streams.split(x_BND))
        state = run_in_segments(steps, state, plan or Segments(1, len(steps)), self.random)
        return state if self.streams is None else Running(self.streams.read(state.x), state.pooled)

    def execute(
        self,
        run: Execution,
        drop_path: float,
        shared: LoopLayers | None,
        injected_BND: Tensor | None,
        pools_loops: bool,
        state: Running,
    ) -> Running:
        """Run a block once, with what comes before and after it."""
        block = self.blocks[run.block]
        assert isinstance(block, Block)
        read_BND = state.x if self.streams is None else self.streams.read(state.x)
        x_BND = read_BND
        if self.injector is not None and run.is_injected:
            x_BND = self.injector(x_BND, injected_BND)
        groups = self.stage.groups_at(run.loop)
        order_N = token_order(self.permutation, run.loop, x_BND.shape[1], groups, x_BND.device)
        kept = draw_kept(x_BND, drop_path) if self.training and drop_path > 0 else None
        layers = shared or block.layers(run.loop)
        x_BND = self.run_block(block, x_BND, layers, groups, order_N, kept)
        if run.nll is not None:
            x_BND = self.nlls[run.nll](x_BND)
        x = x_BND if self.streams is None else self.streams.write(state.x, x_BND - read_BND)
        if not (pools_loops and run.ends_loop):
            return Running(x, state.pooled)
        pooled = x.transpose(-2, -1).mean(-1)
        pooled_BD = pooled if self.streams is None else self.streams.read_pooled(pooled)
        return Running(x, (*state.pooled, pooled_BD))


def _shared(block: nn.Module) -> LoopLayers | None:
    """The layers of all loops of a block, made once in a forward pass; None if they differ by loop."""
    assert isinstance(block, Block)
    return block.layers(0) if block.shares_all else None


class SReT(nn.Module):
    """Recursive vision transformer of the SReT family.

    Args:
        architecture: the candidate.
        memory_budget: bytes of activations in a training pass. Above it the model keeps only the
            inputs of segments and recomputes the rest, with the same bits.
        backprop: loops at the end of each chain of blocks through which a training pass leads
            gradients; None for all loops.
    """

    def __init__(
        self,
        architecture: Architecture,
        memory_budget: int = MEMORY_BUDGET,
        backprop: int | None = None,
    ) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.memory_budget = memory_budget
        self.backprop = backprop
        width, side = a.stages[0].width, a.sides[0]
        self.stem = Stem(a)
        self.positions_1DSS = nn.Parameter(torch.zeros(1, width, side, side))
        nn.init.trunc_normal_(self.positions_1DSS, std=0.02)
        self.stages = nn.ModuleList(RecursiveStage(a, i) for i in range(len(a.stages)))
        self.pools = nn.ModuleList(
            nn.Conv2d(before.width, after.width, 3, 2, padding=1, groups=before.width)
            for before, after in zip(a.stages[:-1], a.stages[1:], strict=True)
        )
        weights = a.loops_read if a.reads_all_loops and a.loop.readout == "weighted" else 0
        self.readout_L = nn.Parameter(torch.zeros(weights)) if weights else None
        self.norm: nn.Module = nn.LayerNorm(a.stages[-1].width, eps=1e-6)
        self.head: nn.Module = nn.Linear(a.stages[-1].width, a.classes)

    def forward(self, images_BCSS: Tensor) -> Tensor:
        """Class logits (B, classes) of images (B, in_channels, image_size, image_size)."""
        for output in self.outputs(images_BCSS, self.architecture.reads_all_loops):
            last = output
        if not self.architecture.reads_all_loops:
            return self.classify(last.x_BDSS)
        pooled_LBD = torch.stack(last.pooled)
        if self.readout_L is None:
            return self.classify_pooled(pooled_LBD.mean(0))
        share_L11 = self.readout_L.softmax(0)[:, None, None]
        return self.classify_pooled((pooled_LBD * share_L11).sum(0))

    def by_loop(self, images_BCSS: Tensor) -> Tensor:
        """Class logits (L, B, classes) after each loop of the last stage's last block.

        The last are those of `forward`, unless the readout is a mean over the loops.
        """
        for output in self.outputs(images_BCSS, pools_loops=True):
            last = output
        return self.classify_pooled(torch.stack(last.pooled))

    @property
    def loop_ends(self) -> list[int]:
        """Executions of the network by the end of each loop that `by_loop` reads (L)."""
        *before, last = self.stages
        assert isinstance(last, RecursiveStage)
        earlier = sum(stage.executions for stage in self.architecture.stages[: len(before)])
        ends = [i for i, run in enumerate(last.schedule, 1) if run.ends_loop]
        return [earlier + executions for executions in ends]

    def feature_maps(self, images_BCSS: Tensor) -> Iterator[Tensor]:
        """Tokens of each stage in turn, as an image (B, D, S, S), after its last execution."""
        return (output.x_BDSS for output in self.outputs(images_BCSS))

    def outputs(self, images_BCSS: Tensor, pools_loops: bool = False) -> Iterator[StageOutput]:
        """Output of each stage in turn.

        Args:
            pools_loops: with the mean tokens after each loop of the last stage.
        """
        plan = self.plan(images_BCSS.shape[0])
        x_BDSS = self.stem(channels_last(images_BCSS)) + self.positions_1DSS
        last = len(self.stages) - 1
        for i, stage in enumerate(self.stages):
            if i > 0:
                x_BDSS = self.pools[i - 1](x_BDSS)
            x_BND = x_BDSS.flatten(2).transpose(1, 2)
            x_BND, pooled = stage(x_BND, plan[i] if plan else None, pools_loops and i == last)
            x_BDSS = x_BND.transpose(1, 2).unflatten(2, x_BDSS.shape[2:])
            yield StageOutput(x_BDSS, pooled)

    def classify(self, x_BDSS: Tensor) -> Tensor:
        """Class logits (B, classes) of the last stage's tokens (B, D, S, S)."""
        return self.classify_pooled(x_BDSS.mean((2, 3)))

    def classify_pooled(self, pooled_BD: Tensor) -> Tensor:
        """Class logits (…, classes) of mean tokens (…, D)."""
        logits: Tensor = self.head(self.norm(pooled_BD))
        return logits

    def compile_blocks(self, backend: str | Callable[..., Any] = "inductor") -> None:
        """Compile the code of an execution, once for each shape and for all executions. Faster on a
        GPU."""
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
        # DDP would have the code cut where its buckets of gradients end. A block is small already.
        torch._dynamo.config.optimize_ddp = False
        compiled = torch.compile(run_block, fullgraph=True, dynamic=False, backend=backend)
        for stage in self.stages:
            assert isinstance(stage, RecursiveStage)
            stage.run_block = compiled

    def run_eagerly(self) -> None:
        """Run executions as they are written, after `compile_blocks`."""
        for stage in self.stages:
            assert isinstance(stage, RecursiveStage)
            stage.run_block = run_block

    def recomputes(self, batch: int) -> bool:
        """Whether training on `batch` images a step recomputes activations."""
        a = self.architecture
        return recomputes(a, segments(a, batch, self.memory_budget, self.backprop))

    def plan(self, batch: int) -> tuple[Segments, ...] | None:
        """The executions of each stage that a training pass recomputes, or runs without a graph; None
        outside of training."""
        if not (self.training and torch.is_grad_enabled()):
            return None
        return segments(self.architecture, batch, self.memory_budget, self.backprop)
