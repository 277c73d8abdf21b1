"""Prediction of training times, from steps that were measured on the same hardware.

The time of a step is close to a sum of parts. The size of each part is known in closed form. Each
part has a speed:

    step       fixed time of each step: data loader, schedule, loss
    pixel      decoding and augmentation
    launch     launches of the operations of sub-layers; small models mostly wait for these
    mac        multiply-adds × images, without attention
    attention  multiply-adds of attention × images
    byte       bytes kept by executions × images: memory limits norms, GELU and residuals
    param      optimizer, clipped norm, moving average

If a fraction r of the executions is recomputed in the backward pass, and a fraction w has no backward
pass, launches, multiply-adds and bytes count (3 + r - 2·w) / 3 times. An evaluation has the same parts without the last, with other
speeds. The speeds are the non-negative least-squares fit to the relative errors of all measured
points. The forward pass of a teacher is not counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sret_search.architecture import Architecture
from sret_search.config.problems import StudyError
from sret_search.config.study_file import Compute
from sret_search.cost import MEMORY_BUDGET, cost, segments, train_memory
from sret_search.job import Recipe, depths_of_step, images_seen, timetable
from sret_search.machine.hardware import hardware, uses_gpu
from sret_search.writing import write_whole

FILE = Path("runs") / "calibration.json"
_EVALUATED = 256
"""Number of images of a batch in evaluation."""
_MOST = 100
"""Number of points that are kept for a hardware: the latest."""

Speeds = NDArray[np.float64]
"""Seconds of a unit of each part of a step, in the order of the module's table (7,)."""

_TYPICAL = {
    "cpu": ([2e-3, 5e-8, 1.1e-3, 1.8e-10, 3e-10, 0, 1e-8], [1e-3, 1e-8, 3.5e-4, 6e-11, 1e-10, 0, 0]),
    "cuda": ([2e-3, 3e-9, 4e-4, 2e-13, 4e-13, 5e-13, 2e-11], [1e-3, 1e-9, 1e-4, 7e-14, 2e-13, 2e-13, 0]),
}  # fmt: skip
"""Typical speeds of training and of evaluation on a CPU core or a GPU of a server."""


@dataclass(frozen=True)
class Point:
    """A measured candidate.

    Attributes:
        recipe: with the batch of one process.
        step: seconds of a training step.
        evaluated: number of images of an evaluation.
        evaluation: seconds of the evaluation.
    """

    architecture: Architecture
    recipe: Recipe
    step: float
    evaluated: int
    evaluation: float

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Point:
        """Read a point from a calibration.

        Raises:
            LookupError, TypeError, ValueError: it is damaged.
        """
        architecture = Architecture.from_dict(plain["architecture"])
        recipe = Recipe.from_dict(plain["recipe"])
        point = cls(**{**plain, "architecture": architecture, "recipe": recipe})
        if not (0 < point.step < math.inf and 0 < point.evaluation < math.inf):
            raise ValueError(f"{point.step} and {point.evaluation} are no times")
        return point

    def to_json(self) -> dict[str, Any]:
        """The point as a calibration stores it."""
        return {
            "architecture": self.architecture.to_dict(),
            "recipe": self.recipe.to_dict(),
            "step": self.step,
            "evaluated": self.evaluated,
            "evaluation": self.evaluation,
        }


