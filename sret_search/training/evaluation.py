"""Loss, accuracy and predictions of a model on a part of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sret_search.training.augment import normalize
from sret_search.training.data import Part

BATCH = 256
"""Images in a batch of an evaluation during training."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean cross-entropy in nats, fraction of correct images, and predicted classes (I,)."""

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
    """Logits (I, classes) of the images of a part, float32 on the CPU, in evaluation mode.

    The model keeps its mode.

    Args:
        mean, std: mean and standard deviation of each channel.
        indices: images to evaluate, (I,); None takes all.
        batch: images in a batch.
        precision: "float32" or "bf16".
    """
    chosen = torch.arange(len(part)) if indices is None else indices
    training = model.training
    model.eval()
    logits = []
    for images_BCSS, _ in part.batches(chosen.split(batch)):
        with torch.autocast(images_BCSS.device.type, torch.bfloat16, precision == "bf16"):
            logits.append(model(normalize(images_BCSS, mean, std)).float().cpu())
    model.train(training)
    return torch.cat(logits)


def evaluate(
    model: nn.Module,
    part: Part,
    mean: Sequence[float],
    std: Sequence[float],
    batch: int = BATCH,
    precision: str = "float32",
) -> Evaluation:
    """Evaluate a model on a part of the data, in evaluation mode.

    Args:
        mean, std: mean and standard deviation of each channel.
        batch: images in a batch.
        precision: "float32" or "bf16".
    """
    return judge(logits_of(model, part, mean, std, None, batch, precision), part.labels)


def judge(logits: Tensor, labels: Tensor) -> Evaluation:
    """Loss, accuracy and predictions from logits (I, classes) and labels (I,)."""
    predictions = logits.argmax(1)
    return Evaluation(
        loss=F.cross_entropy(logits, labels).item(),
        accuracy=(predictions == labels).sum().item() / len(labels),
        predictions=predictions,
    )
