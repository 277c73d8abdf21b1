"""The effect of depth in a network: how much each execution changes its tokens."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sret_search.model.block import Block, LoopLayers, run_block
from sret_search.model.linear import Linear
from sret_search.model.residual import LearnableCoefficients
from sret_search.model.sret import RecursiveStage, SReT


@dataclass(frozen=True, slots=True)
class DepthProfile:
    """A forward pass, execution by execution, over all stages.

    Attributes:
        updates: ‖z after − z before‖ / ‖z before‖, with the execution's NLL.
        skip_gains: product of all learnable skip coefficients up to and with the execution. It
            scales the signal of the first execution. Unconstrained coefficients drift: 1.003 at
            each of 3000 additions gives 8000. Only the residual "lrc" has gains other than 1.
    """

    updates: list[float]
    skip_gains: list[float]

    @property
    def is_finite(self) -> bool:
        """Whether all updates and gains are finite and no gain is 0."""
        return all(map(math.isfinite, (*self.updates, *self.skip_gains))) and all(self.skip_gains)


@torch.no_grad()
def depth_profile(model: SReT, images_BCSS: Tensor) -> DepthProfile:
    """Record a forward pass in the model's present mode, without its gradient.

    Args:
        images_BCSS: images (B, in_channels, image_size, image_size).
    """
    updates: list[float] = []
    before: list[Tensor] = []

    def note(after_BND: Tensor) -> None:
        if before:
            z_BND = before.pop().float()
            updates.append(((after_BND.float() - z_BND).norm() / z_BND.norm()).item())

    def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
        note(args[0])
        before.append(args[0])

    hooks = []
    for stage in model.stages:
        assert isinstance(stage, RecursiveStage)
        hooks += [block.register_forward_pre_hook(enter) for block in stage.blocks]
        hooks.append(stage.register_forward_hook(lambda module, args, out: note(out.x)))
    try:
        model(images_BCSS)
    finally:
        for hook in hooks:
            hook.remove()
    return DepthProfile(updates, _skip_gains(model))


def gradient_shares(model: SReT, images_BCSS: Tensor, labels_B: Tensor) -> list[float]:
    """Share of each execution in the gradient of the cross-entropy, over all stages.

    The gradient of a shared weight is a sum over its executions. Here each execution counts alone:
    the norm of its gradient over the four linear layers of its block, divided by the sum of these
    norms. The model keeps its state and gets no gradients.

    Args:
        images_BCSS: images (B, in_channels, image_size, image_size).
        labels_B: classes.
    """
    aliases: list[list[Tensor]] = []

    def alone(
        block: Block,
        x_BND: Tensor,
        layers: LoopLayers,
        groups: int,
        order_N: Tensor | None,
        keep_2B11: Tensor | None,
    ) -> Tensor:
        # An alias of the same weights: its gradient is the gradient of this execution alone.
        qkv, proj, fc1, fc2 = (
            _aliased(layer) for layer in (layers.qkv, layers.proj, layers.fc1, layers.fc2)
        )
        aliases.append([layer.weight_OI for layer in (qkv, proj, fc1, fc2)])
        aliased = layers._replace(qkv=qkv, proj=proj, fc1=fc1, fc2=fc2)
        return run_block(block, x_BND, aliased, groups, order_N, keep_2B11)

    stages = [stage for stage in model.stages if isinstance(stage, RecursiveStage)]
    before, budget = [stage.run_block for stage in stages], model.memory_budget
    model.memory_budget = sys.maxsize
    for stage in stages:
        stage.run_block = alone
    try:
        loss = F.cross_entropy(model(images_BCSS), labels_B)
        gradients = torch.autograd.grad(loss, [alias for weights in aliases for alias in weights])
    finally:
        model.memory_budget = budget
        for stage, runner in zip(stages, before, strict=True):
            stage.run_block = runner
    norms = torch.stack([gradient.float().norm() for gradient in gradients])
    norm = norms.view(len(aliases), -1).norm(dim=1)
    shares: list[float] = (norm / norm.sum()).tolist()
    return shares


def _aliased(layer: Linear) -> Linear:
    return layer._replace(weight_OI=layer.weight_OI.view_as(layer.weight_OI))


def _skip_gains(model: SReT) -> list[float]:
    gains: list[float] = []
    product = 1.0
    for stage in model.stages:
        assert isinstance(stage, RecursiveStage)
        blocks = [_skip_gain(block) for block in stage.blocks]
        nlls = [_skip_gain(nll) for nll in stage.nlls]
        for run in stage.schedule:
            product *= blocks[run.block] * (1.0 if run.nll is None else nlls[run.nll])
            gains.append(product)
    return gains


def _skip_gain(module: nn.Module) -> float:
    adds = [m for m in module.modules() if isinstance(m, LearnableCoefficients)]
    return math.prod(add.skip.item() for add in adds)
