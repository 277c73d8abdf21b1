"""A space file, as types: every key that it may have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sret_search.architecture import Architecture
from sret_search.config.base import Bytes, Positive, Strict


class Axis(Strict):
    """Values for one field: `choices`, or the numbers from `low` to `high`, or those of another
    axis.

    Attributes:
        choices: each value that the field may have.
        low, high: the least and the largest number, both included; also bounds of divisors.
        log: numbers are drawn evenly in the logarithm.
        divisors: slice groups: the divisors of the number of tokens of the stage.
        entries: the values are lists of this length; each entry is one of the values above.
        same_as: another axis, above this one, which the field follows.
        times, plus: factor and summand for the followed axis: value × times + plus.
        when: other axes, and the values under which this axis counts; otherwise the field keeps
            the value of the space's architecture.
    """

    choices: Annotated[list[Any], Field(min_length=1)] | None = None
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    divisors: Literal["tokens"] | None = None
    entries: Positive | None = None
    same_as: str | None = None
    times: float | int = 1
    plus: float | int = 0
    when: dict[str, list[Any]] = {}


class Limit(Strict):
    """Bounds.

    Attributes:
        min, max: both included.
    """

    min: float | int | None = None
    max: float | int | None = None


class SizeLimit(Strict):
    """Bounds in bytes.

    Attributes:
        min, max: both included, in bytes or as a size such as 2GB.
    """

    min: Bytes | float | int | None = None
    max: Bytes | float | int | None = None


class Budget(Strict):
    """Bounds on costs; candidates outside them are dropped before training.

    Attributes:
        params: parameters.
        macs: multiply-adds of one image.
        train_macs: multiply-adds of the whole training.
        executions: runs of blocks in one forward pass.
        memory: bytes of a training step; activations beyond 2 GiB are recomputed.
        seconds: predicted time of one training on this machine; needs a calibration.
    """

    params: Limit = Limit()
    macs: Limit = Limit()
    train_macs: Limit = Limit()
    executions: Limit = Limit()
    memory: SizeLimit = SizeLimit()
    seconds: Limit = Limit()


class SpaceFile(Strict):
    """A search space: an architecture, axes and a budget.

    Attributes:
        architecture: a complete one, or the name of a variant.
        axes: values that each replace one field of the architecture or the recipe, by its path.
        budget: bounds on costs.
    """

    architecture: Architecture
    axes: dict[str, Axis] = {}
    budget: Budget = Budget()
