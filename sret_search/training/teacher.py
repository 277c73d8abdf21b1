"""Soft labels of a teacher (paper: soft labels only, no hard labels, no distillation token)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sret_search.job import Distill
from sret_search.model import SReT
from sret_search.training.data import DataError, Part, Split, check
from sret_search.training.evaluation import logits_of
from sret_search.training.pretrained import PretrainedError, load_model


class Teacher:
    """A trained model that gives soft labels and is not trained.

    If training images never change, its logits are computed once for all of them.

    Raises:
        PretrainedError: there is no such model, or it does not take the images or has other
            classes.
    """

    def __init__(self, distill: Distill, split: Split, part: Part, device: str, once: bool) -> None:
        self.temperature = distill.temperature
        model = load_model(distill.teacher)
        if isinstance(model, SReT):
            try:
                check(split, model.architecture)
            except DataError as error:
                raise PretrainedError(f"the teacher {distill.teacher}: {error}") from None
        else:
            _check_images(model, split, distill.teacher)
        self.model = model.to(device).eval().requires_grad_(False)
        self.logits: Tensor | None = None
        if once:
            self.logits = logits_of(self.model, part, split.mean, split.std).to(device)

    @torch.no_grad()
    def targets(self, images_BCSS: Tensor, indices_B: Tensor) -> Tensor:
        """Distributions over classes (B, classes), for images as the student sees them."""
        if self.logits is not None:
            logits = self.logits[indices_B.to(self.logits.device)]
        else:
            logits = self.model(images_BCSS).float()
        return (logits / self.temperature).softmax(1)


@torch.no_grad()
def _check_images(model: nn.Module, split: Split, name: str) -> None:
    """Check that a model of another family takes the images and has their number of classes."""
    image_1CSS = torch.zeros(1, split.in_channels, split.image_size, split.image_size)
    try:
        classes = model.eval()(image_1CSS).shape[1]
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise PretrainedError(
            f"the teacher {name} does not take the images of {split.where}: {reason}"
        ) from None
    if classes != split.classes:
        raise PretrainedError(
            f"the teacher {name}: {split.where} has {split.classes} classes, but the teacher has {classes}"
        )
