"""The effect of depth in a network: how much each execution changes its tokens."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sret_search.model.block import Block, LoopLayers, run_block
from sret_search.model.linear import Linear
from sret_search.model.residual import LearnableCoefficients
from sret_search.model.sret import RecursiveStage, Running, SReT


@dataclass(frozen=True, slots=True)
class DepthProfile:
    """A forward pass, execution by execution, over all stages.

    Attributes:
        updates: ‖z after − z before‖ / ‖z before‖, with the execution's NLL.
        angles: angle between the execution's update and the update before it in the stage, in
            degrees from 0 to 180. None for the first execution of a stage, and where an update is
            zero.
        distances: ‖z after − z last‖ / ‖z last‖, where z last is the state at the end of the stage.
        skip_gains: product of all learnable skip coefficients up to and with the execution. It
            scales the signal of the first execution. Unconstrained coefficients drift: 1.003 at
            each of 3000 additions gives 8000. Only the residual "lrc" has gains other than 1.
    """

    updates: list[float]
    angles: list[float | None]
    distances: list[float]
    skip_gains: list[float]

    @property
    def is_finite(self) -> bool:
        """Whether all updates and gains are finite and no gain is 0."""
        return all(map(math.isfinite, (*self.updates, *self.skip_gains))) and all(self.skip_gains)


@torch.no_grad()
def depth_profile(model: SReT, images_BCSS: Tensor) -> DepthProfile:
    """Record a forward pass in the model's present mode, without its gradient.

    States are compared as they pass, and none is kept: the pass runs twice with the same random
    draws, because distances need the last state first. Norms and angles are of all tokens of all
    images together.

    Args:
        images_BCSS: images (B, in_channels, image_size, image_size).
    """
    devices = [images_BCSS.device] if images_BCSS.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        ends = _last_states(model, images_BCSS)
    watchers = [_Watcher(last_BND) for last_BND in ends]
    hooks = []
    for stage, each in zip(model.stages, watchers, strict=True):
        assert isinstance(stage, RecursiveStage)
        hooks += [block.register_forward_pre_hook(each.enter) for block in stage.blocks]
        hooks.append(stage.register_forward_hook(each.leave))
    _run(model, images_BCSS, hooks)
    return DepthProfile(
        updates=[value for each in watchers for value in each.updates],
        angles=[value for each in watchers for value in each.angles],
        distances=[value for each in watchers for value in each.distances],
        skip_gains=_skip_gains(model),
    )


class _Watcher:
    """Compares each state of a stage with the state before it and with the last state."""

    def __init__(self, last_BND: Tensor) -> None:
        self.updates: list[float] = []
        self.angles: list[float | None] = []
        self.distances: list[float] = []
        self._last_BND = last_BND
        self._before_BND: Tensor | None = None
        self._update_BND: Tensor | None = None

    def enter(self, block: nn.Module, args: tuple[Any, ...]) -> None:
        """Hook: a state enters an execution, and perhaps leaves the execution before it."""
        self._compare(args[0])
        self._before_BND = args[0].float()

    def leave(self, stage: nn.Module, args: Any, out: Running) -> None:
        """Hook: a state leaves the stage."""
        self._compare(out.x)

    def _compare(self, z_BND: Tensor) -> None:
        before_BND, z_BND = self._before_BND, z_BND.float()
        if before_BND is None:
            return
        update_BND = z_BND - before_BND
        self.updates.append((update_BND.norm() / before_BND.norm()).item())
        self.angles.append(_degrees(self._update_BND, update_BND))
        away_BND = z_BND - self._last_BND
        self.distances.append((away_BND.norm() / self._last_BND.norm()).item())
        self._update_BND = update_BND


def _last_states(model: SReT, images_BCSS: Tensor) -> list[Tensor]:
    """Run a forward pass and return the last state of each stage."""
    ends: list[Tensor] = []
    hooks = [
        stage.register_forward_hook(lambda module, args, out: ends.append(out.x.float()))
        for stage in model.stages
    ]
    _run(model, images_BCSS, hooks)
    return ends


def _run(model: SReT, images_BCSS: Tensor, hooks: list[RemovableHandle]) -> None:
    """Run a forward pass, and remove the hooks."""
    try:
        model(images_BCSS)
    finally:
        for hook in hooks:
            hook.remove()


def _degrees(one: Tensor | None, other: Tensor) -> float | None:
    """Angle between two tensors as vectors; None if one is absent or zero.

    It is 2·atan2(‖u − v‖, ‖u + v‖) of the unit vectors u and v (Kahan, 2006, §13), which is exact
    for small angles, where the arc cosine is not.
    """
    if one is None or not one.norm() or not other.norm():
        return None
    u, v = one / one.norm(), other / other.norm()
    return math.degrees(2 * math.atan2((u - v).norm().item(), (u + v).norm().item()))


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
