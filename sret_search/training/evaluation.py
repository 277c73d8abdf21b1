"""Loss, accuracy and predictions of a model on one part of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sret_search.training.augment import normalize
from sret_search.training.data import Part

BATCH = 256
"""Images at a time, where a training evaluates."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean cross-entropy in nats, fraction of images right, and the class chosen for each."""

    loss: float
    accuracy: float
    predictions: Tensor


@torch.inference_mode()
def logits_of(
    model: nn.Module,
    part: Part,
    mean: Sequence[float],
    std: Sequence[float],
    indices: Tensor | None = None,
    batch: int = BATCH,
    precision: str = "float32",
) -> Tensor:
    """Logits (I, classes) of images, all or those with these indices, float32 on the CPU, in
    evaluation mode; the model is then put back into the mode it was in."""
    chosen = torch.arange(len(part)) if indices is None else indices
    training = model.training
    model.eval()
    found = []
    for images_BCSS, _ in part.batches(chosen.split(batch)):
        with torch.autocast(images_BCSS.device.type, torch.bfloat16, precision == "bf16"):
            found.append(model(normalize(images_BCSS, mean, std)).float().cpu())
    model.train(training)
    return torch.cat(found)


def evaluate(
    model: nn.Module,
    part: Part,
    mean: Sequence[float],
    std: Sequence[float],
    batch: int = BATCH,
    precision: str = "float32",
) -> Evaluation:
    """Run the model in evaluation mode on a part of the data."""
    return judge(logits_of(model, part, mean, std, None, batch, precision), part.labels)


def judge(logits: Tensor, labels: Tensor) -> Evaluation:
    """What logits (I, classes) are worth beside labels (I,)."""
    predictions = logits.argmax(1)
    return Evaluation(
        loss=F.cross_entropy(logits, labels).item(),
        accuracy=(predictions == labels).sum().item() / len(labels),
        predictions=predictions,
    )
