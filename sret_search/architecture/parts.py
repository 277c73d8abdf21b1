"""The parts of an architecture: stages, and what all stages have in common."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import Any, Literal

Stem = Literal["convolutions", "patch"]
Order = Literal["sequence", "cycle"]
Permutation = Literal["none", "stride", "official"]
NLLShare = Literal["none", "stage", "block", "execution"]
ResidualKind = Literal["lrc", "layerscale", "scaled"]

# Read by pydantic where a file is checked; the rooms that build and train do without pydantic.
STRICT = {"extra": "forbid", "strict": True}

CACHED = 1 << 15
"""Parts of architectures for which rules and costs are kept: those of a space of a million
candidates are some thousands."""


@lru_cache(maxsize=4096)
def sides(image_size: int, strides: tuple[int, ...], stages: int) -> tuple[int, ...]:
    """Side of each stage's square grid of tokens."""
    side = image_size
    for stride in strides:
        side = -(-side // stride)
    found = [side]
    for _ in range(stages - 1):
        found.append(-(-found[-1] // 2))
    return tuple(found)


def stem_channels(strides: tuple[int, ...], width: int) -> tuple[int, ...]:
    """Output channels of the stem's convolutions: half of the width, then the width."""
    last = len(strides) - 1
    return tuple(width // 2 if i == 0 and last > 0 else width for i in range(last + 1))


def hidden_of(width: int, ratio: float) -> int:
    """Hidden width of an MLP."""
    return int(ratio * width)


def as_floats(part: Any) -> None:
    """A fraction that is written as a whole number is the same number."""
    for name in _fractions(part.__class__):
        value = getattr(part, name)
        if value is not None:
            object.__setattr__(part, name, float(value))


@cache
def _fractions(kind: Any) -> list[str]:
    """Fields of a dataclass that are fractions, by their annotations."""
    return [f.name for f in fields(kind) if f.type in ("float", "float | None")]


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one width at one resolution.

    Attributes:
        width: channels of a token (the field's embed_dim); heads must divide it.
        heads: attention heads.
        unique: distinct blocks.
        loops: executions of each block: one number for all, or one for each block, so that a
            prelude and a coda are blocks that run once, as in [1, 6, 6, 1].
        groups: slice groups of self-attention, one entry a loop; the last entry serves all
            later loops. 1 is plain global attention.
        mlp_ratio: hidden width of a block's MLP over `width`, rounded down.
    """

    width: int
    heads: int
    unique: int = 1
    loops: int | tuple[int, ...] = 1
    groups: tuple[int, ...] = (1,)
    mlp_ratio: float = 4.0

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)

    @property
    def executions(self) -> int:
        if isinstance(self.loops, int):
            return self.unique * self.loops
        return sum(self.loops)

    @property
    def hidden(self) -> int:
        return hidden_of(self.width, self.mlp_ratio)

    def loops_of(self, block: int) -> int:
        """Executions of the block with this index."""
        return self.loops if isinstance(self.loops, int) else self.loops[block]

    @property
    def blocks_by_loops(self) -> dict[int, int]:
        """How many blocks run how often: {loops: blocks}."""
        if isinstance(self.loops, int):
            return {self.loops: self.unique}
        return Counter(self.loops)

    @property
    def most_loops(self) -> int:
        """The most executions of any one block."""
        return self.loops if isinstance(self.loops, int) else max(self.loops)

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

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)

    def count(self, stage: Stage) -> int:
        """Distinct NLLs of a stage."""
        if self.share == "execution":
            return stage.executions
        return {"none": 0, "stage": 1, "block": stage.unique}[self.share]

    def hidden(self, width: int) -> int:
        """Hidden width at a stage of this width; 0 where there is no NLL."""
        if self.share == "none":
            return 0
        return hidden_of(width, self.ratio) if self.rank is None else self.rank


@dataclass(frozen=True, slots=True)
class Residual:
    """How a branch is weighted before it is added.

    Attributes:
        kind: "lrc", learnable scalars on both skip and branch, initialised to 1 (the paper's);
            "layerscale", a learnable gain per channel on the branch, initialised to `init`;
            "scaled", the constant `lam` · loops^-`p` · unique^-`q` on the branch, with the
            network's unique blocks and the block's loops (p = q = 0 is the plain residual).
        init: of "layerscale".
        lam, p, q: of "scaled".
    """

    kind: ResidualKind = "lrc"
    init: float = 1e-2
    lam: float = 1.0
    p: float = 1.0
    q: float = 0.5

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)

    def branch_scale(self, loops: float, unique: int) -> float:
        """The constant weight of a branch where `kind` is "scaled"."""
        return float(self.lam * loops**-self.p * unique**-self.q)


@dataclass(frozen=True, slots=True)
class Relax:
    """What loops of one block need not share. A block that runs once shares nothing, and has
    neither gains nor LoRA factors.

    Attributes:
        norm: each loop has layer norms of its own.
        gain: each loop has a learnable scalar on each of its two branches, initialised to 1.
        lora: rank of the low-rank update that each loop adds to the block's four linear layers,
            as in relaxed recursive transformers (Bae et al., 2410.20672), or None.
        experts: MLPs in a block's bank. Their weights are mixed, convexly, by how far the
            block's loops have come; so the multiply-adds are those of one MLP.
    """

    norm: bool = False
    gain: bool = False
    lora: int | None = None
    experts: int = 1

    __pydantic_config__ = STRICT

    @property
    def per_loop(self) -> bool:
        """Whether loops have weights of their own."""
        return self.norm or self.gain or self.lora is not None
