"""What depth does to a network: how much each execution changes its tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sret_search.model.residual import LearnableCoefficients
from sret_search.model.sret import RecursiveStage, SReT


@dataclass(frozen=True, slots=True)
class DepthProfile:
    """One forward pass, execution by execution, over all stages.

    Attributes:
        updates: ‖z after − z before‖ / ‖z before‖, the execution's NLL included.
        skip_gains: product of all learnable skip coefficients up to and with the execution, by
            which the signal of the first one is scaled. Unconstrained coefficients drift: 1.003
            at each of 3000 additions gives 8000. Always 1 but for the residual "lrc".
    """

    updates: list[float]
    skip_gains: list[float]

    @property
    def is_finite(self) -> bool:
        """Whether tokens and gains have stayed finite, and no gain has vanished."""
        return all(map(math.isfinite, (*self.updates, *self.skip_gains))) and all(self.skip_gains)


@torch.no_grad()
def depth_profile(model: SReT, images_BCSS: Tensor) -> DepthProfile:
    """Watch one forward pass in the mode that the model is in, without its gradient."""
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
        hooks.append(stage.register_forward_hook(lambda module, args, out: note(out)))
    try:
        model(images_BCSS)
    finally:
        for hook in hooks:
            hook.remove()
    return DepthProfile(updates, _skip_gains(model))


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
