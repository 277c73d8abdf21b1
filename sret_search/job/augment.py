"""Random changes of training images, as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sret_search.architecture.parts import STRICT, as_floats
from sret_search.errors import require


@dataclass(frozen=True, slots=True)
class Augment:
    """Random changes of training images, drawn for each image separately.

    Operations are those of torchvision's `transforms.v2`.

    Attributes:
        crop: smallest and largest area of a random crop, as fractions. The crop is resized to the
            whole image.
        flip: mirror half of the images, left to right.
        rotate, shear: largest angle to both sides, in degrees.
        translate: largest move, as a fraction of the side.
        zoom: largest factor of enlarging; its inverse is the largest of shrinking. All moves and
            the crop are applied in a single resampling.
        color_jitter: largest change of brightness, contrast and saturation.
        randaugment: magnitude (0 to 30) of two random operations (Cubuk et al., 1909.13719).
        erasing: probability that a rectangle is replaced by noise (Zhong et al., 1708.04896).
        mixup, cutmix: α of the Beta distribution of mixing weights (1710.09412, 1905.04899). With
            both, each batch takes one of them.
        repeats: times that each image occurs in an epoch. The epoch keeps its number of images, so
            with 3 repeats it has a third of the different images (Hoffer et al., 1901.09335).

    Raises:
        ValueError: a field is outside its range; the message names the rule and the value.
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
        require(
            self.crop is None or 0 < self.crop[0] <= self.crop[1] <= 1,
            f"`crop: [low, high]` must be within 0 to 1, but got {self.crop}",
        )
        for name, most in (("rotate", 180), ("shear", 89), ("translate", 1), ("erasing", 1)):
            value = getattr(self, name)
            require(0 <= value <= most, f"`0 <= {name} <= {most}` must hold, but got {value}")
        for name in ("color_jitter", "mixup", "cutmix"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"`{name} >= 0` must hold, but got {value}")
        require(1 <= self.zoom < math.inf, f"`zoom >= 1` must hold, but got {self.zoom}")
        require(
            self.randaugment is None or 0 <= self.randaugment <= 30,
            f"`0 <= randaugment <= 30` must hold, but got {self.randaugment}",
        )
        require(self.repeats >= 1, f"`repeats >= 1` must hold, but got {self.repeats}")

    @property
    def changes_images(self) -> bool:
        """Whether training images are changed at all."""
        return self != Augment(repeats=self.repeats)
