"""The end of a training: the only evaluation of the test part, the files that stay, and the
latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sret_search.artifacts.names import PREDICTIONS, WEIGHTS
from sret_search.model import depth_profile, gradient_shares, rerun, save
from sret_search.training import latency
from sret_search.training.augment import normalize
from sret_search.training.exits import read_loops
from sret_search.training.results import DepthMetrics, FinalEvaluation, RerunResult
from sret_search.writing import write_whole

if TYPE_CHECKING:
    from sret_search.training.trainer import Trainer

_WATCHED = 32
"""Images of the monitor's updates and gradients."""
_READ = 1000
"""Largest number of images on which the monitor reads the head after each loop."""


def record_depth(trainer: Trainer) -> DepthMetrics:
    """Measure the effect of each execution on validation images after an epoch."""
    model, split = trainer.trained, trainer.split
    images_BCSS, labels_B = next(
        trainer.val_part.batches([torch.arange(min(_WATCHED, len(trainer.val_part)))])
    )
    images_BCSS = normalize(images_BCSS, split.mean, split.std)
    model.eval()
    profile = depth_profile(model, images_BCSS)
    shares = gradient_shares(model, images_BCSS, labels_B)
    indices = torch.arange(min(_READ, len(trainer.val_part)))
    readings = read_loops(
        model, trainer.val_part, split.mean, split.std, None, indices,
        precision=trainer.job.recipe.precision,
    )  # fmt: skip
    model.train()
    return DepthMetrics(
        epoch=trainer.epoch,
        updates=profile.updates,
        gradient_shares=shares,
        angles=profile.angles,
        distances=profile.distances,
        read_after=readings.executions,
        accuracies=readings.accuracies(trainer.val_part.labels[indices]),
    )


def finish(trainer: Trainer, attempt: Path, beat: Callable[[], None]) -> FinalEvaluation:
    """Evaluate the test part, once, and the reruns; write weights and predictions; time a forward
    pass if the job asks for it.

    Args:
        beat: called between evaluations, for the watchdog.
    """
    model, last = trainer.trained, trainer.history[-1]
    test_part = trainer.split.test.to(trainer.device)
    test = trainer.evaluate(model, test_part)
    predictions = {"labels": test_part.labels.numpy(), "test": test.predictions.numpy()}
    reruns = []
    for i, architecture in enumerate(trainer.job.reruns):
        beat()
        twin = rerun(model, architecture)
        val, again = trainer.evaluate(twin, trainer.val_part), trainer.evaluate(twin, test_part)
        predictions[f"rerun-{i}"] = again.predictions.numpy()
        reruns.append(RerunResult(architecture.executions, val.accuracy, val.loss, again.accuracy))
    if trainer.rank.is_first:
        about = trainer.provenance.to_dict()
        write_whole(attempt / WEIGHTS, lambda file: save(model, file, about))
        write_whole(
            attempt / PREDICTIONS,
            lambda file: np.savez_compressed(file, allow_pickle=False, **predictions),
        )
    reached = FinalEvaluation(
        last.val_accuracy, last.val_loss, test.accuracy, test.loss, tuple(reruns)
    )
    if trainer.job.latency is not None:
        beat()
        if trainer.rank.is_first:
            measured = latency.measure(trainer, trainer.job.latency)
            reached = replace(reached, latency_ms=measured.ms, latency_spread=measured.spread)
    return reached
