"""The head of a model read after each loop, and images that leave where it is sure.

Images leave after the first loop at which a score is at most a threshold. Nothing is trained: the
head was trained on the last state only, unless the recipe supervised every loop.

Shapes: R loops that are read, I images, B images of a batch, D width, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sret_search.model import SReT
from sret_search.training.augment import normalize
from sret_search.training.data import Part
from sret_search.training.evaluation import BATCH
from sret_search.training.results import EarlyExit, EarlyExits, Score, standard_error


@dataclass(frozen=True, slots=True)
class LoopReadings:
    """The head read after each loop, for every image of a part.

    Attributes:
        executions: executions of blocks by the end of each loop (R).
        predictions: classes, (R, I).
        scores: the score of each image after each loop, (R, I); empty if none was asked for.
        logits: logits after the last loop, (I, classes), float32.
    """

    executions: list[int]
    predictions: Tensor
    scores: Tensor
    logits: Tensor

    def accuracies(self, labels: Tensor) -> list[float]:
        """The accuracy of the head read after each loop, as fractions (R).

        Args:
            labels: classes, (I,).
        """
        right: list[float] = (self.predictions == labels).double().mean(1).tolist()
        return right


def early_exits(
    score: Score, thresholds: Sequence[float], readings: LoopReadings, labels: Tensor
) -> EarlyExits:
    """Let each image leave at the first loop whose score is at most a threshold.

    Args:
        labels: classes of the images, (I,).
    """
    return EarlyExits(
        score=score,
        executions=readings.executions,
        accuracies=readings.accuracies(labels),
        thresholds=[_leave(readings, labels, threshold) for threshold in thresholds],
    )


def _leave(readings: LoopReadings, labels: Tensor, threshold: float) -> EarlyExit:
    leaves = readings.scores <= threshold
    leaves[-1] = True
    loop_I = leaves.int().argmax(0)
    predictions_I = readings.predictions.gather(0, loop_I[None])[0]
    executions_R = torch.tensor(readings.executions, dtype=torch.float64)
    accuracy = (predictions_I == labels).double().mean().item()
    return EarlyExit(
        threshold=threshold,
        accuracy=accuracy,
        accuracy_standard_error=standard_error(accuracy, len(labels)),
        executions=executions_R[loop_I].mean().item(),
        left=torch.bincount(loop_I, minlength=len(executions_R)).tolist(),
    )


@torch.inference_mode()
def read_loops(
    model: SReT,
    part: Part,
    mean: Sequence[float],
    std: Sequence[float],
    score: Score | None = None,
    indices: Tensor | None = None,
    batch: int = BATCH,
    precision: str = "float32",
) -> LoopReadings:
    """Read the head after each loop, in evaluation mode. The model keeps its mode.

    Args:
        mean, std: mean and standard deviation of each channel.
        score: the score to compute; None computes none.
        indices: images to read, (I,); None takes all.
        batch: images in a batch.
        precision: "float32" or "bf16".
    """
    chosen = torch.arange(len(part)) if indices is None else indices
    training = model.training
    model.eval()
    predictions, scores, logits = [], [], []
    for images_BCSS, _ in part.batches(chosen.split(batch)):
        with torch.autocast(images_BCSS.device.type, torch.bfloat16, precision == "bf16"):
            loops = list(_loops(model, normalize(images_BCSS, mean, std), score))
        predictions.append(torch.stack([logits_BC.argmax(1) for logits_BC, _ in loops]).cpu())
        scores.append(torch.stack([score_B for _, score_B in loops]).cpu())
        logits.append(loops[-1][0].cpu())
    model.train(training)
    return LoopReadings(
        executions=model.loop_ends,
        predictions=torch.cat(predictions, 1),
        scores=torch.cat(scores, 1),
        logits=torch.cat(logits),
    )


def _loops(
    model: SReT, images_BCSS: Tensor, score: Score | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (B, classes) and scores (B,) after each loop, in float32."""
    *_, last = model.outputs(images_BCSS, pools_loops=True)
    pooled_RBD = torch.stack(last.pooled)
    before_BD: Tensor | None = None
    for pooled_BD, logits_BC in zip(pooled_RBD, model.classify_pooled(pooled_RBD), strict=True):
        z_BD, logits_BC = pooled_BD.float(), logits_BC.float()
        if score == "entropy":
            yield logits_BC, _entropy(logits_BC)
        elif score == "distance":
            yield logits_BC, _distance(before_BD, z_BD)
        else:
            yield logits_BC, logits_BC.new_empty(0)
        before_BD = z_BD


def _distance(before_BD: Tensor | None, z_BD: Tensor) -> Tensor:
    """Relative update of each image; infinite after the first loop, which has none before it."""
    if before_BD is None:
        return z_BD.new_full((len(z_BD),), math.inf)
    distance_B: Tensor = (z_BD - before_BD).norm(dim=1) / before_BD.norm(dim=1)
    return distance_B


def _entropy(logits_BC: Tensor) -> Tensor:
    log_BC = logits_BC.log_softmax(1)
    return -(log_BC.exp() * log_BC).sum(1)
