"""How a candidate is trained, as plain data: every field may be an axis of a space."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sret_search.architecture.parts import as_floats
from sret_search.job.need import STRICT, need

LONGEST = 10**12
"""Epochs, steps or samples of a training."""


def check_name(key: str, name: str | None) -> None:
    """See that a model is named as a trial, or in a way that only looking for it can tell."""
    if name is not None and name.startswith("trial"):
        number = name.removeprefix("trial").strip()
        need(
            number.isdecimal() and name == f"trial {number}",
            f"`{key}: trial N` needs the number of a trial, but got {name!r}",
        )


DepthTraining = Literal["fixed", "mixed", "sampled", "sandwich"]


@dataclass(frozen=True, slots=True)
class Augment:
    """Random changes of training images, drawn anew for each image; as in torchvision's
    `transforms.v2`.

    Attributes:
        crop: smallest and largest area of a random crop that is resized to the whole image.
        flip: half of the images, left to right.
        rotate, shear: up to so many degrees to both sides; translate: up to that fraction of
            the side; zoom: by up to that factor and its inverse. One resampling with the crop.
        color_jitter: of brightness, contrast and saturation.
        randaugment: magnitude (0 to 30) of two random operations (Cubuk et al., 1909.13719).
        erasing: probability that a rectangle is replaced by noise (Zhong et al., 1708.04896).
        mixup, cutmix: α of the Beta distribution of mixing weights (1710.09412, 1905.04899);
            with both, each batch takes one of them.
        repeats: each image comes so often in an epoch that has as many images as ever, so that
            a third of the images comes in an epoch of 3 repeats (Hoffer et al., 1901.09335).
    """

    crop: tuple[float, float] | None = None
    flip: bool = False
    rotate: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    zoom: float = 1.0
    color_jitter: float = 0.0
    randaugment: int | None = None
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    repeats: int = 1

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)
        if self.crop is not None:
            object.__setattr__(self, "crop", tuple(map(float, self.crop)))
        need(
            self.crop is None or 0 < self.crop[0] <= self.crop[1] <= 1,
            f"`crop: [low, high]` must be within 0 to 1, but got {self.crop}",
        )
        for name, most in (("rotate", 180), ("shear", 89), ("translate", 1), ("erasing", 1)):
            value = getattr(self, name)
            need(0 <= value <= most, f"`0 <= {name} <= {most}` must hold, but got {value}")
        for name in ("color_jitter", "mixup", "cutmix"):
            value = getattr(self, name)
            need(0 <= value < math.inf, f"`{name} >= 0` must hold, but got {value}")
        need(1 <= self.zoom < math.inf, f"`zoom >= 1` must hold, but got {self.zoom}")
        need(
            self.randaugment is None or 0 <= self.randaugment <= 30,
            f"`0 <= randaugment <= 30` must hold, but got {self.randaugment}",
        )
        need(self.repeats >= 1, f"`repeats >= 1` must hold, but got {self.repeats}")

    @property
    def changes_images(self) -> bool:
        """Whether the same image is ever seen changed."""
        return self != Augment(repeats=self.repeats)


@dataclass(frozen=True, slots=True)
class Distill:
    """Learning from the soft labels of a teacher, and from nothing else (the paper's way).

    Attributes:
        teacher: "trial N" of this study; the folder of a trial; a model file of ours
            (.safetensors); "VARIANT:file.pth", an official checkpoint; "torchvision:NAME".
        temperature: divides both models' logits.
    """

    teacher: str
    temperature: float = 1.0

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)
        check_name("teacher", self.teacher)
        need(
            0 < self.temperature < math.inf,
            f"`temperature > 0` must hold, but got {self.temperature}",
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a candidate is trained.

    Attributes:
        epochs, steps, samples: how long, in one of them (10 epochs where none is given); an
            epoch is one pass over the training part, a step one update of the weights.
        warmup: until the peak learning rate, in the same unit; None is a tenth of the whole.
        decay: length of the decay of "wsd", in the same unit; None is a fifth of the whole.
        batch_size: images a step, over all accumulated parts and all processes; the last batch
            of an epoch may be smaller.
        accumulate: parts that a batch is cut into, one after the other, for less memory.
        optimizer: "adamw", or "sgd" with Nesterov momentum.
        lr: peak learning rate; lr_start and lr_end: before the first step and after the last.
        schedule: "cosine"; or "wsd": warmup, stable, then decay by 1 − √ (Hägele et al.,
            2405.18392), which alone can be continued to more epochs.
        weight_decay: of matrices and convolutions; norms, biases, positions and residual
            scales are left alone.
        label_smoothing: mass spread over all classes.
        clip_grad_norm: largest norm of the gradient, or None.
        ema: decay of an exponential moving average of the weights, which is then what is
            evaluated and kept; it follows faster over the first steps, (1 + n) / (10 + n).
        precision: of activations in training and evaluation; weights are float32.
        compile: compile the blocks; pays on a GPU.
        init: start from these weights, positions resized; named as a teacher is.
        depth_training: "fixed" trains at the architecture's own loops; "mixed" at each of
            `depths` jointly, the mean of their losses; "sampled" at one drawn for each step;
            "sandwich" at the deepest, the shallowest and a drawn one, both of which learn
            the deepest one's outputs (Yu & Huang, 1903.05134).
        depths: loops of all blocks that loop; none are 1 and the architecture's own loops
            ("mixed"), or all from 1 to those.
    """

    epochs: float | int | None = None
    steps: int | None = None
    samples: int | None = None
    warmup: float | int | None = None
    decay: float | int | None = None
    batch_size: int = 32
    accumulate: int = 1
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 3e-3
    lr_start: float = 0.0
    lr_end: float = 0.0
    schedule: Literal["cosine", "wsd"] = "cosine"
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    clip_grad_norm: float | None = 1.0
    ema: float | None = None
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False
    init: str | None = None
    augment: Augment = field(default_factory=Augment)
    distill: Distill | None = None
    depth_training: DepthTraining = "fixed"
    depths: tuple[int, ...] = ()

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)
        given = [u for u in ("epochs", "steps", "samples") if getattr(self, u) is not None]
        need(len(given) <= 1, f"one of `epochs`, `steps`, `samples` is enough, but got {given}")
        if not given:
            object.__setattr__(self, "epochs", 10)
        for name in ("epochs", "warmup", "decay"):
            value = getattr(self, name)
            if isinstance(value, float) and value.is_integer():
                object.__setattr__(self, name, int(value))
        unit, length = self.unit, self.length
        need(length > 0, f"`{unit} > 0` must hold, but got {length}")
        need(length <= LONGEST, f"`{unit} <= {LONGEST:,}` must hold, but got {length}")
        for name in ("warmup", "decay"):
            part = getattr(self, name)
            need(
                part is None or 0 <= part <= length,
                f"`0 <= {name} <= {unit}` must hold, but got {part} of {length}",
            )
        need(
            self.decay is None or self.schedule == "wsd",
            "`decay` is a part of the schedule `wsd`: leave it out, or name that schedule",
        )
        for name in ("batch_size", "accumulate"):
            value = getattr(self, name)
            need(value >= 1, f"`{name} >= 1` must hold, but got {value}")
        need(
            self.accumulate <= self.batch_size,
            f"`accumulate <= batch_size` must hold, but got {self.accumulate} and {self.batch_size}",
        )
        need(0 < self.lr < math.inf, f"`lr > 0` must hold, but got {self.lr}")
        for name in ("lr_start", "lr_end"):
            value = getattr(self, name)
            need(0 <= value <= self.lr, f"`0 <= {name} <= lr` must hold, but got {value}")
        need(
            0 <= self.weight_decay < math.inf,
            f"`weight_decay >= 0` must hold, but got {self.weight_decay}",
        )
        need(
            0 <= self.label_smoothing < 1,
            f"`0 <= label_smoothing < 1` must hold, but got {self.label_smoothing}",
        )
        need(
            self.clip_grad_norm is None or self.clip_grad_norm > 0,
            f"`clip_grad_norm > 0` must hold, but got {self.clip_grad_norm}",
        )
        need(self.ema is None or 0 < self.ema < 1, f"`0 < ema < 1` must hold, but got {self.ema}")
        check_name("init", self.init)
        need(
            self.depth_training != "fixed" or not self.depths,
            "`depths` are those of an elastic training: name `depth_training`",
        )
        need(
            list(self.depths) == sorted(set(self.depths)) and min(self.depths, default=1) >= 1,
            f"`depths` must rise from 1 or more, but got {list(self.depths)}",
        )

    @property
    def unit(self) -> Literal["epochs", "steps", "samples"]:
        """What durations are given in."""
        if self.epochs is not None:
            return "epochs"
        return "steps" if self.steps is not None else "samples"

    @property
    def length(self) -> float:
        """How long, in the recipe's own unit."""
        value: float = getattr(self, self.unit)
        return value

    @property
    def warmup_in_units(self) -> float:
        """The warmup, in the recipe's own unit."""
        return self.length / 10 if self.warmup is None else self.warmup

    @property
    def decay_in_units(self) -> float:
        """The decay of "wsd", in the recipe's own unit."""
        return self.length / 5 if self.decay is None else self.decay

    @property
    def is_elastic(self) -> bool:
        """Whether the trained weights are meant for several depths."""
        return self.depth_training != "fixed"

    def built(self, loops: int) -> dict[str, Any]:
        """Plain data that two recipes have in common just if they train alike: defaults are
        written out, and what has no effect is left out.

        Args:
            loops: of the architecture that is trained, where it loops most.
        """
        depths = sorted({*(self.depths or (1,)), loops}) if self.is_elastic else []
        if self.depth_training in ("sampled", "sandwich"):
            every = not self.depths or len(depths) == loops
            depths = [] if every else depths
        return dataclasses.asdict(self) | {
            "epochs": None if self.epochs is None else float(self.epochs),
            "warmup": float(self.warmup_in_units),
            "decay": float(self.decay_in_units) if self.schedule == "wsd" else None,
            "lr_start": self.lr_start if self.warmup_in_units > 0 else 0.0,
            "depths": depths,
        }

    def images_at_once(self, processes: int = 1) -> int:
        """Images of the largest part of a batch that one of so many processes computes at once."""
        return -(-self.batch_size // (self.accumulate * processes))

    def timetable(self, images: int) -> Timetable:
        """The durations in steps, for a training part of so many images."""
        of_epoch = math.ceil(images / self.batch_size)
        each = {"epochs": of_epoch, "steps": 1, "samples": 1 / self.batch_size}[self.unit]
        total = max(round(self.length * each), 1)
        warmup = round(self.warmup_in_units * each)
        decay = round(self.decay_in_units * each)
        stable_until = total - decay if self.schedule == "wsd" else warmup
        return Timetable(of_epoch, total, warmup, max(stable_until, warmup))

    def seen(self, images: int) -> int:
        """Images seen in the whole training, for a training part of so many."""
        times = self.timetable(images)
        epochs, rest = divmod(times.total, times.epoch)
        return epochs * images + min(rest * self.batch_size, images)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Recipe:
        """Build from what `dataclasses.asdict` gives, or JSON made of it."""
        values = dict(plain)
        augment = dict(values.get("augment") or {})
        if augment.get("crop") is not None:
            augment["crop"] = tuple(augment["crop"])
        values["augment"] = Augment(**augment)
        if values.get("distill") is not None:
            values["distill"] = Distill(**values["distill"])
        values["depths"] = tuple(values.get("depths", ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Timetable:
    """A recipe's durations in steps: of an epoch, in all, of the warmup, and until when the
    learning rate is at its peak."""

    epoch: int
    total: int
    warmup: int
    stable_until: int

    def lr_factor(self, step: int, recipe: Recipe) -> float:
        """The learning rate of a step (0 is the first) over the peak."""
        start, end = recipe.lr_start / recipe.lr, recipe.lr_end / recipe.lr
        if step < self.warmup:
            return start + (1 - start) * (step + 1) / self.warmup
        if step < self.stable_until:
            return 1.0
        part = min((step - self.stable_until) / max(self.total - self.stable_until, 1), 1.0)
        left = (
            0.5 * (1 + math.cos(math.pi * part)) if recipe.schedule == "cosine" else 1 - part**0.5
        )
        return end + (1 - end) * left
