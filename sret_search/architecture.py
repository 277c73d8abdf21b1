"""One candidate of the SReT family, as plain frozen data. Imports neither torch nor ray.

An `Architecture` is hashable, compares by value, prints as YAML (`to_dict`), and checks every
rule when it is made. Depth counters follow the project's words: *unique blocks* are distinct
sets of weights, *loops* how often each runs, *executions* unique blocks × loops.

Mechanisms: Shen, Liu, Xing, "Sliced Recursive Transformer", ECCV 2022, arXiv 2111.05297.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

NLLShare = Literal["none", "stage", "block", "execution"]
ResidualKind = Literal["lrc", "layerscale", "scaled"]
Permutation = Literal["none", "stride", "official"]

# Read by pydantic where a file is checked; the rooms that build models do without pydantic.
_STRICT = {"extra": "forbid", "strict": True}


class ArchitectureError(ValueError):
    """A rule of the family is broken. `path` names the field, such as ("stages", 0, "groups")."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one width at one resolution.

    Attributes:
        width: channels of a token (the field's embed_dim); heads must divide it.
        heads: attention heads.
        unique: distinct blocks, each run `loops` times in a row before the next.
        loops: executions of each block.
        groups: slice groups of self-attention, one entry a loop; the last entry serves all
            later loops. 1 is plain global attention.
        mlp_ratio: hidden width of a block's MLP over `width`, rounded down.
    """

    width: int
    heads: int
    unique: int = 1
    loops: int = 1
    groups: tuple[int, ...] = (1,)
    mlp_ratio: float = 4.0

    __pydantic_config__ = _STRICT

    @property
    def executions(self) -> int:
        return self.unique * self.loops

    @property
    def hidden(self) -> int:
        return int(self.mlp_ratio * self.width)

    def groups_at(self, loop: int) -> int:
        """Slice groups of the loop with this index (0 is the first)."""
        return self.groups[min(loop, len(self.groups) - 1)]


@dataclass(frozen=True, slots=True)
class NLL:
    """The non-linear projection layer after each execution: z + MLP(LN z) (paper §3.2).

    Attributes:
        share: one NLL for each "execution" (the paper), "block" or "stage"; "none" has no NLL.
        ratio: hidden width over the stage's width.
        rank: a fixed hidden width in place of `ratio`, or None.
    """

    share: NLLShare = "execution"
    ratio: float = 1.0
    rank: int | None = None

    __pydantic_config__ = _STRICT

    def hidden(self, width: int) -> int:
        return self.rank if self.rank is not None else int(self.ratio * width)


@dataclass(frozen=True, slots=True)
class Residual:
    """How a branch is weighted before it is added.

    Attributes:
        kind: "lrc", learnable scalars on both skip and branch, initialised to 1 (the paper's);
            "layerscale", a learnable gain per channel on the branch, initialised to `init`;
            "scaled", the constant `lam` · loops^-`p` · unique^-`q` on the branch, with the
            network's unique blocks and the block's loops (p = q = 0 is the plain residual).
    """

    kind: ResidualKind = "lrc"
    init: float = 1e-2
    lam: float = 1.0
    p: float = 1.0
    q: float = 0.5

    __pydantic_config__ = _STRICT

    def branch_scale(self, loops: int, unique: int) -> float:
        """The constant weight of a branch where `kind` is "scaled"."""
        return float(self.lam * loops**-self.p * unique**-self.q)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A whole network: convolutional stem, stages of recursive blocks, linear head.

    Attributes:
        image_size: side of the square input, in pixels.
        in_channels: channels of the input.
        classes: outputs of the head.
        stem_strides: stride of each 3×3 convolution of the stem.
        stages: joined by depthwise 3×3 convolutions of stride 2.
        permutation: order of tokens from the second loop on, where attention is sliced:
            "none"; "stride", every G-th token in a slice; "official", a new random order at
            each forward pass, in evaluation too, as the published code does.
        drop_path: rate of stochastic depth at the last execution, rising linearly from 0.

    Raises:
        ArchitectureError: a rule is broken; the message has the rule and the values.
    """

    image_size: int
    in_channels: int
    classes: int
    stem_strides: tuple[int, ...]
    stages: tuple[Stage, ...]
    nll: NLL = field(default_factory=NLL)
    residual: Residual = field(default_factory=Residual)
    permutation: Permutation = "none"
    drop_path: float = 0.0

    __pydantic_config__ = _STRICT

    def __post_init__(self) -> None:
        _check(self)

    @property
    def executions(self) -> int:
        """Block executions of one forward pass: the depth of a study."""
        return sum(stage.executions for stage in self.stages)

    @property
    def unique_blocks(self) -> int:
        return sum(stage.unique for stage in self.stages)

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of each stage's square grid of tokens."""
        side = self.image_size
        for stride in self.stem_strides:
            side = math.ceil(side / stride)
        sides = [side]
        for _ in self.stages[1:]:
            sides.append(math.ceil(sides[-1] / 2))
        return tuple(sides)

    @property
    def stem_channels(self) -> tuple[int, ...]:
        """Output channels of the stem's convolutions: half of the width, then the width."""
        width = self.stages[0].width
        last = len(self.stem_strides) - 1
        return tuple(width // 2 if i == 0 and last > 0 else width for i in range(last + 1))

    def nlls(self, stage: Stage) -> int:
        """Distinct NLLs of a stage."""
        counts = {"none": 0, "stage": 1, "block": stage.unique, "execution": stage.executions}
        return counts[self.nll.share]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for YAML and JSON; `from_dict` is its inverse."""
        plain = dataclasses.asdict(self)
        plain["stem_strides"] = list(self.stem_strides)
        plain["stages"] = [stage | {"groups": list(stage["groups"])} for stage in plain["stages"]]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Architecture:
        """Build from what `to_dict` gives; optional fields may be left out."""
        values = dict(plain)
        values["stem_strides"] = tuple(values["stem_strides"])
        values["stages"] = tuple(
            Stage(**{**stage, "groups": tuple(stage.get("groups", (1,)))})
            for stage in values["stages"]
        )
        values["nll"] = NLL(**values.get("nll", {}))
        values["residual"] = Residual(**values.get("residual", {}))
        return cls(**values)


def _check(a: Architecture) -> None:
    def need(holds: bool, path: tuple[str | int, ...], message: str) -> None:
        if not holds:
            raise ArchitectureError(path, message)

    def positive(value: float, *path: str | int, of: str = "") -> None:
        need(0 < value < math.inf, path, f"{of}`{path[-1]} > 0` must hold, but got {value}")

    def known(value: str, kinds: Any, *path: str | int) -> None:
        need(
            value in get_args(kinds),
            path,
            f"must be one of {', '.join(get_args(kinds))}, but got {value!r}",
        )

    positive(a.image_size, "image_size")
    positive(a.in_channels, "in_channels")
    positive(a.classes, "classes")
    need(len(a.stem_strides) > 0, ("stem_strides",), "the stem needs at least one convolution")
    for i, stride in enumerate(a.stem_strides):
        need(1 <= stride <= 4, ("stem_strides", i), f"a stride is 1 to 4, but got {stride}")
    need(len(a.stages) > 0, ("stages",), "at least one stage is needed")
    known(a.nll.share, NLLShare, "nll", "share")
    positive(a.nll.ratio, "nll", "ratio")
    need(
        a.nll.rank is None or a.nll.rank > 0,
        ("nll", "rank"),
        f"`rank > 0` must hold, but got {a.nll.rank}",
    )
    known(a.residual.kind, ResidualKind, "residual", "kind")
    positive(a.residual.lam, "residual", "lam")
    positive(a.residual.init, "residual", "init")
    for name in ("p", "q"):
        power = getattr(a.residual, name)
        need(math.isfinite(power), ("residual", name), f"`{name}` must be finite, but got {power}")
    known(a.permutation, Permutation, "permutation")
    need(
        0 <= a.drop_path < 1,
        ("drop_path",),
        f"`0 <= drop_path < 1` must hold, but got {a.drop_path}",
    )

    previous = None
    for i, (stage, side) in enumerate(zip(a.stages, a.sides, strict=True)):
        where = ("stages", i)
        for name in ("width", "heads", "unique", "loops", "mlp_ratio"):
            positive(getattr(stage, name), *where, name, of=f"stage {i}: ")
        need(
            stage.width % stage.heads == 0,
            (*where, "heads"),
            f"stage {i}: heads must divide the width, but got {stage.width} channels for {stage.heads} heads;"
            f" {_divisors(stage.width, stage.heads)} divide it",
        )
        need(
            stage.hidden > 0,
            (*where, "mlp_ratio"),
            f"stage {i}: mlp_ratio {stage.mlp_ratio} leaves no hidden channel",
        )
        need(
            a.nll.share == "none" or a.nll.hidden(stage.width) > 0,
            ("nll", "ratio"),
            f"stage {i}: nll ratio {a.nll.ratio} leaves no hidden channel",
        )
        need(
            len(stage.groups) > 0, (*where, "groups"), f"stage {i}: groups needs at least one entry"
        )
        for j, groups in enumerate(stage.groups):
            need(
                groups > 0 and side * side % groups == 0,
                (*where, "groups", j),
                f"stage {i}: {side * side} tokens cannot be cut into {groups} groups;"
                f" {_divisors(side * side, groups)} would do",
            )
        if previous is None:
            need(
                len(a.stem_strides) == 1 or stage.width % 2 == 0,
                (*where, "width"),
                f"stage 0: a stem of several convolutions starts at half the width, but {stage.width} is odd",
            )
        else:
            need(
                stage.width % previous == 0,
                (*where, "width"),
                f"stage {i}: the width must be a multiple of the previous stage's, but got {stage.width} after {previous}",
            )
        previous = stage.width


def _divisors(n: int, near: int) -> str:
    """The divisors of n that lie nearest to a value, in words."""
    divisors = sorted((d for d in range(1, n + 1) if n % d == 0), key=lambda d: (abs(d - near), d))
    return " or ".join(str(d) for d in sorted(divisors[:2]))
