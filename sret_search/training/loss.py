"""What a training minimises: a batch's loss at the depths that the recipe trains.

Mixed-depth training, joint training of shallow and deep paths through the same weights, is our
reading of the paper, whose own fusion of the paths is not published with its code.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sret_search import importing
from sret_search.job import Job, trained_depths
from sret_search.model import SReT, rerun

_NEEDED = "the mean loss of the batch is needed, a tensor of no dimensions that has a gradient"


class TrainingLoss(nn.Module):
    """The loss of a batch. A module, so that processes which share a batch can wrap it.

    Attributes:
        paths: the model at each depth that is trained, shallow to deep, all with the same
            weights; the last is the model itself.
    """

    def __init__(self, model: SReT, job: Job) -> None:
        super().__init__()
        self.recipe = recipe = job.recipe
        *shallow, _ = trained_depths(job.architecture, recipe)
        self.paths = nn.ModuleList([*(rerun(model, depth) for depth in shallow), model])
        self.temperature = recipe.distill.temperature if recipe.distill else 1.0
        self.own = None if recipe.loss is None else importing.load(recipe.loss)

    def forward(self, images_BCSS: Tensor, targets: Tensor, drawn: int) -> Tensor:
        """The mean loss of a batch.

        Args:
            targets: classes (B,), or for each image a distribution over them (B, classes).
            drawn: a random number, that of the depth to train where the recipe draws one.
        """
        with torch.autocast(
            images_BCSS.device.type, torch.bfloat16, self.recipe.precision == "bf16"
        ):
            return self._loss(images_BCSS, targets, drawn)

    def _loss(self, images_BCSS: Tensor, targets: Tensor, drawn: int) -> Tensor:
        paths = self.paths
        if self.recipe.depth_training == "sampled":
            return self._of(paths[drawn % len(paths)], images_BCSS, targets)
        if self.recipe.depth_training == "mixed":
            losses = [self._of(path, images_BCSS, targets) for path in paths]
            return torch.stack(losses).mean()
        if self.recipe.depth_training == "fixed" or len(paths) == 1:
            return self._of(paths[-1], images_BCSS, targets)
        deepest = paths[-1](images_BCSS)
        loss = self._against(deepest, targets)
        taught = deepest.detach().float().softmax(1)
        chosen = [0] if len(paths) == 2 else [0, 1 + drawn % (len(paths) - 2)]
        losses = [F.cross_entropy(paths[i](images_BCSS).float(), taught) for i in chosen]
        return torch.stack([loss, *losses]).mean()

    def _of(self, path: nn.Module, images_BCSS: Tensor, targets: Tensor) -> Tensor:
        """The loss of the model at one depth."""
        if self.own is None:
            return self._against(path(images_BCSS), targets)
        loss = self.own(path, images_BCSS, targets)
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
    return "a tensor that no weight has a part in"
