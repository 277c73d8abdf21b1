"""The state of a training: model, optimizer, step, and the metrics so far."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sret_search.job import (
    Contents,
    Job,
    Provenance,
    Seen,
    leaves_weights_out,
    located,
    timetable,
)
from sret_search.model import SReT, map_large_blocks
from sret_search.training import checkpoints, compiled, data
from sret_search.training.augment import Augmenter, epoch_order
from sret_search.training.distributed import ALONE, Rank
from sret_search.training.evaluation import Evaluation, judge, logits_of
from sret_search.training.loss import TrainingLoss
from sret_search.training.optimizer import averaged, have_same_groups, optimizer
from sret_search.training.parametrization import scale_initial
from sret_search.training.pretrained import check_unseen, provenance, start_from
from sret_search.training.results import DepthMetrics, EpochMetrics
from sret_search.training.teacher import Teacher
from sret_search.training.watchdog import Diverged

_STEP, _DEPTH, _IMAGES, _END = range(2**31, 2**31 + 4)
"""Purposes of random numbers; each has its own stream. The weights have stream 0, and the order of
images of an epoch has the epoch's number, counted from 1. Purposes are far larger numbers, because
a stream's name goes on with zeros."""

_LOOK = 20
"""Steps between two checks of the losses, so that a GPU is not awaited at each step."""


def evaluation_seed(seed: int, step: int) -> int:
    """Seed of random draws in an evaluation after `step` steps of a training with this seed."""
    return _seed(seed, _END, step)


def _seed(seed: int, *stream: int) -> int:
    """Seed of a stream, independent of all other streams."""
    sequence = np.random.SeedSequence((seed, *stream))
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def _before(state: dict[str, Any]) -> list[Seen]:
    """Images that were trained on before the training of a checkpoint. Older checkpoints do not
    have them."""
    return [Seen.from_dict(plain) for plain in state.get("before", ())]


