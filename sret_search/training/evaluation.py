"""Loss, accuracy and predictions of a model on one part of the data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sret_search.training.data import Part

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean cross-entropy in nats, fraction of images right, and the class chosen for each."""

    loss: float
    accuracy: float
    predictions: Tensor


@torch.inference_mode()
def evaluate(model: nn.Module, part: Part) -> Evaluation:
    """Run the model in evaluation mode, then put it back into the mode it was in."""
    training = model.training
    model.eval()
    logits = torch.cat([model(images) for images in part.images.split(_BATCH)]).float()
    model.train(training)
    predictions = logits.argmax(1)
    return Evaluation(
        loss=F.cross_entropy(logits, part.labels).item(),
        accuracy=(predictions == part.labels).sum().item() / len(part),
        predictions=predictions.cpu(),
    )
