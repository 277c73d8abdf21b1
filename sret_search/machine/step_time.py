"""How long trainings take, from steps that were measured on the same hardware.

The time of a step is close to a sum of things that are known in closed form, each at a speed of
its own:

    step       what each step costs anyway: the loader's round, the schedule, the loss
    pixel      decoding and augmentation
    launch     of a sub-layer's operations, which small models mostly wait for
    mac        multiply-adds × images, but for attention's
    attention  its multiply-adds × images
    byte       that executions keep × images: norms, GELU and residuals are bound by memory
    param      the optimizer, the clipped norm, the moving average

Launches, multiply-adds and bytes count (3 + r) / 3 times where a part r of the executions is
recomputed in the backward pass. An evaluation has the same parts but the last, at speeds of its
own. The speeds, none negative, are those that fit all measured points best, errors relative to
each point's time. A teacher's forward pass is not counted.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sret_search.architecture import Architecture
from sret_search.config.problems import StudyError
from sret_search.config.study_file import Compute
from sret_search.cost import MEMORY_BUDGET, cost, segments, train_memory
from sret_search.job import Recipe, depths_of_step
from sret_search.machine.hardware import hardware, uses_gpu

FILE = Path("runs") / "calibration.json"
_EVALUATED = 256
"""Images of a batch in evaluation."""
_MOST = 100
"""Points that are kept of one hardware: the latest."""

Speeds = NDArray[np.float64]
"""Seconds of one of each part of a step, in the order of the module's table (7,)."""

_TYPICAL = {
    "cpu": ([2e-3, 5e-8, 1.1e-3, 1.8e-10, 3e-10, 0, 1e-8], [1e-3, 1e-8, 3.5e-4, 6e-11, 1e-10, 0, 0]),
    "cuda": ([2e-3, 3e-9, 4e-4, 2e-13, 4e-13, 5e-13, 2e-11], [1e-3, 1e-9, 1e-4, 7e-14, 2e-13, 2e-13, 0]),
}  # fmt: skip
"""Speeds of training and of evaluation on one CPU core, or GPU, of a server, for a first guess."""


@dataclass(frozen=True)
class Point:
    """A candidate that was measured.

    Attributes:
        architecture, recipe: as plain data, the recipe as one process has it.
        step: seconds of a whole one.
        evaluated: images of an evaluation.
        evaluation: seconds of it.
    """

    architecture: dict[str, Any]
    recipe: dict[str, Any]
    step: float
    evaluated: int
    evaluation: float


@dataclass(frozen=True)
class StepTime:
    """Predicts seconds.

    Attributes:
        hardware: what it holds for.
        processes: that share each batch of a training.
        points: that were measured; without any, speeds are guessed.
        device: "cpu" or "cuda".
        threads: of the CPU.
    """

    hardware: str
    points: tuple[Point, ...] = ()
    processes: int = 1
    device: str = "cpu"
    threads: int = 1

    @classmethod
    def known(cls, compute: Compute | None = None) -> StepTime | None:
        """That of this hardware, if it was calibrated here.

        Args:
            compute: of the study; what a study has that says nothing of it, if not given.

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
        """That of a typical server."""
        compute = compute or Compute()
        device = "cuda" if uses_gpu(compute) else "cpu"
        threads = compute.cpus // compute.processes
        return cls(hardware(compute), (), compute.processes, device, threads)

    def seconds(self, architecture: Architecture, recipe: Recipe, images: int) -> float:
        """Of all steps of one training on a part of so many images."""
        steps, seen = recipe.timetable(max(images, 1)).total, recipe.images_seen(max(images, 1))
        parts = step_parts(architecture, self.share(recipe), steps, seen / self.processes)
        return float(parts @ self._speeds(recipe)[0])

    def evaluation(self, architecture: Architecture, recipe: Recipe, images: int) -> float:
        """Of evaluating a model on so many images."""
        parts = _evaluation(architecture, math.ceil(images / self.processes))
        return float(parts @ self._speeds(recipe)[1])

    def share(self, recipe: Recipe) -> Recipe:
        """The recipe as one process has it, with its share of each batch."""
        images = -(-recipe.batch_size // self.processes)
        return replace(recipe, batch_size=max(images, recipe.accumulate))

    def _speeds(self, recipe: Recipe) -> tuple[Speeds, Speeds]:
        """Of training and of evaluation: fitted to points of the same precision, both compiled
        or not, where there are any."""
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
            kind = point.recipe["precision"], point.recipe["compile"]
            groups.setdefault(kind, []).append(point)
        return {kind: _fitted(points) for kind, points in groups.items()}


def add(name: str, points: Sequence[Point]) -> None:
    """Keep points that were measured on a hardware; they replace earlier ones of the same
    candidates."""
    known = _read()
    new = {_key(point): point for point in points}
    before = [point for point in known.get(name, []) if _key(point) not in new]
    known[name] = [*before, *new.values()][-_MOST:]
    plain = {name: [asdict(point) for point in points] for name, points in known.items()}
    FILE.parent.mkdir(parents=True, exist_ok=True)
    partial = FILE.with_name(f"{FILE.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(plain, indent=1) + "\n")
    os.replace(partial, FILE)


def _read() -> dict[str, list[Point]]:
    try:
        plain = json.loads(FILE.read_text(encoding="utf-8"))
        return {name: [_point(one) for one in points] for name, points in plain.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(
            f"{FILE}: not a calibration ({reason}); remove it, and measure anew with `plan --calibrate`"
        ) from None


def _point(plain: dict[str, Any]) -> Point:
    point = Point(**plain)
    for kind, part in ((Architecture, point.architecture), (Recipe, point.recipe)):
        kind.from_dict(part)  # or it says what is wrong
    if not (0 < point.step < math.inf and 0 < point.evaluation < math.inf):
        raise ValueError(f"{point.step} and {point.evaluation} are no times")
    return point


def _key(point: Point) -> str:
    return json.dumps([point.architecture, point.recipe], sort_keys=True)


def step_parts(a: Architecture, recipe: Recipe, steps: float, images: float) -> Speeds:
    """The parts of so many steps, which see so many images in all (7,)."""
    micro = recipe.images_at_once()
    forward = np.zeros(4)
    for depth, times in depths_of_step(a, recipe):
        kept = sum(plan.kept for plan in segments(depth, micro, MEMORY_BUDGET))
        forward += times * (4 - kept / depth.executions) / 3 * _forward(depth)
    each = np.array([steps * recipe.accumulate, images, images, images])
    pixels = a.in_channels * a.image_size**2
    return np.array([steps, images * pixels, *(each * forward), steps * cost(a).params])


def _evaluation(a: Architecture, images: int) -> Speeds:
    """The parts of an evaluation (7,)."""
    batches = math.ceil(images / _EVALUATED)
    pixels = a.in_channels * a.image_size**2
    each = np.array([batches, images, images, images])
    return np.array([batches, images * pixels, *(each * _forward(a)), 0])


def _forward(a: Architecture) -> Speeds:
    """Launches of a forward pass; multiply-adds, those of attention, and bytes, of one image."""
    known = cost(a)
    attention = known.macs_by_part["attention"]
    kept = train_memory(a, 1).activations
    return np.array([known.sub_layers, known.macs - attention, attention, kept], float)


def _fitted(points: Sequence[Point]) -> tuple[Speeds, Speeds]:
    steps, evaluations = [], []
    for point in points:
        a, recipe = Architecture.from_dict(point.architecture), Recipe.from_dict(point.recipe)
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
    found: Speeds = nnls(relative / scale, np.ones(len(seconds)))[0]
    speeds: Speeds = found / scale
    return speeds