class Trainer:
    """A training between two steps.

    Every step and the order of images of every epoch draw from generators seeded by (seed, purpose,
    number). No generator's state has to be kept: a checkpoint consists of the step's number and the
    tensors.

    Args:
        job: the training.
        trials: folder of all trials of the study, for models named "trial N".
        rank: this process among those of the training.
        contents: expected fingerprint of the data; None does not check it.

    Raises:
        DataError: the data set cannot be used, has changed, or does not fit the architecture.
        PretrainedError: a model that the recipe names cannot be used.
    """

    def __init__(
        self, job: Job, trials: Path, rank: Rank = ALONE, contents: Contents | None = None
    ) -> None:
        self.job, self.rank = job, rank
        recipe, self.device = job.recipe, rank.device(job.device)
        self.before: tuple[Seen, ...] = ()
        """Images that the weights of `init` and of the teacher were trained on."""
        for name in recipe.models_read:
            place = located(name, trials)
            known = provenance(place)
            if known is not None:
                check_unseen(place, known.seen, [job.data])
                self._also_before(known.seen)
        split = data.load(job.data)
        data.check_unchanged(split, contents)
        self.split = split = split.whole if job.whole else split
        data.check(split, job.architecture)
        self.train_part = split.train.to(self.device)
        self.val_part = split.val.to(self.device)
        self.test_part = split.test.to(self.device) if job.test_curve else None
        self.times = timetable(job.architecture, recipe, len(split.train))
        last = len(split.train) % recipe.batch_size or recipe.batch_size
        if last < rank.count:
            raise data.DataError(
                f"an epoch ends with a batch of {last} images, too few for {rank.count} processes:"
                " change recipe.batch_size"
            )
        torch.manual_seed(self._seed(0))
        model = SReT(job.architecture, backprop=recipe.depth_training.through)
        if recipe.parametrization == "mup":
            scale_initial(model)
        if recipe.init is not None:
            start_from(model, located(recipe.init, trials))
        self.model = model.to(self.device).train()
        micro = recipe.images_at_once(rank.count)
        if self.device == "cpu" and model.recomputes(micro):
            map_large_blocks()
        unused = leaves_weights_out(job.architecture, recipe)
        self.loss = TrainingLoss(model, job)
        self.objective = rank.wrap(self.loss, unused)
        self.optimizer = optimizer(self.model, recipe)
        self.peak_rates = [group["lr"] for group in self.optimizer.param_groups]
        """Learning rate of each group at the peak of the schedule."""
        self.average = averaged(self.model, recipe.ema) if recipe.ema is not None else None
        self.augmenter = Augmenter(
            recipe.augment, split.mean, split.std, split.classes,
            crops=not self.train_part.cropped, label_smoothing=recipe.label_smoothing,
        )  # fmt: skip
        self.teacher = None
        if recipe.distill is not None:
            once = not recipe.augment.changes_images
            distill = replace(recipe.distill, teacher=located(recipe.distill.teacher, trials))
            self.teacher = Teacher(distill, split, self.train_part, self.device, once)
        self.blocks = compiled.Blocks(self.loss, self.average, self.device)
        self.step = 0
        self.seconds = 0.0
        self.history: list[EpochMetrics] = []
        self.depths: list[DepthMetrics] = []
        self._pending: list[Tensor] = []
        self._epoch_loss = 0.0
        self._since = time.perf_counter()

    @property
    def epoch(self) -> int:
        """Number of ended epochs. The last may have ended before its last step."""
        return len(self.history)

    @property
    def has_ended(self) -> bool:
        """Whether all steps are taken and the last epoch, perhaps an incomplete one, has ended."""
        return self.epoch * self.times.epoch >= self.times.total

    @property
    def can_go_on(self) -> bool:
        """Whether a longer training has this very state. It has not if this training ended its last
        epoch early."""
        stable = self.job.recipe.schedule == "wsd" and self.step <= self.times.stable_until
        return stable and self.epoch * self.times.epoch <= self.step

    def steps(self) -> Iterator[None]:
        """Take the remaining steps of the epoch, and pause after each.

        Raises:
            Diverged: the loss of a step is not finite.
        """
        recipe = self.job.recipe
        first = self.epoch * self.times.epoch
        last = min(first + self.times.epoch, self.times.total)
        seed = self._seed(self.epoch + 1)
        order = epoch_order(len(self.train_part), recipe.augment.repeats, seed)
        batches = order.split(recipe.batch_size)
        shares = [self.rank.share(batch, recipe.accumulate) for batch in batches]
        done, left = shares[: self.step - first], shares[self.step - first : last - first]
        loaded = self.train_part.batches(
            [part for share in left for part in share],
            crop=recipe.augment.crop,
            seed=self._seed(_IMAGES, self.epoch, self.rank.index),
            start=sum(len(part) for share in done for part in share),
        )
        for batch, share in zip(batches[len(done) :], left, strict=False):
            self._take_step(len(batch), share, loaded)
            if len(self._pending) >= _LOOK or self.device == "cpu":
                self._look()
            yield

    def _take_step(
        self, images: int, share: list[Tensor], loaded: Iterator[tuple[Tensor, Tensor]]
    ) -> None:
        recipe = self.job.recipe
        torch.manual_seed(self._seed(_STEP, self.step, self.rank.index))
        drawn, progress = self._seed(_DEPTH, self.step), self.step / self.times.total
        groups = self.optimizer.param_groups
        for group, peak in zip(groups, self.peak_rates, strict=True):
            group["lr"] = peak * self.times.lr_factor(self.step)
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.device)
        for i, indices in enumerate(share):
            images_BCSS, labels_B = next(loaded)
            images_BCSS, targets = self.augmenter(images_BCSS, labels_B)
            if self.teacher is not None:
                targets = self.teacher.targets(images_BCSS, indices)
            self.blocks.choose(self.rank, images_BCSS, targets, drawn)
            # Each part counts by its number of images. Gradients are averaged over processes.
            weight = len(indices) * self.rank.count / images
            with self.rank.synchronised(self.objective, i == len(share) - 1):
                loss = self.objective(images_BCSS, targets, drawn, progress) * weight
                loss.backward()
            total += loss.detach()
        if recipe.clip_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_grad_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.step += 1
        self._pending.append(total)

    def _look(self) -> None:
        """Add up the losses of the last steps."""
        if not self._pending:
            return
        values = self.rank.mean(torch.stack(self._pending)).tolist()
        first = self.step - len(values) + 1
        self._pending = []
        for step, value in enumerate(values, first):
            if not math.isfinite(value):
                raise Diverged(step, (step - 1) // self.times.epoch + 1, value)
            self._epoch_loss += value

    def end_epoch(self) -> EpochMetrics:
        """Evaluate the validation part and return the epoch's metrics.

        With a test curve, the results of the test part are kept in the history only, and their time
        is not counted.

        Raises:
            Diverged: a loss is not finite.
        """
        self._look()
        steps = self.step - self.epoch * self.times.epoch
        val = self.evaluate(self.trained, self.val_part)
        if not math.isfinite(val.loss):
            raise Diverged(self.step, self.epoch + 1, val.loss)
        self._clock()
        metrics = EpochMetrics(
            epoch=self.epoch + 1,
            step=self.step,
            train_loss=self._epoch_loss / steps,
            val_loss=val.loss,
            val_accuracy=val.accuracy,
            seconds=self.seconds,
        )
        self.history.append(self._tested(metrics))
        self._epoch_loss = 0.0
        self._since = time.perf_counter()
        return metrics

    def _tested(self, metrics: EpochMetrics) -> EpochMetrics:
        if self.test_part is None:
            return metrics
        test = self.evaluate(self.trained, self.test_part)
        return replace(metrics, test_loss=test.loss, test_accuracy=test.accuracy)

    @property
    def trained(self) -> SReT:
        """The model that is evaluated and kept: with averaged weights, if the recipe averages them."""
        model = self.model if self.average is None else self.average.module
        assert isinstance(model, SReT)
        return model

    @property
    def provenance(self) -> Provenance:
        """The origin of the weights, kept in their file."""
        contents = self.split.contents
        seen = Seen(self.job.data, self.job.whole, "" if contents is None else contents.digest)
        return Provenance(
            seen=tuple(dict.fromkeys((seen, *self.before))),
            precision=self.job.recipe.precision,
            seed=evaluation_seed(self.job.seed, self.step),
        )

    def evaluate(self, model: SReT, part: data.Part) -> Evaluation:
        """Evaluate a model on a part of the data, with a random stream of this evaluation."""
        torch.manual_seed(evaluation_seed(self.job.seed, self.step))
        split, precision = self.split, self.job.recipe.precision
        indices = torch.arange(len(part)).tensor_split(self.rank.count)[self.rank.index]
        logits = logits_of(model, part, split.mean, split.std, indices, precision=precision)
        return judge(self.rank.gather(logits), part.labels)

    def save(self, attempt: Path) -> None:
        """Write a checkpoint, from which this or another attempt goes on."""
        self._look()
        if self.rank.is_first:
            checkpoints.save_checkpoint(attempt, self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        self._clock()
        return {
            "job": self.job.identity,
            "trajectory": self.job.trajectory,
            "can_go_on": self.can_go_on,
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "epoch_loss": self._epoch_loss,
            "seconds": self.seconds,
            "history": [epoch.to_dict() for epoch in self.history],
            "depths": [each.to_dict() for each in self.depths],
            "before": [each.to_dict() for each in self.before],
            **self.blocks.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self._epoch_loss = state["epoch_loss"]
        self.seconds = state["seconds"]
        self.history = [EpochMetrics.from_dict(plain) for plain in state["history"]]
        self.depths = [DepthMetrics.from_dict(plain) for plain in state["depths"]]
        self._also_before(_before(state))
        self.blocks.load_state_dict(state)
        self._since = time.perf_counter()

    def begin_from(self, parent: dict[str, Any]) -> None:
        """Begin with the weights and averages of another training's end, and with its optimizer
        state if the optimizer has the same groups. The schedule starts again."""
        self.model.load_state_dict(parent["model"])
        if self.average is not None and parent["average"] is not None:
            self.average.load_state_dict(parent["average"])
        elif self.average is not None:
            self.average.module.load_state_dict(parent["model"])
        present, other = self.optimizer.state_dict(), parent["optimizer"]
        if have_same_groups(present, other):
            self.optimizer.load_state_dict(present | {"state": other["state"]})
        self._also_before(_before(parent))

    def _also_before(self, seen: Iterable[Seen]) -> None:
        self.before = tuple(dict.fromkeys((*self.before, *seen)))

    def _clock(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now

    def _seed(self, *stream: int) -> int:
        return _seed(self.job.seed, *stream)
