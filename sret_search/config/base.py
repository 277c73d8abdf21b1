"""Types that both files use: models without unknown keys, counts, durations, sizes, GPUs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from sret_search.errors import require

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
"""Number of things that each take a training."""
Duration = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(s|min|h)$")]
Size = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(MB|GB|TB)$")]


def seconds(duration: str) -> float:
    """Seconds of a duration such as 10min."""
    unit = next(unit for unit in ("min", "s", "h") if duration.endswith(unit))
    return float(duration.removesuffix(unit)) * {"s": 1, "min": 60, "h": 3600}[unit]


def size(text: str) -> int:
    """Bytes of a size such as 20GB."""
    return round(float(text[:-2]) * {"MB": 10**6, "GB": 10**9, "TB": 10**12}[text[-2:]])


Bytes = Annotated[Size, AfterValidator(size)]


_LEAST_OF_A_GPU = 1e-4
"""Smallest part of a GPU. Ray rounds to it."""


def _check_gpus(number: float) -> float:
    """Check a number of GPUs.

    Raises:
        ValueError: it is neither a part of a GPU nor a whole number.
    """
    whole = number == int(number)
    require(
        whole or _LEAST_OF_A_GPU <= number < 1,
        f"{number:g} GPUs: a trial has a part of one GPU, at least {_LEAST_OF_A_GPU:g}, or whole GPUs",
    )
    return number


Gpus = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_check_gpus)]
"""Number of GPUs, or a part of one."""


class Strict(BaseModel):
    """Model without unknown keys and without conversions between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
