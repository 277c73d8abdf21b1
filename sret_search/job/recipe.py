"""The way a candidate is trained, as plain data. Every field may be an axis of a space."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sret_search.architecture.parts import STRICT, as_floats
from sret_search.errors import require
from sret_search.importing import require_import_path
from sret_search.job.augment import Augment
from sret_search.job.depth_training import DepthTraining
from sret_search.job.distill import Distill
from sret_search.job.lr_schedule import StepSchedule, steps_of_macs
from sret_search.job.optimization import Parametrization, check_optimization
from sret_search.job.paths import check_name, trial_named

LONGEST = 10**12
"""Most epochs, steps or samples of a training."""
Unit = Literal["epochs", "steps", "samples", "macs"]
UNITS: tuple[Unit, ...] = get_args(Unit)
DEFAULT_EPOCHS = 10
LARGEST = 1e30
"""Most multiply-adds of a training."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The way a candidate is trained.

    Attributes:
        epochs, steps, samples, macs: length of the training, in one of these units (10 epochs if
            none is given). An epoch is one pass over the training part, a step one update of the
            weights. With `macs`, each candidate trains for the same multiply-adds, rounded to whole
            steps.
        warmup: length of the warmup to the peak learning rate, in the same unit; None is a tenth of
            the training.
        decay: length of the decay of "wsd", in the same unit; None is a fifth of the training.
        batch_size: images a step, over all accumulated parts and all processes. The last batch of
            an epoch may be smaller.
        accumulate: parts that a batch is cut into. They run one after the other, for less memory.
        optimizer: "adamw"; "sgd" with Nesterov momentum; "muon" for the matrices of blocks,
            NLLs and injections, with AdamW for all other weights; or the import path of an
            optimizer, which is called with groups of parameters and `lr`.
        loss: import path of a function of model, images and targets. It replaces the cross-entropy
            of the model's outputs.
        lr: peak learning rate; with "muon", that of its matrices.
        lr_other: peak learning rate of the weights that "muon" leaves to AdamW; None is `lr`.
        lr_start, lr_end: learning rates before the first step and after the last. Other learning
            rates than `lr` start and end at the same fractions of their peaks.
        schedule: "cosine"; or "wsd": warmup, stable, then decay by 1 − √ (Hägele et al.,
            2405.18392). Only "wsd" can be continued to more epochs.
        weight_decay: weight decay of matrices and convolutions. Norms, biases, positions and
            residual scales have none.
        label_smoothing: probability mass spread over all classes.
        clip_grad_norm: largest norm of the gradient; None does not clip.
        ema: decay of an exponential moving average of the weights, which is then evaluated and
            kept. It follows faster over the first steps, (1 + n) / (10 + n).
        precision: precision of activations in training and evaluation. Weights are float32.
        compile: compile the blocks; faster on a GPU.
        parametrization: "standard", or "mup": the maximal update parametrization, with which wide
            models train well at the learning rate of narrow ones (Yang et al., 2203.03466).
        init: model whose weights the training starts from, with positions resized. It is named like
            a teacher. Neither may have been trained on images of validation or test here.
        augment: random changes of training images.
        distill: learn from a teacher.
        depth_training: loops of each step, and those that get gradients: a word such as "mixed", or
            a mapping.
        depths: loops of all looping blocks. Empty means 1 and the architecture's loops for "mixed",
            and all from 1 to the architecture's loops otherwise.

    Raises:
        ValueError: fields contradict each other or are outside their range; the message says which.
    """

    epochs: float | int | None = None
    steps: int | None = None
    samples: int | None = None
    warmup: float | int | None = None
    decay: float | int | None = None
    batch_size: int = 32
    accumulate: int = 1
    optimizer: str = "adamw"
    loss: str | None = None
    lr: float = 3e-3
    lr_other: float | None = None
    lr_start: float = 0.0
    lr_end: float = 0.0
    schedule: Literal["cosine", "wsd"] = "cosine"
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    clip_grad_norm: float | None = 1.0
    ema: float | None = None
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False
    parametrization: Parametrization = "standard"
    init: str | None = None
    augment: Augment = field(default_factory=Augment)
    distill: Distill | None = None
    depth_training: DepthTraining = field(default_factory=DepthTraining)
    depths: tuple[int, ...] = ()
    macs: float | None = None

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)
        object.__setattr__(self, "depth_training", DepthTraining.from_plain(self.depth_training))
        given = [unit for unit in UNITS if getattr(self, unit) is not None]
        units = ", ".join(f"`{unit}`" for unit in UNITS)
        require(len(given) <= 1, f"one of {units} is enough, but got {given}")
        if not given:
            object.__setattr__(self, "epochs", DEFAULT_EPOCHS)
        for name in ("epochs", "warmup", "decay"):
            value = getattr(self, name)
            if isinstance(value, float) and value.is_integer():
                object.__setattr__(self, name, int(value))
        unit, length = self.unit, self.length
        require(length > 0, f"`{unit} > 0` must hold, but got {length}")
        most = LARGEST if unit == "macs" else LONGEST
        require(length <= most, f"`{unit} <= {most:,}` must hold, but got {length}")
        for name in ("warmup", "decay"):
            part = getattr(self, name)
            require(
                part is None or 0 <= part <= length,
                f"`0 <= {name} <= {unit}` must hold, but got {part} of {length}",
            )
        require(
            self.decay is None or self.schedule == "wsd",
            "`decay` is a part of the schedule `wsd`: leave it out, or name that schedule",
        )
        for name in ("batch_size", "accumulate"):
            value = getattr(self, name)
            require(value >= 1, f"`{name} >= 1` must hold, but got {value}")
        require(
            self.accumulate <= self.batch_size,
            f"`accumulate <= batch_size` must hold, but got {self.accumulate} and {self.batch_size}",
        )
        require(0 < self.lr < math.inf, f"`lr > 0` must hold, but got {self.lr}")
        for name in ("lr_start", "lr_end"):
            value = getattr(self, name)
            require(0 <= value <= self.lr, f"`0 <= {name} <= lr` must hold, but got {value}")
        require(
            0 <= self.weight_decay < math.inf,
            f"`weight_decay >= 0` must hold, but got {self.weight_decay}",
        )
        require(
            0 <= self.label_smoothing < 1,
            f"`0 <= label_smoothing < 1` must hold, but got {self.label_smoothing}",
        )
        check_optimization(
            self.optimizer, self.lr_other, self.clip_grad_norm, self.parametrization, self.init
        )
        self._check_loss()
        require(
            self.clip_grad_norm is None or self.clip_grad_norm > 0,
            f"`clip_grad_norm > 0` must hold, but got {self.clip_grad_norm}",
        )
        require(
            self.ema is None or 0 < self.ema < 1, f"`0 < ema < 1` must hold, but got {self.ema}"
        )
        check_name("init", self.init)
        require(
            self.is_elastic or not self.depths,
            "`depths` are those of an elastic training: name `depth_training`",
        )
        require(
            list(self.depths) == sorted(set(self.depths)) and min(self.depths, default=1) >= 1,
            f"`depths` must rise from 1 or more, but got {list(self.depths)}",
        )

    def _check_loss(self) -> None:
        """Check the name of a user's loss, and the fields that it rules out."""
        if self.loss is None:
            return
        require_import_path(self.loss)
        require(
            self.distill is None, "a teacher's soft labels are the whole loss: leave out `loss`"
        )
        require(
            self.label_smoothing == 0,
            "`label_smoothing` cannot be used with your own `loss`: leave it out",
        )
        require(
            self.depth_training.kind != "sandwich",
            "`depth_training: sandwich` defines its losses: leave out `loss`",
        )
        require(
            self.depth_training.supervise == "none",
            "`supervise: each` defines its losses: leave out `loss`",
        )

    @property
    def user_code(self) -> dict[str, str]:
        """Import paths of a user's code, by field."""
        named = {"optimizer": self.optimizer, "loss": self.loss}
        return {key: path for key, path in named.items() if path is not None and ":" in path}

    @property
    def unit(self) -> Unit:
        """The unit of all durations of the recipe."""
        return next(unit for unit in UNITS if getattr(self, unit) is not None)

    @property
    def length(self) -> float:
        """Length of the training, in `unit`."""
        value: float = getattr(self, self.unit)
        return value

    @property
    def has_default_length(self) -> bool:
        """Whether the length is that of a recipe without one, with no warmup or decay in its unit."""
        return self.epochs == DEFAULT_EPOCHS and self.warmup is None and self.decay is None

    @property
    def warmup_in_units(self) -> float:
        """Length of the warmup, in `unit`."""
        return self.length / 10 if self.warmup is None else self.warmup

    @property
    def decay_in_units(self) -> float:
        """Length of the decay of "wsd", in `unit`."""
        return self.length / 5 if self.decay is None else self.decay

    @property
    def rate_of_others(self) -> float:
        """Peak learning rate of the weights that "muon" leaves to AdamW."""
        return self.lr if self.lr_other is None else self.lr_other

    @property
    def models_read(self) -> list[str]:
        """Names of the models that a training starts from or learns from."""
        teacher = None if self.distill is None else self.distill.teacher
        return [name for name in (self.init, teacher) if name is not None]

    @property
    def trials_read(self) -> list[int]:
        """Numbers of the trials that a training starts from or learns from."""
        numbers = [trial_named(name) for name in self.models_read]
        return [number for number in numbers if number is not None]

    @property
    def is_elastic(self) -> bool:
        """Whether the trained weights are meant for several depths."""
        return self.depth_training.is_elastic

    def built(self, loops: int) -> dict[str, Any]:
        """Plain data that is equal for two recipes exactly if they train alike. Defaults are
        written out, and fields without effect are left out.

        Args:
            loops: loops of the trained architecture, at its most looped block.
        """
        depths = sorted({*(self.depths or (1,)), loops}) if self.is_elastic else []
        if self.depth_training.kind in ("sampled", "sandwich"):
            every = not self.depths or len(depths) == loops
            depths = [] if every else depths
        return self.to_dict() | {
            "epochs": None if self.epochs is None else float(self.epochs),
            "warmup": float(self.warmup_in_units),
            "decay": float(self.decay_in_units) if self.schedule == "wsd" else None,
            "lr_start": self.lr_start if self.warmup_in_units > 0 else 0.0,
            "depth_training": self.depth_training.built(loops).plain,
            "depths": depths,
            **({"lr_other": self.rate_of_others} if self.optimizer == "muon" else {}),
        }

    def images_at_once(self, processes: int = 1) -> int:
        """Images of the largest part of a batch that a process computes at once.

        Args:
            processes: processes that share the batch.
        """
        return -(-self.batch_size // (self.accumulate * processes))

    def timetable(self, images: int, image_macs: float | None = None) -> StepSchedule:
        """Durations in steps. `job.timetable` knows what an image costs.

        Args:
            images: number of images of the training part.
            image_macs: multiply-adds of training on one image, for a length in multiply-adds.

        Raises:
            ValueError: the multiply-adds of the recipe are too few for one step.
        """
        of_epoch = math.ceil(images / self.batch_size)
        if self.unit == "macs":
            assert image_macs is not None, "a length in multiply-adds needs the cost of an image"
            total = steps_of_macs(self.length, image_macs, images, self.batch_size)
            each = total / self.length
        else:
            each = {"epochs": of_epoch, "steps": 1, "samples": 1 / self.batch_size}[self.unit]
            total = max(round(self.length * each), 1)
        warmup = round(self.warmup_in_units * each)
        decay = round(self.decay_in_units * each)
        stable_until = total - decay if self.schedule == "wsd" else warmup
        shape = "cosine" if self.schedule == "cosine" else "sqrt"
        start, end = self.lr_start / self.lr, self.lr_end / self.lr
        return StepSchedule(of_epoch, total, warmup, max(stable_until, warmup), shape, start, end)

    def images_seen(self, images: int, image_macs: float | None = None) -> int:
        """Images that the whole training sees. Repeated images count each time.

        Args:
            images: number of images of the training part.
            image_macs: multiply-adds of training on one image, for a length in multiply-adds.

        Raises:
            ValueError: the multiply-adds of the recipe are too few for one step.
        """
        times = self.timetable(images, image_macs)
        epochs, rest = divmod(times.total, times.epoch)
        return epochs * images + min(rest * self.batch_size, images)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        plain = dataclasses.asdict(self)
        plain["depth_training"] = self.depth_training.plain
        # Later fields are written only if they are not at their defaults: the names of all other
        # jobs depend on their absence.
        later = {"loss": None, "macs": None, "lr_other": None, "parametrization": "standard"}
        return {k: value for k, value in plain.items() if k not in later or value != later[k]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Recipe:
        """Build a recipe from plain data, such as JSON.

        Raises:
            TypeError: a field is unknown.
            ValueError: a field is outside its range.
        """
        values = dict(plain)
        augment = dict(values.get("augment") or {})
        if augment.get("crop") is not None:
            augment["crop"] = tuple(augment["crop"])
        values["augment"] = Augment(**augment)
        if values.get("distill") is not None:
            values["distill"] = Distill(**values["distill"])
        values["depths"] = tuple(values.get("depths", ()))
        return cls(**values)
