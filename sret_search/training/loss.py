"""The loss that a training minimises: that of a batch at the depths that the recipe trains.

Mixed-depth training trains shallow and deep paths jointly through the same weights. It is our
reading of the paper: its fusion of the paths is not in its published code.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sret_search import importing
from sret_search.job import Job, trained_depths, trained_loops
from sret_search.job.depth_training import drawn_depth
from sret_search.model import SReT, rerun

_NEEDED = "the mean loss of the batch is needed, a tensor of no dimensions that has a gradient"


class TrainingLoss(nn.Module):
    """Loss of a batch. It is a module, so that processes which share a batch can wrap it.

    Attributes:
        paths: the model at each trained depth, shallow to deep, all with the same weights. The last
            is the model itself.
        loops: loops of each of these depths.
    """

    def __init__(self, model: SReT, job: Job) -> None:
        super().__init__()
        self.recipe = recipe = job.recipe
        self.depth_training = recipe.depth_training
        self.loops = tuple(trained_loops(job.architecture, recipe))
        *shallow, _ = trained_depths(job.architecture, recipe)
        self.paths = nn.ModuleList([*(rerun(model, depth) for depth in shallow), model])
        self.temperature = recipe.distill.temperature if recipe.distill else 1.0
        self.user_loss = None if recipe.loss is None else importing.load(recipe.loss)

    def forward(
        self, images_BCSS: Tensor, targets: Tensor, drawn: int, progress: float = 0.0
    ) -> Tensor:
        """Mean loss of a batch.

        Args:
            images_BCSS: normalised images.
            targets: classes (B,), or for each image a distribution over classes (B, classes).
            drawn: random number that picks the depth, if the recipe draws depths.
            progress: fraction of the steps that are done, at which a curriculum picks the depth.

        Raises:
            TypeError: the recipe's loss function returned something else than a loss.
        """
        with torch.autocast(
            images_BCSS.device.type, torch.bfloat16, self.recipe.precision == "bf16"
        ):
            return self._loss(images_BCSS, targets, drawn, progress)

    def _loss(self, images_BCSS: Tensor, targets: Tensor, drawn: int, progress: float) -> Tensor:
        paths, depths = self.paths, self.depth_training
        if depths.kind == "sampled":
            path = paths[drawn_depth(depths, self.loops, drawn)]
            return self._loss_of(path, images_BCSS, targets)
        if depths.kind == "curriculum":
            path = paths[self.loops.index(depths.loops_at(progress, self.loops[-1]))]
            return self._loss_of(path, images_BCSS, targets)
        if depths.kind == "mixed":
            losses = [self._loss_of(path, images_BCSS, targets) for path in paths]
            return torch.stack(losses).mean()
        if depths.kind == "fixed" or len(paths) == 1:
            return self._loss_of(paths[-1], images_BCSS, targets)
        deepest = paths[-1](images_BCSS)
        loss = self._against(deepest, targets)
        taught = deepest.detach().float().softmax(1)
        chosen = [0] if len(paths) == 2 else [0, 1 + drawn % (len(paths) - 2)]
        losses = [F.cross_entropy(paths[i](images_BCSS).float(), taught) for i in chosen]
        return torch.stack([loss, *losses]).mean()

    def _loss_of(self, path: nn.Module, images_BCSS: Tensor, targets: Tensor) -> Tensor:
        """Loss of the model at a depth."""
        if self.depth_training.supervise == "each":
            # Not called as a module: its forward pass gives the logits after the last loop alone.
            assert isinstance(path, SReT)
            losses = [self._against(logits, targets) for logits in path.by_loop(images_BCSS)]
            return torch.stack(losses).mean()
        if self.user_loss is None:
            return self._against(path(images_BCSS), targets)
        loss = self.user_loss(path, images_BCSS, targets)
        if not isinstance(loss, Tensor) or loss.ndim > 0 or not loss.requires_grad:
            raise TypeError(f"{self.recipe.loss} returned {_shown(loss)}; {_NEEDED}")
        return loss

    def _against(self, logits: Tensor, targets: Tensor) -> Tensor:
        smoothing = self.recipe.label_smoothing if targets.ndim == 1 else 0.0
        return F.cross_entropy(
            logits.float() / self.temperature, targets, label_smoothing=smoothing
        )


def _shown(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"a value of type {type(value).__name__}"
    if value.ndim > 0:
        return f"a tensor of shape {tuple(value.shape)}"
    return "a tensor that does not depend on any weight"
