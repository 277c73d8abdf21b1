"""A teacher, as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sret_search.architecture.parts import STRICT, as_floats
from sret_search.errors import require
from sret_search.job.paths import check_name


@dataclass(frozen=True, slots=True)
class Distill:
    """Training on the soft labels of a teacher, and on nothing else (the paper's way).

    Attributes:
        teacher: "trial N" of this study; the folder of a trial; a model file of this program
            (.safetensors); "VARIANT:file.pth", an official checkpoint; "torchvision:NAME".
        temperature: divisor of both models' logits.

    Raises:
        ValueError: the teacher has no name, or the temperature is not positive.
    """

    teacher: str
    temperature: float = 1.0

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)
        check_name("teacher", self.teacher)
        require(
            0 < self.temperature < math.inf,
            f"`temperature > 0` must hold, but got {self.temperature}",
        )
