"""The loops that a training runs, and those through which it leads gradients, as plain data."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Literal, get_args

from sret_search.architecture.parts import STRICT, as_floats
from sret_search.errors import require

Kind = Literal["fixed", "mixed", "sampled", "sandwich", "curriculum"]
Law = Literal["uniform", "poisson_lognormal"]
Growth = tuple[float, Literal["all"] | int]
"""A fraction of the training, and the loops from there on."""

KINDS: tuple[Kind, ...] = get_args(Kind)
DRAWN_BITS = 63
"""Random bits of the number that picks the depth of a step."""
_SIGMA = 0.5
"""σ of the Poisson-lognormal law, as published."""
_WIDTH, _POINTS = 8.0, 2001
"""Half-width in σ, and points, of the sum over the normal variable."""
_MOST_MEAN = 1_000_000


@dataclass(frozen=True, slots=True)
class DepthTraining:
    """The loops that a training runs, and those through which it leads gradients. A word in a file
    stands for a mapping with this `kind` alone.

    Attributes:
        kind: "fixed" trains at the architecture's loops; "mixed" at each of the recipe's `depths`
            jointly, with the mean of their losses; "sampled" at one depth drawn for each step;
            "sandwich" at the deepest, the shallowest and a drawn depth, where the last two learn
            the outputs of the deepest (Yu & Huang, 1903.05134); "curriculum" at loops that grow.
        law: distribution of the depth of "sampled". "uniform": each trained depth is as likely.
            "poisson_lognormal": τ ~ N(ln `mean` - σ²/2, σ) with σ = 1/2, and 1 + Poisson(e^τ)
            loops (Geiping et al., 2502.05171, §3.3, where `mean` is written r̄). Depths that are
            not trained are left out, and the others keep their proportions.
        mean: r̄ of "poisson_lognormal". Before the truncation, the mean is r̄ + 1 loops.
        backprop: "all" leads gradients through all loops. A number k leads them through the last k
            loops of the blocks that loop together; the loops before run without a graph. At k or
            fewer loops that is all of them.
        supervise: "each" takes the mean of the losses after every loop of the last stage; it needs
            an architecture with `loop.readout: each`. "none" takes the loss at the end.
        grow: loops of "curriculum": [[0, 1], [0.25, 4], [0.5, all]] begins with one loop, and has
            4 after a quarter of the steps and all of the architecture's after half of them. It has
            never more loops than the architecture.

    Raises:
        ValueError: fields contradict each other or are outside their range; the message says which.
    """

    kind: Kind = "fixed"
    law: Law = "uniform"
    mean: float | None = None
    backprop: Literal["all"] | int = "all"
    supervise: Literal["none", "each"] = "none"
    grow: tuple[Growth, ...] = ()

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)
        for name, words in (("kind", KINDS), ("law", get_args(Law))):
            value = getattr(self, name)
            require(value in words, f"`{name}` is one of {', '.join(words)}, but got {value!r}")
        require(
            self.backprop == "all" or self.backprop >= 1,
            f"`backprop` is `all`, or a number of loops from 1, but got {self.backprop}",
        )
        require(
            self.kind == "sampled" or self.law == "uniform",
            f"`law` is that of `kind: sampled`: leave it out for {self.kind}",
        )
        if self.law == "poisson_lognormal":
            require(
                self.mean is not None and 0 < self.mean <= _MOST_MEAN,
                f"`law: poisson_lognormal` needs `mean`, above 0 and at most {_MOST_MEAN:,}, but"
                f" got {self.mean}",
            )
        require(
            self.law == "poisson_lognormal" or self.mean is None,
            "`mean` is that of `law: poisson_lognormal`: leave it out, or name that law",
        )
        require(
            self.supervise == "none" or self.kind != "sandwich",
            "`kind: sandwich` defines its losses: leave out `supervise`",
        )
        self._check_growth()

    def _check_growth(self) -> None:
        if self.kind != "curriculum":
            require(
                not self.grow, f"`grow` is that of `kind: curriculum`: leave it out for {self.kind}"
            )
            return
        example = "such as [[0, 1], [0.25, 4], [0.5, all]]"
        require(
            bool(self.grow),
            f"`kind: curriculum` needs `grow`, fractions of the training and loops, {example}",
        )
        grow = tuple((float(start), loops) for start, loops in self.grow)
        object.__setattr__(self, "grow", grow)
        starts = [start for start, _ in grow]
        rise = all(before < after for before, after in pairwise(starts))
        require(
            starts[0] == 0 and starts[-1] < 1 and rise,
            f"fractions of `grow` must rise from 0 and stay below 1, {example}, but got {starts}",
        )
        loops = [math.inf if each == "all" else each for _, each in grow]
        require(
            loops[0] >= 1 and all(before <= after for before, after in pairwise(loops)),
            f"loops of `grow` must be 1 or more and never fall, {example}, but got"
            f" {[each for _, each in grow]}",
        )

    @property
    def through(self) -> int | None:
        """Number of last loops through which gradients go; None for all loops."""
        return None if self.backprop == "all" else self.backprop

    @property
    def is_elastic(self) -> bool:
        """Whether the trained weights are meant for several depths."""
        return self.kind in ("mixed", "sampled", "sandwich")

    def growth(self, loops: int) -> list[tuple[float, int]]:
        """Fractions of the training, and the loops from there on, for an architecture with `loops`
        loops. Neighbours differ."""
        stages: list[tuple[float, int]] = []
        for start, each in self.grow or ((0.0, "all"),):
            here = loops if each == "all" else min(each, loops)
            if not stages or stages[-1][1] != here:
                stages.append((start, here))
        return stages

    def loops_at(self, progress: float, loops: int) -> int:
        """Loops of a curriculum after a fraction `progress` of its steps, for an architecture with
        `loops` loops."""
        return [here for start, here in self.growth(loops) if start <= progress][-1]

    def built(self, loops: int) -> DepthTraining:
        """Form that is equal for two trainings exactly if they train alike.

        Args:
            loops: loops of the trained architecture, at its most looped block.
        """
        kind, grow = self.kind, self.grow
        if kind == "curriculum":
            stages = self.growth(loops)
            kind, grow = ("curriculum", tuple(stages)) if len(stages) > 1 else ("fixed", ())
        through: Literal["all"] | int = self.backprop
        if through != "all" and through >= loops:
            through = "all"
        supervise = self.supervise if loops > 1 else "none"
        return dataclasses.replace(
            self, kind=kind, grow=grow, backprop=through, supervise=supervise
        )

    @property
    def plain(self) -> str | dict[str, Any]:
        """Plain data for JSON: the word if the kind says everything, as in earlier versions; else
        a mapping without defaults."""
        usual = DepthTraining()
        changed = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "kind" and getattr(self, field.name) != getattr(usual, field.name)
        }
        if "grow" in changed:
            changed["grow"] = [list(stage) for stage in self.grow]
        return {"kind": self.kind, **changed} if changed else self.kind

    @classmethod
    def from_plain(cls, plain: str | Mapping[str, Any] | DepthTraining) -> DepthTraining:
        """Read a word or a mapping.

        Raises:
            TypeError: a field is unknown.
            ValueError: a field is outside its range.
        """
        if isinstance(plain, DepthTraining):
            return plain
        if isinstance(plain, str):
            return cls(kind=plain)  # type: ignore[arg-type]  # checked when it is made
        values = dict(plain)
        values["grow"] = tuple(tuple(stage) for stage in values.get("grow", ()))
        return cls(**values)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: Callable[[Any], Mapping[str, Any]]
    ) -> Any:
        # Only the check of a file needs pydantic.
        from pydantic_core import core_schema

        word = core_schema.no_info_after_validator_function(
            cls.from_plain, core_schema.literal_schema(list(KINDS))
        )
        either = core_schema.tagged_union_schema(
            {WORD: word, MAPPING: handler(source)},
            lambda value: WORD if isinstance(value, str) else MAPPING,
        )
        either["serialization"] = core_schema.plain_serializer_function_ser_schema(
            lambda value: value.plain
        )
        return either


WORD, MAPPING = "[word]", "[mapping]"
"""Tags of the two forms in the place of an error."""


def law_of_depths(training: DepthTraining, loops: Sequence[int]) -> tuple[float, ...]:
    """Probability that a step trains at each of these loops, if depths are drawn."""
    if training.law == "uniform" or len(loops) == 1:
        return (1 / len(loops),) * len(loops)
    assert training.mean is not None
    return _poisson_lognormal(training.mean, tuple(loops))


def drawn_depth(training: DepthTraining, loops: Sequence[int], drawn: int) -> int:
    """Index of the depth that a random number of `DRAWN_BITS` bits picks."""
    if training.law == "uniform":
        return drawn % len(loops)
    upto = list(accumulate(law_of_depths(training, loops)))
    return min(bisect_right(upto, drawn / 2**DRAWN_BITS * upto[-1]), len(loops) - 1)


@lru_cache(maxsize=64)
def _poisson_lognormal(mean: float, loops: tuple[int, ...]) -> tuple[float, ...]:
    import numpy as np

    # The trapezoidal rule is exact to rounding for a smooth function with the tails of a normal.
    z_P = np.linspace(-_WIDTH, _WIDTH, _POINTS)
    rate_log_P = math.log(mean) - _SIGMA**2 / 2 + _SIGMA * z_P
    before_L = np.array(loops)[:, None] - 1
    factorial_log_L = np.array([[math.lgamma(each)] for each in loops])
    log_LP = before_L * rate_log_P - np.exp(rate_log_P) - factorial_log_L - z_P**2 / 2
    # Relative to the largest term, so that depths far from the mean do not all vanish.
    probability_L = np.exp(log_LP - log_LP.max()).sum(1)
    return tuple((probability_L / probability_L.sum()).tolist())
