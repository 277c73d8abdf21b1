"""Train one candidate: a plain function of a job, with a callable to report to."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from sret_search.job import Job, Recipe
from sret_search.model import SReT, map_large_blocks, rerun
from sret_search.training import data, files
from sret_search.training.evaluation import Evaluation, evaluate
from sret_search.training.names import PREDICTIONS, RESULT, WEIGHTS

Report = Callable[[dict[str, Any]], None]


class Diverged(Exception):
    """The loss is not finite."""

    def __init__(self, step: int, epoch: int, loss: float) -> None:
        super().__init__(f"the loss became {loss} at step {step} (epoch {epoch})")
        self.step = step


def train(
    job: Job, attempt: Path, report: Report, earlier_attempts: Sequence[Path] = ()
) -> dict[str, Any]:
    """Train a candidate to its end and write its result into the folder of this attempt.

    Continues from the furthest checkpoint of `earlier_attempts`, to the same last bit as a
    training that was never stopped. `report` is called after each epoch with its metrics.

    Returns:
        The content of `result.json`: `state` is "complete" or "diverged"; accuracies are
        fractions, losses mean cross-entropies in nats, `seconds` the time spent in all
        attempts. `predictions.npz` has the class chosen for each test image.
    """
    attempt.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(True)
    trainer = Trainer(job)
    checkpoint = files.newest_checkpoint([*earlier_attempts, attempt], job.identity)
    if checkpoint is not None:
        trainer.load_state_dict(checkpoint)
    try:
        while trainer.epoch < job.recipe.epochs:
            metrics = trainer.train_epoch()
            files.save_checkpoint(attempt, trainer.epoch, trainer.state_dict())
            report(metrics)
        result = {"state": "complete", **trainer.finish(attempt)}
    except Diverged as diverged:
        result = {"state": "diverged", "reason": str(diverged), "step": diverged.step}
    result |= {
        "job": job.identity,
        "epochs": trainer.epoch,
        "seconds": trainer.seconds,
        "history": trainer.history,
        "environment": environment(),
    }
    files.write_json(attempt / RESULT, result)
    return result


class Trainer:
    """A training between two epochs: model, optimizer, schedule, and the metrics so far.

    Every epoch draws from generators seeded by (seed, epoch), so that no generator's state
    has to be kept: what lies between two epochs is all there is to a checkpoint.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.split = data.load(job.data)
        self.train_part, self.val_part = (
            self.split.train.to(job.device),
            self.split.val.to(job.device),
        )
        torch.manual_seed(_seed(job.seed, 0))
        self.model = SReT(job.architecture).to(job.device).train()
        if job.device == "cpu" and self.model.recomputes(job.recipe.batch_size):
            map_large_blocks()
        self.steps_per_epoch = math.ceil(len(self.train_part) / job.recipe.batch_size)
        self.optimizer = _optimizer(self.model, job.recipe)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: _lr_factor(step, self.steps_per_epoch, job.recipe)
        )
        self.epoch = 0
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []

    def train_epoch(self) -> dict[str, Any]:
        """One pass over the training part, then the validation part.

        Raises:
            Diverged: the loss of a step or of the validation part is not finite.
        """
        start = time.perf_counter()
        torch.manual_seed(_seed(self.job.seed, self.epoch + 1))
        order = torch.randperm(len(self.train_part), device="cpu").to(self.job.device)
        losses = [self._step(batch) for batch in order.split(self.job.recipe.batch_size)]
        val = evaluate(self.model, self.val_part)
        if not math.isfinite(val.loss):
            raise Diverged((self.epoch + 1) * self.steps_per_epoch, self.epoch + 1, val.loss)
        self.epoch += 1
        self.seconds += time.perf_counter() - start
        metrics = {
            "epoch": self.epoch,
            "train_loss": float(np.mean(losses)),
            "val_loss": val.loss,
            "val_accuracy": val.accuracy,
            "seconds": self.seconds,
        }
        self.history.append(metrics)
        return metrics

    def _step(self, batch: Tensor) -> float:
        recipe = self.job.recipe
        logits = self.model(self.train_part.images[batch])
        loss = F.cross_entropy(
            logits, self.train_part.labels[batch], label_smoothing=recipe.label_smoothing
        )
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(self.schedule.last_epoch + 1, self.epoch + 1, value)
        self.optimizer.zero_grad()
        loss.backward()
        if recipe.clip_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        return value

    def finish(self, attempt: Path) -> dict[str, Any]:
        """Evaluate the test part, once, and the reruns; write weights and predictions."""
        torch.manual_seed(_seed(self.job.seed, self.epoch + 1))
        test_part = self.split.test.to(self.job.device)
        last = self.history[-1]
        test = evaluate(self.model, test_part)
        predictions = {"labels": test_part.labels.cpu().numpy(), "test": test.predictions.numpy()}
        reruns = []
        for i, architecture in enumerate(self.job.reruns):
            twin = rerun(self.model, architecture)
            val, again = evaluate(twin, self.val_part), evaluate(twin, test_part)
            predictions[f"rerun-{i}"] = again.predictions.numpy()
            reruns.append({"executions": architecture.executions, **_fractions(val, again)})
        save_file(self.model.state_dict(), attempt / WEIGHTS)
        files.write_whole(
            attempt / PREDICTIONS,
            lambda file: np.savez_compressed(file, allow_pickle=False, **predictions),
        )
        return {
            "val_accuracy": last["val_accuracy"],
            "val_loss": last["val_loss"],
            "test_accuracy": test.accuracy,
            "test_loss": test.loss,
            "reruns": reruns,
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "job": self.job.identity,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch = state["epoch"]
        self.seconds = state["seconds"]
        self.history = state["history"]


def _fractions(val: Evaluation, test: Evaluation) -> dict[str, float]:
    return {"val_accuracy": val.accuracy, "test_accuracy": test.accuracy}


def _optimizer(model: torch.nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW whose weight decay leaves norms, biases, positions and residual scales alone."""
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in model.named_parameters():
        weighs = parameter.ndim >= 2 and not name.startswith("positions")
        (decayed if weighs else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)


def _lr_factor(step: int, steps_per_epoch: int, recipe: Recipe) -> float:
    """Linear warmup, then a half cosine that reaches zero after the last step."""
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    rest = max(recipe.epochs * steps_per_epoch - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / rest))


def _seed(seed: int, epoch: int) -> int:
    """Independent streams for each (seed, epoch)."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> 1)


def environment() -> dict[str, Any]:
    """What a result's last bits may depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