@dataclass(frozen=True)
class StepTime:
    """Predictor of the seconds of trainings and evaluations.

    Attributes:
        hardware: name of the hardware for which it predicts.
        points: measured points. Without points, the speeds are those of a typical server.
        processes: number of processes that share each batch of a training.
        device: "cpu" or "cuda".
        threads: number of CPU threads of a process.
    """

    hardware: str
    points: tuple[Point, ...] = ()
    processes: int = 1
    device: str = "cpu"
    threads: int = 1

    @classmethod
    def known(cls, compute: Compute | None = None) -> StepTime | None:
        """Predictor for this hardware, from its calibration; None without a calibration.

        Args:
            compute: `compute` of the study; the default of a study file if None.

        Raises:
            StudyError: the file is no calibration.
        """
        guessed = cls.guessed(compute)
        points = _read().get(guessed.hardware, [])
        if not points:
            return None
        return replace(guessed, points=tuple(points))

    @classmethod
    def guessed(cls, compute: Compute | None = None) -> StepTime:
        """Predictor with the speeds of a typical server."""
        compute = compute or Compute()
        device = "cuda" if uses_gpu(compute) else "cpu"
        threads = compute.cpus // compute.processes
        return cls(hardware(compute), (), compute.processes, device, threads)

    def seconds(self, architecture: Architecture, recipe: Recipe, images: int) -> float:
        """Seconds of all steps of a training.

        Args:
            images: number of images of the training part.
        """
        steps = timetable(architecture, recipe, max(images, 1)).total
        seen = images_seen(architecture, recipe, max(images, 1))
        parts = step_parts(architecture, self.share(recipe), steps, seen / self.processes)
        return float(parts @ self._speeds(recipe)[0])

    def evaluation(self, architecture: Architecture, recipe: Recipe, images: int) -> float:
        """Seconds of an evaluation on this number of images."""
        parts = _evaluation(architecture, math.ceil(images / self.processes))
        return float(parts @ self._speeds(recipe)[1])

    def share(self, recipe: Recipe) -> Recipe:
        """The recipe of one process, with its share of each batch."""
        images = -(-recipe.batch_size // self.processes)
        return replace(recipe, batch_size=max(images, recipe.accumulate))

    def _speeds(self, recipe: Recipe) -> tuple[Speeds, Speeds]:
        """Speeds of training and of evaluation.

        They are fitted to the points with the same precision and the same `compile`, if there are
        any. Otherwise the same precision is preferred.
        """
        if not self._fits:
            step, evaluation = map(np.array, _TYPICAL[self.device])
            if self.device == "cpu":
                for speeds in (step, evaluation):
                    speeds[3:6] /= self.threads
            return step, evaluation
        wanted = recipe.precision, recipe.compile
        nearest = min(self._fits, key=lambda kind: (kind[0] != wanted[0], kind[1] != wanted[1]))
        return self._fits[nearest]

    @cached_property
    def _fits(self) -> dict[tuple[str, bool], tuple[Speeds, Speeds]]:
        groups: dict[tuple[str, bool], list[Point]] = {}
        for point in self.points:
            kind = point.recipe.precision, point.recipe.compile
            groups.setdefault(kind, []).append(point)
        return {kind: _fitted(points) for kind, points in groups.items()}


def add(name: str, points: Sequence[Point]) -> None:
    """Store points that were measured on a hardware. They replace earlier points of the same
    candidates.

    Args:
        name: name of the hardware.

    Raises:
        StudyError: the file is no calibration.
        OSError: the file cannot be written.
    """
    known = _read()
    new = {_key(point): point for point in points}
    before = [point for point in known.get(name, []) if _key(point) not in new]
    known[name] = [*before, *new.values()][-_MOST:]
    plain = {name: [point.to_json() for point in points] for name, points in known.items()}
    write_whole(FILE, (json.dumps(plain, indent=1) + "\n").encode(), shared=True)


def _read() -> dict[str, list[Point]]:
    try:
        plain = json.loads(FILE.read_text(encoding="utf-8"))
        return {
            name: [Point.from_json(point) for point in points] for name, points in plain.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(
            f"{FILE}: not a calibration ({reason}); remove it, and measure anew with `plan --calibrate`"
        ) from None


def _key(point: Point) -> str:
    return json.dumps([point.architecture.to_dict(), point.recipe.to_dict()], sort_keys=True)


def step_parts(a: Architecture, recipe: Recipe, steps: float, images: float) -> Speeds:
    """Sizes of the parts of training steps (7,).

    Args:
        steps: number of steps.
        images: number of images in all of these steps.
    """
    micro, through = recipe.images_at_once(), recipe.depth_training.through
    forward = np.zeros(4)
    for depth, times in depths_of_step(a, recipe):
        plans = segments(depth, micro, MEMORY_BUDGET, through)
        saved = sum(3 * plan.detached + plan.kept for plan in plans)
        forward += times * (4 - saved / depth.executions) / 3 * _forward(depth)
    each = np.array([steps * recipe.accumulate, images, images, images])
    pixels = a.in_channels * a.image_size**2
    return np.array([steps, images * pixels, *(each * forward), steps * cost(a).params])


def _evaluation(a: Architecture, images: int) -> Speeds:
    """Sizes of the parts of an evaluation (7,)."""
    batches = math.ceil(images / _EVALUATED)
    pixels = a.in_channels * a.image_size**2
    each = np.array([batches, images, images, images])
    return np.array([batches, images * pixels, *(each * _forward(a)), 0])


def _forward(a: Architecture) -> Speeds:
    """Sizes of the middle parts (4,): launches of a forward pass; multiply-adds without attention,
    multiply-adds of attention, and kept bytes of an image."""
    known = cost(a)
    attention = known.macs_by_part["attention"]
    kept = train_memory(a, 1).activations
    return np.array([known.sub_layers, known.macs - attention, attention, kept], float)


def _fitted(points: Sequence[Point]) -> tuple[Speeds, Speeds]:
    steps, evaluations = [], []
    for point in points:
        a, recipe = point.architecture, point.recipe
        steps.append(step_parts(a, recipe, 1, recipe.batch_size))
        evaluations.append(_evaluation(a, point.evaluated))
    return (
        _least_squares(steps, [point.step for point in points]),
        _least_squares(evaluations, [point.evaluation for point in points]),
    )


def _least_squares(parts: Sequence[Speeds], seconds: Sequence[float]) -> Speeds:
    from scipy.optimize import nnls

    relative = np.array(parts) / np.array(seconds)[:, None]
    scale = relative.max(0)
    scale[scale == 0] = 1
    scaled: Speeds = nnls(relative / scale, np.ones(len(seconds)))[0]
    speeds: Speeds = scaled / scale
    return speeds
