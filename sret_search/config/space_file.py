"""Types of a space file: every key that it may have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sret_search.architecture import Architecture
from sret_search.config.base import Bytes, Positive, Strict


class Axis(Strict):
    """Possible values of a field: `choices`, the numbers from `low` to `high`, divisors, or the
    values of another axis.

    Attributes:
        choices: list of the possible values.
        low, high: smallest and largest number, both included. They also bound `divisors`.
        log: numbers are drawn evenly in the logarithm.
        divisors: for slice groups: the divisors of the number of tokens of the stage.
        entries: the values are lists of this length. Each entry is one of the values above.
        same_as: another axis, above this one in the file. The field follows its value.
        times, plus: factor and summand for `same_as`: value × times + plus.
        when: other axes, each with the values under which this axis counts. Otherwise the field
            keeps the value of the space's architecture.
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
        min, max: smallest and largest value, both included.
    """

    min: float | int | None = None
    max: float | int | None = None


class SizeLimit(Strict):
    """Bounds in bytes.

    Attributes:
        min, max: smallest and largest value, both included, in bytes or as a size such as 2GB.
    """

    min: Bytes | float | int | None = None
    max: Bytes | float | int | None = None


class Budget(Strict):
    """Bounds on costs. Candidates outside them are dropped before training.

    Attributes:
        params: parameters.
        macs: multiply-adds of one image.
        train_macs: multiply-adds of the whole training.
        executions: block executions of one forward pass.
        memory: bytes of a training step. Activations beyond 2 GiB are recomputed.
        bytes: bytes of the stored weights in float32.
        bytes_bf16: bytes of the stored weights in bf16.
        bytes_int8: bytes of the stored weights with linear layers and convolutions in int8.
        seconds: predicted time of a training on this machine. It needs a calibration.
    """

    params: Limit = Limit()
    macs: Limit = Limit()
    train_macs: Limit = Limit()
    executions: Limit = Limit()
    memory: SizeLimit = SizeLimit()
    bytes: SizeLimit = SizeLimit()
    bytes_bf16: SizeLimit = SizeLimit()
    bytes_int8: SizeLimit = SizeLimit()
    seconds: Limit = Limit()


class SpaceFile(Strict):
    """A search space: an architecture, axes and a budget.

    Attributes:
        architecture: a complete architecture, or the name of a variant.
        axes: axes by the path of the field of the architecture or the recipe that they replace.
        budget: bounds on costs.
    """

    architecture: Architecture
    axes: dict[str, Axis] = {}
    budget: Budget = Budget()
