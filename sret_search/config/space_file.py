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
        low, high: the least and the largest number, both included; of divisors, those kept.
        log: numbers are drawn evenly in the logarithm.
        divisors: slice groups that divide the tokens of the stage, whatever these are.
        entries: the values are lists of so many entries, each of which is one of the above.
        same_as: another axis, above this one, which the field follows.
        times, plus: what it is multiplied by, and what is then added, where it follows another.
        when: other axes, and the values under which this one counts; elsewhere the field keeps
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
        min, max: both included; a size such as 2GB is one, too.
    """

    min: Bytes | float | int | None = None
    max: Bytes | float | int | None = None


class Budget(Strict):
    """What a candidate may cost; the others are dropped before training.

    Attributes:
        params: parameters.
        macs: multiply-adds of one image.
        train_macs: multiply-adds of the whole training.
        executions: runs of blocks in one forward pass.
        memory: bytes of a training step, of which activations beyond 2 GiB are recomputed.
        seconds: predicted, of one training on this machine; needs a calibration.
    """

    params: Limit = Limit()
    macs: Limit = Limit()
    train_macs: Limit = Limit()
    executions: Limit = Limit()
    memory: SizeLimit = SizeLimit()
    seconds: Limit = Limit()


class SpaceFile(Strict):
    """What may be built, and for what budget.

    Attributes:
        architecture: a complete one, or the name of a variant.
        axes: values that each replace one field of the architecture or the recipe, by its path.
        budget: what a candidate may cost.
    """

    architecture: Architecture
    axes: dict[str, Axis] = {}
    budget: Budget = Budget()
