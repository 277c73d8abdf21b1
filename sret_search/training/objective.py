"""What a training minimises: a batch's loss at the depths that the recipe trains.

Mixed-depth training, joint training of shallow and deep paths through the same weights, is our
reading of the paper, whose own fusion of the paths is not published with its code.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sret_search.job import Job, trained_depths
from sret_search.model import SReT, rerun


class Objective(nn.Module):
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
            return self._against(paths[drawn % len(paths)](images_BCSS), targets)
        if self.recipe.depth_training == "mixed":
            losses = [self._against(path(images_BCSS), targets) for path in paths]
            return torch.stack(losses).mean()
        deepest = paths[-1](images_BCSS)
        loss = self._against(deepest, targets)
        if self.recipe.depth_training == "fixed" or len(paths) == 1:
            return loss
        taught = deepest.detach().float().softmax(1)
        chosen = [0] if len(paths) == 2 else [0, 1 + drawn % (len(paths) - 2)]
        losses = [F.cross_entropy(paths[i](images_BCSS).float(), taught) for i in chosen]
        return torch.stack([loss, *losses]).mean()

    def _against(self, logits: Tensor, targets: Tensor) -> Tensor:
        smoothing = self.recipe.label_smoothing if targets.ndim == 1 else 0.0
        return F.cross_entropy(
            logits.float() / self.temperature, targets, label_smoothing=smoothing
        )
